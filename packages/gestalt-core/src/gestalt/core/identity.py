"""What belongs to objects that may have no hash, and that are not kept alive by it."""

import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class _Key(weakref.ref[Any]):
    """An object, and where it stands in the map."""

    __slots__ = ("at",)

    at: int


class IdentityMap(Generic[K, V]):
    """Values by objects, which are told apart by identity, in the order in which they were set.

    An object that dies is left out from then on. All methods may be called in any thread.
    """

    __slots__ = ("__weakref__", "_forget", "_items")

    def __init__(self) -> None:
        items: dict[int, tuple[_Key, V]] = {}
        self._items = items
        self._forget: Callable[[_Key], object] = lambda key: items.pop(key.at, None)

    def set(self, key: K, value: V) -> None:
        """Have `value` belong to `key`; where there was none, as the last."""
        held = _Key(key, self._forget)
        held.at = id(key)
        self._items[held.at] = held, value

    def get(self, key: K) -> V | None:
        """What belongs to `key`."""
        found = self._items.get(id(key))
        return None if found is None else found[1]

    def pop(self, key: K) -> None:
        """Forget what belongs to `key`."""
        self._items.pop(id(key), None)

    def present(self) -> list[K]:
        """The objects, in the order in which they were set."""
        # One step for the interpreter, so that another thread may add to the map meanwhile.
        held = list(self._items.values())
        return [key for each, _ in held if (key := each()) is not None]
