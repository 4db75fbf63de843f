"""Where the journal and the large values lie, from the URLs in the settings."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from volant.kit.homes import blobs_path, journal_path
from volant.model.errors import NotSupportedError
from volant.ports.blobs import Blobs
from volant.settings.masking import masked
from volant.settings.tree import Settings

_SHARED = ("postgresql", "postgres")
_OBJECT_STORES = ("s3", "s3a", "gs", "az", "azure", "adl", "abfs", "abfss")


def is_shared(settings: Settings) -> bool:
    """Whether the journal is in a database server, which engines of several homes and machines may use."""
    return settings.database is not None and urlsplit(settings.database).scheme in _SHARED


def journal_place(settings: Settings) -> str:
    """Where the journal is, for people and for comparing.

    Raises:
        NotSupportedError: there is no adapter for the URL's scheme.
    """
    if settings.database is not None and is_shared(settings):
        return masked(settings.database)
    return str(journal_file(settings))


def journal_file(settings: Settings) -> Path:
    """The SQLite file of the journal. In a URL, three slashes begin a path in the home and four an absolute one.

    Raises:
        NotSupportedError: the URL does not name a file.
    """
    if settings.database is None:
        return journal_path(settings.home)
    parts = urlsplit(settings.database)
    name = unquote(parts.path).removeprefix("/")
    if parts.scheme != "sqlite" or parts.netloc or not name or parts.query:
        msg = f"database (from {settings.sources['database']}): found {masked(settings.database)!r}, "
        msg += "wanted a SQLite file as sqlite:///name.db (in the home) or sqlite:////folder/name.db, "
        msg += "or a Postgres database as postgresql://user@host/name"
        raise NotSupportedError(msg)
    return settings.home / name


def blobs_url(settings: Settings) -> str:
    """Where large values of this home lie."""
    return settings.blobs or blobs_path(settings.home).as_uri()


def open_blobs(url: str) -> Blobs:
    """The store behind a URL.

    Raises:
        NotSupportedError: there is no adapter for its scheme.
    """
    parts = urlsplit(url)
    if parts.scheme in _OBJECT_STORES:
        return _open_objects(url)
    if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
        msg = f"blobs: found {masked(url)!r}, wanted a folder of this machine as file:///folder, "
        msg += "or a bucket as s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        raise NotSupportedError(msg)
    from volant.blobs.local import LocalBlobs

    return LocalBlobs(Path(unquote(parts.path)))


def _open_objects(url: str) -> Blobs:
    try:
        from volant.blobs.objects import ObjectBlobs
    except ImportError as error:
        msg = f"blobs: {masked(url)} takes obstore, which is not installed ({error})"
        raise NotSupportedError(msg, hint="pip install 'volant[s3]' brings it") from error
    return ObjectBlobs(url)
