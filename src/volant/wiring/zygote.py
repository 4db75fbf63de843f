"""The program of a zygote: `python -P -c BOOT FOLDER DESCRIPTOR`, see `volant.launchers.zygote`."""

import socket

from volant.ports.blobs import Blobs
from volant.worker.zygote import run_zygote


def main(descriptor: int) -> None:
    """Serve the engine at the other end of the inherited socket until it says to leave."""
    run_zygote(socket.socket(fileno=descriptor), open_blobs=_open_blobs)


def _open_blobs(url: str) -> Blobs:
    # Few attempts have large values, and what a zygote imports is copied into every fork.
    from volant.wiring.stores import open_blobs

    return open_blobs(url)
