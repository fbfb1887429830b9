"""What has changed of a channel itself: the framing, compression, formats and the exchange."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from .changes import NEW_READERS, NOBODY, OLD_READERS, PEERS, Who
from .document import PREFIX
from .view import exchange_of

IDENTIFIED = {
    "type-id": "the type id in its frame",
    "name": "the name of its type",
    "tag": "the tag in its body",
    "channel": "nothing but the channel",
}
"""By what the type of a message is told."""

Told = tuple[str, frozenset[Who]]


def channel_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Told]:
    """How a channel has changed, and for whom that breaks something."""
    yield from _framing(_fact(old, "framing"), _fact(new, "framing"))
    before, after = _fact(old, "identified-by"), _fact(new, "identified-by")
    if before != after and before in IDENTIFIED and after in IDENTIFIED:
        yield (
            f"the type of a message was told by {IDENTIFIED[before]}, and is by "
            f"{IDENTIFIED[after]}",
            PEERS,
        )
    yield from _compression(old, new)
    yield from _size(_fact(old, "max-size"), _fact(new, "max-size"), "a body")
    yield from _exchange(exchange_of(old), exchange_of(new))
    if _fact(old, "bind-arguments") != _fact(new, "bind-arguments"):
        yield "the arguments of the binding have changed", PEERS


def accepted(channel: Mapping[str, Any]) -> set[str]:
    """The content types that are read besides the one that is written."""
    return set(_fact(channel, "accepts") or ())


def _framing(old: Any, new: Any) -> Iterator[Told]:
    if not isinstance(old, Mapping) or not isinstance(new, Mapping):
        if old != new:
            yield "the framing has changed", PEERS
        return
    if old.get("name") != new.get("name"):
        yield f"the framing was {old.get('name')}, and is {new.get('name')}", PEERS
        return
    for name in {**old, **new}:
        before, after = old.get(name), new.get(name)
        if name == "max-size":
            yield from _size(before, after, "a frame")
        elif before != after:
            yield f"{name} of the framing was {before!r}, and is {after!r}", PEERS


def _size(before: Any, after: Any, what: str) -> Iterator[Told]:
    if before == after or not (isinstance(before, int) and isinstance(after, int)):
        return
    breaks = NEW_READERS if after < before else OLD_READERS
    yield f"{what} had up to {before:,} bytes, and has up to {after:,}", breaks


def _compression(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Told]:
    if (_fact(old, "tagged"), _fact(new, "tagged")) in ((True, False), (False, True)):
        word = "begins" if _fact(new, "tagged") else "does not begin"
        yield f"a payload {word} with the byte that tells of compression now", PEERS
        return
    before, after = _fact(old, "compression"), _fact(new, "compression")
    taken = set(_fact(old, "accepts-compression") or ())
    takes = set(_fact(new, "accepts-compression") or ())
    breaks = NOBODY
    if after is not None and after not in taken:
        breaks |= OLD_READERS
    if before is not None and before not in takes:
        breaks |= NEW_READERS
    if before != after:
        words = f"bodies were compressed by {before or 'nothing'}, and are by {after or 'nothing'}"
        yield words, breaks
    elif lost := sorted(taken - takes):
        yield f"compression by {', '.join(lost)} is not accepted any more", NEW_READERS


def _exchange(old: Mapping[str, Any] | None, new: Mapping[str, Any] | None) -> Iterator[Told]:
    if old is None or new is None:
        return
    for name, word in (("type", "type"), ("durable", "durability"), ("autoDelete", "auto-delete")):
        if old.get(name) != new.get(name):
            # The broker refuses to declare one in two ways.
            yield (
                f"the {word} of the exchange was {old.get(name)}, and is {new.get(name)}: who "
                "declares it otherwise is refused",
                PEERS,
            )


def _fact(channel: Mapping[str, Any], name: str) -> Any:
    return channel.get(f"{PREFIX}{name}")


def covers(pattern: str, other: str) -> bool:
    """Whether a binding key of a topic exchange takes all that another one takes."""
    words, others = pattern.split("."), other.split(".")

    @cache
    def from_on(here: int, there: int) -> bool:
        if here == len(words):
            return there == len(others)
        left = there < len(others)
        if words[here] == "#":
            return from_on(here + 1, there) or (left and from_on(here, there + 1))
        if not left or others[there] == "#":
            return False
        return words[here] in ("*", others[there]) and from_on(here + 1, there + 1)

    return from_on(0, 0)
