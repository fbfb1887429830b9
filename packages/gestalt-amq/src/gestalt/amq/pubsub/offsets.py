"""Where a subscription to a stream has got to: stores that keep it, and how often it is kept."""

import contextlib
import hashlib
import os
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from urllib.parse import quote

from gestalt.core.numbers import kind_of

if TYPE_CHECKING:
    import sqlite3

# How long others may keep a database locked, in seconds.
PATIENCE = 5.0
# A file's name has at most 255 bytes, and one that is being written has a suffix.
_LONGEST_NAME = 200


class OffsetStore(Protocol):
    """Keeps offsets by names. The methods are plain, and called in a thread, or async.

    At most one call for a name is under way at a time.
    """

    def load(self, name: str, /) -> int | Awaitable[int | None] | None:
        """The offset that was saved last; None if there is none."""

    def save(self, name: str, offset: int, /) -> Awaitable[None] | None:
        """Keep an offset; when this returns, it is there after a crash."""


@dataclass(frozen=True, slots=True)
class Offsets:
    """Where a subscription to a stream keeps its offset, and how often.

    Args:
        store: where it is kept.
        every: after so many messages at the latest; at most so many, or as many as the prefetch if
            that is less, are handled again after a crash.
        within: after so many seconds at the latest, when anything was handled.
        name: by which it is kept; the queue's by default. Subscriptions that read a stream each by
            itself need one each.

    Raises:
        ValueError: a number is out of its range.
        TypeError: the store has no methods `load` and `save`.
    """

    store: OffsetStore
    every: int = 1000
    within: float = 1.0
    name: str | None = None

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")
        if not 0 < self.within < float("inf"):
            raise ValueError(f"within must be above 0 and finite, got {self.within}")
        for method in ("load", "save"):
            if not callable(getattr(self.store, method, None)):
                raise TypeError(
                    f"a store of offsets has a method {method}, {kind_of(self.store)} has not"
                )


class FileOffsets:
    """Keeps each offset in a file of its own, which is replaced as a whole.

    What is saved is written to another file, which takes the place of the former when it is on the
    disk: after a crash, of the machine as well, the file has one offset or the other.

    Args:
        folder: where the files are; it is made when it is not there.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def load(self, name: str, /) -> int | None:
        """The offset that was saved last; None if there is none.

        Raises:
            OSError: the file cannot be read.
            ValueError: it has something else than an offset.
        """
        path = self._path(name)
        try:
            text = path.read_text("ascii", "replace")
        except FileNotFoundError:
            return None
        if not text.strip().isdecimal():
            raise ValueError(f"{path} holds something else than an offset")
        return int(text)

    def save(self, name: str, offset: int, /) -> None:
        """Replace the file; errors are OSErrors."""
        import tempfile  # costs 2 ms, and few keep offsets in files

        path = self._path(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(prefix=".", suffix=".offset", dir=self._folder)
        new = Path(written)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(f"{offset}\n")
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        # The file's new name is on the disk when its folder is.
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, name: str) -> Path:
        quoted = quote(name, safe=" ")
        if len(quoted) > _LONGEST_NAME or quoted.startswith("."):
            quoted = f"sha256-{hashlib.sha256(name.encode()).hexdigest()}"
        return self._folder / f"{quoted}.offset"


class SqliteOffsets:
    """Keeps offsets in the table `offsets` of a database of SQLite, which others may use as well.

    Args:
        path: of the database; it is made when it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.fspath(path)

    def load(self, name: str, /) -> int | None:
        """The offset that was saved last; None if there is none.

        Raises:
            sqlite3.Error: the database cannot be read.
        """
        with self._connection() as connection:
            row = connection.execute(
                "SELECT offset FROM offsets WHERE name = ?", (name,)
            ).fetchone()
        return None if row is None else int(row[0])

    def save(self, name: str, offset: int, /) -> None:
        """Keep an offset; errors are sqlite3.Errors."""
        with self._connection() as connection:
            connection.execute("INSERT OR REPLACE INTO offsets VALUES (?, ?)", (name, offset))

    @contextlib.contextmanager
    def _connection(self) -> "Iterator[sqlite3.Connection]":
        """A connection for one call, in whatever thread that is; what is done is committed."""
        import sqlite3  # few keep offsets there, and some Pythons come without it

        with contextlib.closing(sqlite3.connect(self._path, timeout=PATIENCE)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            with connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS offsets (name TEXT PRIMARY KEY, offset INTEGER)"
                )
                yield connection
