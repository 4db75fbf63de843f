"""The blob store of where the caller is."""

from volant.api.program import program
from volant.authoring.session import current_session
from volant.ports.blobs import Blobs
from volant.wiring.stores import blobs_url, open_blobs


def open_current_store() -> Blobs:
    """That of the run inside one, outside that of the settings.

    Raises:
        NotSupportedError: there is no adapter for it.
    """
    session = current_session()
    if session is not None:
        return session.blobs
    return open_blobs(blobs_url(program.settings()))
