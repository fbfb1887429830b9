"""What an application may say of what it exchanges; contracts, which takes longer to import, reads
it."""

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias, TypeVar

from .identity import IdentityMap
from .marks import Mark

Key: TypeAlias = type | int
"""A class of messages, or a type identifier."""

F = TypeVar("F", bound=Callable[[Any], Iterable[Any]])

_mark = Mark("describes")
_notes: IdentityMap[object, dict[str, Any]] = IdentityMap()


def describes(method: F) -> F:
    """Have `contracts.read` call the decorated method of a component, for what it exchanges.

        class Bridge(Component):
            @describes
            def _frames(self) -> Iterable[Operation]:
                from .contract import frames

                yield frames(self.port)

    It is called where nothing runs, and starts nothing. What it needs for its answer is imported
    within it: an application that runs never calls it. The method of a subclass takes the place of
    none of its base classes, whatever it is called: all are asked.

    Raises:
        TypeError: it is no function.
    """
    _mark.put(method)
    return method


def describing(cls: type) -> tuple[Callable[[Any], Iterable[Any]], ...]:
    """The methods of a class that are decorated, those of base classes first."""
    return _mark.methods_of(cls)


def note(
    owner: object,
    *,
    sends: Iterable[Key] | None = None,
    receives: Iterable[Key] | None = None,
    keys: str | Iterable[str] = (),
    title: str = "",
    description: str = "",
) -> None:
    """Say of a server, a client, an endpoint, a publisher or a requester what is not seen from it.

        publisher = bus.publisher("telemetry")
        note(publisher, sends=[Position], keys="vehicle.*.position")

    It changes nothing but the documents that `gestalt schema` writes.

    Args:
        owner: what it is said of, which is not kept alive by it.
        sends: what it sends of the types of its codec; by default those that it has no handler for.
        receives: what it receives of them; of a requester, what may answer.
        keys: the routing keys of a publisher: words and dots, * for one word, # for any number.
        title: in a few words.
        description: in full; CommonMark is allowed.
    """
    said = {
        "sends": None if sends is None else tuple(sends),
        "receives": None if receives is None else tuple(receives),
        "keys": (keys,) if isinstance(keys, str) else tuple(keys),
        "title": title,
        "description": description,
    }
    _notes.set(owner, said)


def noted(owner: object) -> dict[str, Any]:
    """What was said of it, by the names of `note`; {} where nothing was."""
    return _notes.get(owner) or {}
