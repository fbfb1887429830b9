"""Methods that a decorator has marked for somebody to call."""

import weakref
from collections.abc import Callable
from types import FunctionType
from typing import Any

from .numbers import kind_of


class Mark:
    """Marks methods, and finds them in classes.

    Args:
        decorator: what marks them, as it is called in errors.
    """

    def __init__(self, decorator: str) -> None:
        self._decorator = decorator
        self._name = f"__gestalt_{decorator}__"
        self._found: weakref.WeakKeyDictionary[type, tuple[Callable[[Any], Any], ...]]
        self._found = weakref.WeakKeyDictionary()

    def put(self, method: object) -> None:
        """Mark a method.

        Raises:
            TypeError: it is no function.
        """
        if not isinstance(method, FunctionType):
            raise TypeError(f"@{self._decorator} is for methods, got {kind_of(method)}")
        setattr(method, self._name, True)

    def methods_of(self, cls: type) -> tuple[Callable[[Any], Any], ...]:
        """The methods of a class that are marked, those of its base classes first.

        That of a subclass takes the place of none of them, whatever it is called.
        """
        found = self._found.get(cls)
        if found is None:
            found = self._found[cls] = tuple(
                value
                for base in reversed(cls.__mro__)
                for value in vars(base).values()
                if isinstance(value, FunctionType) and self._name in vars(value)
            )
        return found
