"""What a subclass of Component may define, and what it finds there to use."""

import inspect
from types import MethodType
from typing import Any

PROVIDED = {"_spawn", "_fail", "_report_error", "state"}
"""What a component has for its subclasses to use."""

FILLED_IN = {"_open", "_drain", "_close", "start", "stop", "wait_stopped"}
"""What a subclass fills in, or extends: async methods."""


def check_subclass(cls: type) -> None:
    """See that a subclass leaves alone what it is to use, and fills in the rest by async methods.

    Raises:
        TypeError: it does not; the error names what is wrong.
    """
    for name, value in vars(cls).items():
        if name in PROVIDED or name.startswith("_Component__"):
            raise TypeError(
                f"{cls.__qualname__} must not define {name}: a Component has it for its "
                "subclasses to use, so take another name"
            )
        if name in FILLED_IN and not inspect.iscoroutinefunction(inspect.unwrap(value)):
            raise TypeError(f"{cls.__qualname__}.{name} must be an async method")


class Provided:
    """A method of Component for subclasses to use, which no attribute of an object replaces."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self.__doc__ = function.__doc__

    def __get__(self, component: object, cls: type | None = None) -> Any:
        return self._function if component is None else MethodType(self._function, component)

    def __set__(self, component: object, value: object) -> None:
        raise AttributeError(
            f"{type(component).__qualname__} must not set {self._function.__name__}: a Component "
            "has it for its subclasses to use, so take another name"
        )
