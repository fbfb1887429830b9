"""Listening on unix sockets: nobody who listens is pushed aside, and what the dead left is."""

import asyncio
import errno
import os
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from gestalt.net.address import Address

try:
    import fcntl
except ImportError:  # on Windows, whose event loops have no unix sockets, either
    fcntl = None  # type: ignore[assignment]

LOCK_TIMEOUT = 2.0
"""How long a start waits, in seconds, for another one in the same folder. It takes milliseconds."""

SECOND_LOOK = 0.05
"""After how many seconds a socket that answered to nobody is taken for dead if it still does."""

ATTEMPTS = 10
"""How often a file that comes and goes is looked at anew."""


async def listen(address: Address, backlog: int) -> socket.socket:
    """Listen on a unix socket.

    The file of a server that has died is replaced. While somebody listens, nobody else does, and a
    file that is no socket is never touched. Starts at the same time take their turns by a lock of
    the folder, so one of them listens, and the others are refused.

    Raises:
        OSError: it cannot be listened on, and why: somebody does so already (EADDRINUSE), the file
            is no socket, the folder does not exist or may not be written to.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise _refusal(address, errno.EAFNOSUPPORT, "this system has no unix sockets for Python")
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if address.path.startswith("\0"):
            _bind(sock, address, named=False)
            sock.listen(backlog)
        else:
            async with _locked(Path(address.path).parent):
                await _bind_file(sock, address)
                # Before it listens, another start would take it for dead.
                sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def inode(path: str) -> int | None:
    """Which file it is that has this path; None where there is none."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


async def _bind_file(sock: socket.socket, address: Address) -> None:
    suspect: int | None = None
    for _ in range(ATTEMPTS):
        if _bind(sock, address, named=True):
            return
        if not _is_dead(address):  # pragma: no cover - it goes between two looks
            continue
        if suspect is None or suspect != inode(address.path):
            # Another program may be between making its file and listening.
            suspect = inode(address.path)
            await asyncio.sleep(SECOND_LOOK)
        else:
            _remove(address)
    raise _refusal(  # pragma: no cover - it goes between two looks, ten times
        address, errno.EADDRINUSE, "the file comes and goes"
    )


def _bind(sock: socket.socket, address: Address, *, named: bool) -> bool:
    """Bind, or tell that there is a file of this name."""
    try:
        sock.bind(address.path)
    except OSError as error:
        if error.errno == errno.EADDRINUSE and named:
            return False
        folder = str(Path(address.path).parent)
        if error.errno == errno.EADDRINUSE:
            reason = "somebody listens on it already"
        elif error.errno in (errno.ENOENT, errno.ENOTDIR):
            reason = f"{folder!r} is no folder; make it first"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            reason = f"a file may not be made in {folder!r}: {error.strerror}"
        else:
            reason = error.strerror or str(error)
        raise _refusal(address, error.errno, reason) from error
    return True


def _remove(address: Address) -> None:
    try:
        Path(address.path).unlink(missing_ok=True)
    except OSError as error:  # pragma: no cover - who may make a file may remove it, mostly
        reason = f"what a dead server left cannot be removed: {error.strerror}"
        raise _refusal(address, error.errno, reason) from error


def _is_dead(address: Address) -> bool:
    """Whether a socket's file has nobody who listens; False when the file has vanished.

    Raises:
        OSError: somebody listens, or that cannot be known, or the file is no socket.
    """
    try:
        mode = os.lstat(address.path).st_mode
    except FileNotFoundError:  # pragma: no cover - it goes between two looks
        return False
    if not stat.S_ISSOCK(mode):
        reason = "there is a file of that name that is no socket; remove it, or choose another name"
        raise _refusal(address, errno.EEXIST, reason)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        # One that has no room for another connection is alive, and must not be waited for.
        caller.setblocking(False)
        try:
            caller.connect(address.path)
        except ConnectionRefusedError:
            return True
        except FileNotFoundError:  # pragma: no cover - it goes between two looks
            return False
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EPROTOTYPE, errno.EINPROGRESS):
                reason = f"whether somebody listens on it cannot be found out: {error.strerror}"
                raise _refusal(address, error.errno, reason) from error
    raise _refusal(address, errno.EADDRINUSE, "somebody listens on it already")


@asynccontextmanager
async def _locked(folder: Path) -> AsyncIterator[None]:
    """Hold a lock of the folder; without one, where it cannot be had."""
    descriptor = None
    # It may be written to, and not read; if it does not exist, binding tells.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if descriptor is not None:
            await _lock(descriptor)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


async def _lock(descriptor: int) -> None:
    until = asyncio.get_running_loop().time() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            # Others lock folders, too, for as long as they like, and some systems lock none.
            late = asyncio.get_running_loop().time() >= until
            if late or error.errno not in (errno.EAGAIN, errno.EACCES):
                return
        else:
            return
        await asyncio.sleep(0.005)


def _refusal(address: Address, code: int | None, reason: str) -> OSError:
    return OSError(code, f"{address} cannot be listened on: {reason}")
