"""A change of what an application exchanges, and for whom it breaks something."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Who(StrEnum):
    """Those for whom a change breaks something."""

    OLD_READERS = "old-readers"
    """Who goes by the old document, and gets messages by the new one."""
    NEW_READERS = "new-readers"
    """Who goes by the new document, and gets messages by the old one."""
    PEERS = "peers"
    """Who goes by the old document, on either side: they do not understand one another at all."""


WORDS = {
    Who.OLD_READERS: "old readers of new messages",
    Who.NEW_READERS: "new readers of old messages",
    Who.PEERS: "old peers",
}

NOBODY: frozenset[Who] = frozenset()
OLD_READERS = frozenset({Who.OLD_READERS})
NEW_READERS = frozenset({Who.NEW_READERS})
READERS = OLD_READERS | NEW_READERS
PEERS = frozenset({Who.PEERS})


@dataclass(frozen=True, slots=True)
class Change:
    """One change.

    Attributes:
        where: what has changed: a message, an operation or a channel.
        what: how, in a sentence without capital and full stop.
        breaks: for whom; empty where it is compatible.
        channels: the titles of channels that it is about.
    """

    where: str
    what: str
    breaks: frozenset[Who] = NOBODY
    channels: tuple[str, ...] = ()

    def fails(self, on: str) -> bool:
        """Whether it is an error: "any" for all that break something, else the word for whom.

        What breaks all peers always is.
        """
        if on == "any":
            return bool(self.breaks)
        return Who.PEERS in self.breaks or Who(on) in self.breaks


@dataclass(frozen=True, slots=True)
class Difference:
    """A change within a schema.

    Attributes:
        path: of the value in a message; empty for the message itself.
        what: as that of a Change.
        breaks: for whom; empty where it is compatible.
    """

    path: str
    what: str
    breaks: frozenset[Who] = NOBODY

    def __str__(self) -> str:
        return f"{self.path}: {self.what}" if self.path else self.what


def together(changes: Iterable[Change]) -> list[Change]:
    """Changes, of which those that are the same on several channels are one."""
    found: dict[tuple[str, str, frozenset[Who]], tuple[str, ...]] = {}
    for each in changes:
        key = each.where, each.what, each.breaks
        known = found.get(key, ())
        found[key] = known + tuple(name for name in each.channels if name not in known)
    return [Change(*key, channels) for key, channels in found.items()]
