"""Which files make the application restart, and when they have changed."""

import fnmatch
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gestalt.runner.errors import OptionError

# What is in folders of these names, or in hidden ones, is not the application's own.
_OTHERS = frozenset({"__pycache__", "site-packages", "node_modules", "venv"})


@dataclass(frozen=True, slots=True)
class Watched:
    """The files that are watched.

    Attributes:
        folders: where they are, or below.
        patterns: what their names are like, as a shell has it.
        files: further ones, by their whole path, as long as they are in the folders.
    """

    folders: Sequence[Path]
    patterns: Sequence[str]
    files: Sequence[Path] = ()

    def __contains__(self, path: Path) -> bool:
        if path in self.files:
            return True
        if not any(fnmatch.fnmatch(path.name, pattern) for pattern in self.patterns):
            return False
        return any(
            _is_own(path.relative_to(folder)) for folder in self.folders if folder in path.parents
        )


def _is_own(path: Path) -> bool:
    return not any(part.startswith(".") or part in _OTHERS for part in path.parts)


def check_installed() -> None:
    """Raise OptionError, which names the extra, where files cannot be watched."""
    try:
        import watchfiles  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "watchfiles, which --reload needs, is not installed: "
            "pip install 'gestalt-runner[reload]'"
        ) from error


async def changes(watched: Watched) -> AsyncIterator[list[Path]]:
    """Give the files that have changed, whenever some have; a burst of changes comes as one.

    What changes after the first step of this iterator is not missed.
    """
    import watchfiles

    # It tells of every change, which of those that matter is told here.
    logging.getLogger("watchfiles").setLevel(logging.WARNING)
    async for found in watchfiles.awatch(
        *watched.folders,
        watch_filter=lambda _change, path: Path(path) in watched,
        ignore_permission_denied=True,
        rust_timeout=500,
    ):
        yield sorted({Path(path) for _, path in found})
