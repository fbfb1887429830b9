"""Where a running demo leaves the address of its broker, for those who want to ask it something."""

import contextlib
import getpass
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path


def _path() -> Path:
    folder = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    return Path(folder) / f"gestalt-telemetry-{getpass.getuser()}.url"


@contextlib.contextmanager
def announced(url: str) -> Iterator[None]:
    """Leave the address while the block runs. Of several demos, the last one to start is found."""
    path = _path()
    # The address may hold a password.
    handle, written = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(url)
    Path(written).replace(path)
    try:
        yield
    finally:
        if find() == url:
            path.unlink(missing_ok=True)


def find() -> str | None:
    """The address that a running demo has left; None where there is none of this user's."""
    path = _path()
    try:
        with path.open() as file:
            if hasattr(os, "getuid") and os.fstat(file.fileno()).st_uid != os.getuid():
                return None
            return file.read()
    except OSError:
        return None
