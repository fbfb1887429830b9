"""A table from message type to function, itself a handler."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeAlias, TypeVar, overload

from .around import Around, surround
from .errors import GestaltError, StateError
from .message import Message
from .methods import check_types, methods_of
from .numbers import kind_of
from .registration import Registration

Handler: TypeAlias = Callable[[Any], Any]
"""Takes a `Message`; a plain function or an async one. What it returns is for the caller: an
awaitable is awaited by the endpoint, and a responder sends the result back."""

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
F = TypeVar("F", bound=Handler)
G = TypeVar("G", bound=Around)


class HandlerNotFound(GestaltError, LookupError):
    """A table of handlers has none for a message, and no default.

    Calling `Handlers` raises it; endpoints take it for a fault of whoever sent the message.

    Attributes:
        message: the message that no handler takes; None where whoever raised it did not tell.
    """

    def __init__(self, text: str = "", message: Message[Any] | None = None) -> None:
        super().__init__(text)
        self.message = message


@dataclass(slots=True)
class _Table:
    """What was registered.

    Attributes:
        handlers: by the class of a body, or by type identifier.
        default: the one of all other messages.
        arounds: what is around all of them, the outermost first.
        included: another table has what was here then, so that nothing more may come.
    """

    handlers: dict[type | int, Handler] = field(default_factory=dict)
    default: Handler | None = None
    arounds: list[Around] = field(default_factory=list)
    included: bool = False


class Handlers:
    """A callable table from message type to handler, for any endpoint that takes a handler.

        handlers = Handlers()

        @handlers.on(Position)
        async def track(message: Message[Position]) -> None: ...

    A message is given to the handler of its type identifier, else to that of its body's class or
    of the nearest base class, else to the default.

    Args:
        of: an object whose methods that are decorated by `handles` are the first handlers.

    Raises:
        ValueError: two methods of the object are for the same messages, or it has none.
        TypeError: it is a class.
    """

    def __init__(self, *, of: object = None) -> None:
        self._table = _Table()
        # What is called, with all that is around it: by identifier, and by the class of a body,
        # found through its bases, None if there is none.
        self._called_by_id: dict[int, Handler] = {}
        self._resolved: dict[type, Handler | None] = {}
        self._called_default: Handler | None = None
        if of is not None:
            for method in methods_of(of):
                self._add(method.mark.types, method.handler, default=method.mark.default)

    # Classes alone are the better known case of types.
    @overload
    def on(self, a: type[A], /) -> Registration[A]: ...  # type: ignore[overload-overlap]
    @overload
    def on(self, a: type[A], b: type[B], /) -> Registration[A | B]: ...  # type: ignore[overload-overlap]
    @overload
    def on(self, a: type[A], b: type[B], c: type[C], /) -> Registration[A | B | C]: ...  # type: ignore[overload-overlap]
    @overload
    def on(  # type: ignore[overload-overlap]
        self, a: type[A], b: type[B], c: type[C], d: type[D], /
    ) -> Registration[A | B | C | D]: ...
    @overload
    def on(self, *types: type | int) -> Callable[[F], F]: ...
    def on(self, *types: type | int) -> Any:
        """Register the decorated function for message classes or integer type identifiers.

        Raises:
            TypeError: one of `types` is neither a class nor an integer, or there are none.
            ValueError: one of `types` has a handler already.
            StateError: the table is included in another.
        """
        check_types("on()", types)
        self._check_free(types, default=False)

        def register(handler: F) -> F:
            self._add(types, handler)
            return handler

        return register

    def default(self, handler: F) -> F:
        """Register the decorated function for every message that no other handler takes.

        Raises:
            ValueError: there is a default handler already.
            StateError: the table is included in another.
        """
        self._add((), handler, default=True)
        return handler

    def include(self, other: "Handlers") -> None:
        """Take over the handlers of another table, its default and what is around them.

        The other one is complete by that: who registers more there is told, since it would be
        missing here.

        Raises:
            ValueError: both have a handler for the same messages; nothing was taken over.
            StateError: this table is included in another itself.
        """
        if other is self:
            raise ValueError("a table of handlers cannot include itself")
        table = other._table  # noqa: SLF001 - of an object of this class
        self._check_free(tuple(table.handlers), default=table.default is not None)
        table.included = True
        for key, handler in table.handlers.items():
            self._add((key,), surround(handler, table.arounds))
        if table.default is not None:
            self._add((), surround(table.default, table.arounds), default=True)

    def use(self, around: G) -> G:
        """Put an async function around every handler of the table, also those that come later.

            @handlers.use
            async def measured(message: Message[Any], call: Call) -> Any:
                with duration.time():
                    return await call(message)

        The first is outermost. It may call with another message, or not at all; it sees what the
        handler raises, and what it returns is what the handler would have returned. Where the
        handler is an async generator of replies, `call` lasts from the first of them to the last,
        and is to be awaited in the same task. A message that no handler takes does not come to it.

        With a function around them plain handlers are awaited as async ones are.

        Raises:
            TypeError: it is not an async function.
            StateError: the table is included in another.
        """
        if not (
            inspect.iscoroutinefunction(around)
            or inspect.iscoroutinefunction(type(around).__call__)
        ):
            raise TypeError(
                f"use() takes an async function of (message, call), got {kind_of(around)}"
            )
        self._check_open()
        self._table.arounds.append(around)
        self._prepare()
        return around

    @property
    def names(self) -> tuple[str, ...]:
        """What it has handlers for: names of classes, and type identifiers."""
        handlers = self._table.handlers
        return tuple(_name(key) for key in sorted(handlers, key=lambda key: isinstance(key, int)))

    @property
    def registered(self) -> Mapping[type | int, Handler]:
        """The handlers by what they were registered for, apart from the default."""
        return MappingProxyType(self._table.handlers)

    @property
    def registered_default(self) -> Handler | None:
        """The handler of all other messages; None if there is none."""
        return self._table.default

    def __call__(self, message: Message[Any]) -> Any:
        """Call the handler for `message` and return what it returns.

        Raises:
            HandlerNotFound: no handler takes it.
        """
        if self._called_by_id and message.type_id in self._called_by_id:
            return self._called_by_id[message.type_id](message)
        cls = type(message.body)
        try:
            handler = self._resolved[cls]
        except KeyError:
            handler = self._resolved[cls] = self._resolve(cls)
        if handler is None:
            handler = self._called_default
            if handler is None:
                raise HandlerNotFound(
                    f"no handler for a {cls.__qualname__} with type id {message.type_id}: {self!r}",
                    message,
                )
        return handler(message)

    def _resolve(self, cls: type) -> Handler | None:
        handlers = self._table.handlers
        found = next((handlers[base] for base in cls.__mro__ if base in handlers), None)
        return None if found is None else surround(found, self._table.arounds)

    def _add(
        self, types: tuple[type | int, ...], handler: Handler, *, default: bool = False
    ) -> None:
        self._check_free(types, default=default)
        if not callable(handler):
            raise TypeError(f"a handler is a function of a message, got {kind_of(handler)}")
        for key in types:
            self._table.handlers[key] = handler
        if default:
            self._table.default = handler
        self._prepare()

    def _check_free(self, types: tuple[type | int, ...], *, default: bool) -> None:
        self._check_open()
        for key in types:
            if key in self._table.handlers:
                raise ValueError(f"{_name(key)} has a handler already")
        if default and self._table.default is not None:
            raise ValueError("there is a default handler already")

    def _check_open(self) -> None:
        if self._table.included:
            raise StateError(
                f"{self!r} is included in another table, which would miss what is added now: "
                "register before include(), or there"
            )

    def _prepare(self) -> None:
        """Put what is around them around the handlers anew."""
        table = self._table
        self._called_by_id = {
            key: surround(handler, table.arounds)
            for key, handler in table.handlers.items()
            if isinstance(key, int)
        }
        self._resolved.clear()
        default = table.default
        self._called_default = None if default is None else surround(default, table.arounds)

    def __repr__(self) -> str:
        return f"<Handlers for {', '.join(self.names) or 'nothing'}>"


def _name(key: type | int) -> str:
    return key.__qualname__ if isinstance(key, type) else f"type id {key}"
