"""Where a running demo leaves the address of its broker, for those who want to ask it something."""

import getpass
import os
import re
import tempfile
from pathlib import Path

import psutil

from gestalt.core import Component


class Announced(Component):
    """Leaves the address while it runs, in a file that bears the number of the process."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._file = _folder() / f"{_prefix()}{os.getpid()}.url"

    async def _open(self) -> None:
        self._write()

    async def _close(self) -> None:
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        # The address may hold a password; and whoever finds the file finds all of the address.
        handle, written = tempfile.mkstemp(dir=self._file.parent)
        with os.fdopen(handle, "w") as file:
            file.write(self._url)
        Path(written).replace(self._file)


def find() -> str | None:
    """The address that the last of this user's demos to start has left; None without any.

    What a process that was killed has left is removed.
    """
    found = []
    for path in _folder().glob(f"{_prefix()}*.url"):
        process = re.fullmatch(r"\d+", path.stem.removeprefix(_prefix()))
        try:
            with path.open() as file:
                status = os.fstat(file.fileno())
                if process is None or status.st_uid != os.getuid():
                    continue
                if psutil.pid_exists(int(process[0])):
                    found.append((status.st_mtime, file.read()))
                else:
                    path.unlink()
        except OSError:
            # It was removed in this moment, or is not ours to read.
            continue
    return max(found)[1] if found else None


def _folder() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())


def _prefix() -> str:
    return f"gestalt-telemetry-{getpass.getuser()}-"
