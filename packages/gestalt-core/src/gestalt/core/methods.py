"""Methods of a class as handlers."""

from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeVar, overload

from .numbers import kind_of
from .registration import MethodRegistration

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
F = TypeVar("F", bound=Callable[..., Any])

MARK = "__gestalt_handles__"


class Mark(NamedTuple):
    """What a method handles."""

    types: tuple[type | int, ...]
    default: bool


class Method(NamedTuple):
    """A method of an object that handles messages, and which."""

    name: str
    handler: Callable[[Any], Any]
    mark: Mark


# Classes alone are the better known case of types.
@overload
def handles(a: type[A], /) -> MethodRegistration[A]: ...  # type: ignore[overload-overlap]
@overload
def handles(a: type[A], b: type[B], /) -> MethodRegistration[A | B]: ...  # type: ignore[overload-overlap]
@overload
def handles(a: type[A], b: type[B], c: type[C], /) -> MethodRegistration[A | B | C]: ...  # type: ignore[overload-overlap]
@overload
def handles(  # type: ignore[overload-overlap]
    a: type[A], b: type[B], c: type[C], d: type[D], /
) -> MethodRegistration[A | B | C | D]: ...
@overload
def handles(*types: type | int) -> Callable[[F], F]: ...
@overload
def handles(*, default: Literal[True]) -> Callable[[F], F]: ...
def handles(*types: type | int, default: bool = False) -> Any:
    """Have `Handlers(of=...)` take the decorated method for messages of these types.

        class Tracker:
            @handles(Position)
            async def track(self, message: Message[Position]) -> None: ...

    The method is left as it is. One of a subclass that has its name takes its place: for the same
    messages, unless it is itself decorated for others.

    Args:
        types: message classes or type identifiers.
        default: it takes every message that no other handler takes.

    Raises:
        TypeError: one of `types` is neither a class nor an integer, or there are none.
        ValueError: there are types, and it is the default as well.
    """
    if types and default:
        raise ValueError("a method handles certain types, or is the default: not both")
    if not default:
        check_types("handles()", types)
    mark = Mark(types, default)

    def decorate(method: F) -> F:
        setattr(method, MARK, mark)
        return method

    return decorate


def methods_of(owner: object) -> Iterator[Method]:
    """The methods of an object that handle messages, those of base classes first.

    Raises:
        TypeError: `owner` is a class.
        ValueError: it has none.
    """
    if isinstance(owner, type):
        raise TypeError(f"Handlers(of=...) takes an object, got the class {owner.__qualname__}")
    marks: dict[str, Mark] = {}
    for cls in reversed(type(owner).__mro__):
        for name, value in vars(cls).items():
            function = getattr(value, "__func__", value)
            mark = getattr(function, MARK, None)
            if mark is not None:
                marks[name] = mark
    if not marks:
        raise ValueError(
            f"{type(owner).__qualname__} has no methods that handle messages: "
            "decorate them by @handles(...)"
        )
    for name, mark in marks.items():
        handler = getattr(owner, name)
        # A subclass may take one away, by None.
        if handler is not None:
            yield Method(name, handler, mark)


def check_types(what: str, types: tuple[object, ...]) -> None:
    """See that there are classes or type identifiers, and nothing else.

    Raises:
        TypeError: there are not.
    """
    if not types:
        raise TypeError(f"{what} takes at least one message class or type identifier")
    for key in types:
        if isinstance(key, bool) or not isinstance(key, type | int):
            raise TypeError(f"{kind_of(key)} is neither a message class nor a type identifier")
