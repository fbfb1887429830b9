"""Where the control socket of a broker is, unless it is said."""

import os
import tempfile
from pathlib import Path


def default_path(port: int) -> Path:
    """Return the path of the control socket of a broker on this port.

    Args:
        port: the port that the broker listens on.

    Returns:
        A path in a folder of this user's alone, which may not be there.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime, "gestalt") if runtime else Path(tempfile.gettempdir(), _own_name())
    return folder / f"amq-{port}.sock"


def make_folder(path: Path) -> None:
    """Make the folder of the default path, for this user alone.

    Raises:
        OSError: it cannot be made, or is another user's, or open to others.
    """
    folder = path.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's alone: it should have the mode 0700")


def _own_name() -> str:
    return f"gestalt-{os.getuid()}"
