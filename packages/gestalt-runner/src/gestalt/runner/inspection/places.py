"""Where the sockets of applications are: one folder of the user, one socket for each application.

The folder is `gestalt` in $XDG_RUNTIME_DIR, or `gestalt-UID` among the temporary files, and nobody
else's: what another user has put there is refused. The socket is called by the process identifier;
further applications of one process have a number after it, as in `1234.2.sock`.
"""

import contextlib
import errno
import os
import re
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

from gestalt.runner.errors import InspectionError

# What sun_path holds on the systems that there are, with the zero at its end.
LONGEST = 104

# Applications of one process take their names one after another.
_naming = threading.Lock()

_NAME = re.compile(r"(\d+)(?:\.\d+)?\.sock")


def supported() -> bool:
    """Whether there are unix sockets here."""
    return hasattr(socket, "AF_UNIX") and hasattr(os, "geteuid")


def folders(uid: int) -> list[Path]:
    """Where applications of a user may have their sockets; an application takes the first."""
    found = []
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and uid == os.geteuid() and Path(runtime).is_dir():
        found.append(Path(runtime) / "gestalt")
    # tempfile, which would tell, imports much that a running application has no use for.
    temporary = Path(os.environ.get("TMPDIR") or "/tmp")  # noqa: S108 - the folder is its user's
    found.append(temporary / f"gestalt-{uid}")
    # Such as an application that a service manager has started, without the variable.
    known = Path(f"/run/user/{uid}/gestalt")
    return [*found, known] if known not in found else found


def make_folder() -> Path:
    """The folder for sockets of this user, made where it is missing.

    Raises:
        InspectionError: it cannot be made, or others may write there.
    """
    folder = folders(os.geteuid())[0]
    try:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        status = folder.lstat()
    except OSError as error:
        raise InspectionError(f"{folder} cannot be made: {error.strerror}") from error
    if not _is_of(os.geteuid(), status):
        raise InspectionError(f"{folder} is not a folder of this user alone: it needs mode 0700")
    return folder


def _is_of(uid: int, status: os.stat_result) -> bool:
    """Whether it is a folder of this user alone."""
    closed = status.st_uid == uid and not stat.S_IMODE(status.st_mode) & 0o077
    return stat.S_ISDIR(status.st_mode) and closed


def listen(folder: Path) -> tuple[socket.socket, Path]:
    """Listen at a new socket of this process.

    Raises:
        InspectionError: it cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    making = f"{os.getpid()}-{listener.fileno()}.new"
    try:
        with reachable(folder, making) as path:
            Path(path).unlink(missing_ok=True)
            listener.bind(path)
            Path(path).chmod(0o600)
        listener.listen(32)
        listener.setblocking(False)
        # It has its name only now, when it answers: who finds it refusing knows that it is dead.
        return listener, _name(folder, making)
    except OSError as error:
        listener.close()
        (folder / making).unlink(missing_ok=True)
        raise InspectionError(f"no socket in {folder}: {error.strerror or error}") from error
    except InspectionError:  # pragma: no cover - systems without /proc
        listener.close()
        raise


def _name(folder: Path, making: str) -> Path:
    """Give the socket the first name that is free."""
    number = 1
    with _naming:
        while True:
            suffix = f".{number}" if number > 1 else ""
            path = folder / f"{os.getpid()}{suffix}.sock"
            if not _answers(path):
                # What a process of this number has left that was killed gives way.
                return (folder / making).rename(path)
            number += 1


@contextlib.contextmanager
def reachable(folder: Path, name: str) -> Iterator[str]:
    """A path to a socket in `folder`, short enough for the system.

    Raises:
        InspectionError: there is none.
    """
    path = str(folder / name)
    if len(os.fsencode(path)) < LONGEST:
        yield path
        return
    shortcut = Path("/proc/self/fd")
    if not shortcut.is_dir():  # pragma: no cover - systems without /proc
        raise InspectionError(
            f"{path} is longer than the {LONGEST - 1} bytes that a socket's path may have: set "
            "XDG_RUNTIME_DIR to a shorter one"
        )
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield str(shortcut / str(descriptor) / name)
    finally:
        os.close(descriptor)


def find(pid: int | None = None) -> list[Path]:
    """The sockets of the applications of this user that run, or of one process.

    Root finds a process of anybody.
    """
    uids = {os.geteuid()}
    if pid is not None and os.geteuid() == 0:
        with contextlib.suppress(OSError):
            uids.add(Path(f"/proc/{pid}").stat().st_uid)
    found: list[Path] = []
    for uid in sorted(uids):
        for folder in folders(uid):
            # Who else could put sockets there could show people what he likes.
            with contextlib.suppress(OSError):
                if _is_of(uid, folder.lstat()):
                    found += [path for path, owner in _sockets(folder) if pid in (None, owner)]
    return [path for path in found if _answers(path)]


def clean(folder: Path) -> None:
    """Remove the sockets of processes that were killed."""
    for path, owner in _sockets(folder):
        # A process of another container may have a number that is none here.
        if not lives(owner) and not _answers(path):
            path.unlink(missing_ok=True)


def _sockets(folder: Path) -> list[tuple[Path, int]]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return []
    return [(path, int(match[1])) for path in paths if (match := _NAME.fullmatch(path.name))]


def lives(pid: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # pragma: no cover - root may signal all
        return True
    return True


def _answers(path: Path) -> bool:
    """Whether somebody listens at a socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asker:
        asker.setblocking(False)
        try:
            with reachable(path.parent, path.name) as short:
                asker.connect(short)
        except OSError as error:
            # One that has too much to do to accept is alive.
            return error.errno == errno.EAGAIN
    return True
