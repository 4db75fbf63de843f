"""Who is at the other end of a Unix socket."""

import socket
import struct
import sys

_MACOS_SOL_LOCAL = 0
_MACOS_LOCAL_PEERCRED = 1


def peer_uid(connection: socket.socket) -> int:
    """The user id of the process that made the other end, as the kernel knows it.

    Raises:
        OSError: the platform cannot tell; treat the peer as a stranger.
    """
    if sys.platform == "linux":
        _pid, uid, _gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    if sys.platform == "darwin":
        # struct xucred: version, uid, and groups that nobody asks for.
        found = connection.getsockopt(_MACOS_SOL_LOCAL, _MACOS_LOCAL_PEERCRED, 76)
        _version, uid = struct.unpack_from("=II", found)
        return int(uid)
    msg = f"the peer of a socket cannot be identified on {sys.platform}"
    raise OSError(msg)


def peer_pid(connection: socket.socket) -> int | None:
    """The process that made the other end, as the kernel knows it; None where it does not say."""
    if sys.platform == "linux":
        pid, _uid, _gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid)
    return None
