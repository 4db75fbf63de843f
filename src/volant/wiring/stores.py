"""Opens the store of large values that a URL names."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from volant.kit.homes import blobs_path
from volant.model.errors import NotSupportedError
from volant.ports.blobs import Blobs
from volant.settings.tree import Settings


def blobs_url(settings: Settings) -> str:
    """Where large values of this home lie."""
    return settings.blobs or blobs_path(settings.home).as_uri()


def open_blobs(url: str) -> Blobs:
    """The store behind a URL.

    Raises:
        NotSupportedError: there is no adapter for its scheme.
    """
    parts = urlsplit(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        msg = f"blobs: found {url!r}, wanted a folder of this machine as file:///folder"
        raise NotSupportedError(msg)
    from volant.blobs.local import LocalBlobs

    return LocalBlobs(Path(unquote(parts.path)))
