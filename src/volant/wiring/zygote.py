"""The program of a zygote: `python -P -c BOOT FOLDER DESCRIPTOR`, see `volant.launchers.zygote`."""

import socket

from volant.wiring.stores import open_blobs
from volant.worker.zygote import run_zygote


def main(descriptor: int) -> None:
    """Serve the engine at the other end of the inherited socket until it says to leave."""
    run_zygote(socket.socket(fileno=descriptor), open_blobs=open_blobs)
