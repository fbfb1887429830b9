"""A table from message type to function, itself a handler."""

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from .errors import GestaltError
from .message import Message

Handler: TypeAlias = Callable[[Any], Any]
"""Takes a `Message`; a plain function or an async one. What it returns is for the caller: an
awaitable is awaited by the endpoint, and a responder sends the result back."""

F = TypeVar("F", bound=Handler)


class HandlerNotFound(GestaltError, LookupError):
    """A table of handlers has none for a message, and no default.

    Attributes:
        message: the message that no handler takes; None where whoever raised it did not tell.
    """

    def __init__(self, text: str = "", message: Message[Any] | None = None) -> None:
        super().__init__(text)
        self.message = message


class Handlers:
    """A callable table from message type to handler, for any endpoint that takes a handler.

        handlers = Handlers()

        @handlers.on(Position)
        async def track(message: Message[Position]) -> None: ...

    A message is given to the handler of its type identifier, else to that of its body's class or
    of the nearest base class, else to the default.
    """

    def __init__(self) -> None:
        self._by_id: dict[int, Handler] = {}
        self._by_class: dict[type, Handler] = {}
        self._default: Handler | None = None
        # The class of a body, with the handler found through its bases, None if there is none.
        self._resolved: dict[type, Handler | None] = {}

    def on(self, *types: type | int) -> Callable[[F], F]:
        """Register the decorated function for message classes or integer type identifiers.

        Raises:
            TypeError: one of `types` is neither a class nor an integer, or there are none.
            ValueError: one of `types` has a handler already.
        """
        if not types:
            raise TypeError("on() takes at least one message class or type identifier")
        for key in types:
            if isinstance(key, bool) or not isinstance(key, type | int):
                raise TypeError(f"{key!r} is neither a message class nor a type identifier")
            if key in self._by_id or key in self._by_class:
                raise ValueError(f"{_name(key)} has a handler already")

        def register(handler: F) -> F:
            for key in types:
                if isinstance(key, int):
                    self._by_id[key] = handler
                else:
                    self._by_class[key] = handler
            self._resolved.clear()
            return handler

        return register

    def default(self, handler: F) -> F:
        """Register the decorated function for every message that no other handler takes.

        Raises:
            ValueError: there is a default handler already.
        """
        if self._default is not None:
            raise ValueError("there is a default handler already")
        self._default = handler
        return handler

    @property
    def names(self) -> tuple[str, ...]:
        """What it has handlers for: names of classes, and type identifiers."""
        return (*map(_name, self._by_class), *map(_name, self._by_id))

    def __call__(self, message: Message[Any]) -> Any:
        """Call the handler for `message` and return what it returns.

        Raises:
            HandlerNotFound: no handler takes it.
        """
        if self._by_id and message.type_id in self._by_id:
            return self._by_id[message.type_id](message)
        cls = type(message.body)
        try:
            handler = self._resolved[cls]
        except KeyError:
            handler = self._resolved[cls] = self._resolve(cls)
        if handler is None:
            handler = self._default
            if handler is None:
                raise HandlerNotFound(
                    f"no handler for a {cls.__qualname__} with type id {message.type_id}: {self!r}",
                    message,
                )
        return handler(message)

    def _resolve(self, cls: type) -> Handler | None:
        return next((self._by_class[base] for base in cls.__mro__ if base in self._by_class), None)

    def __repr__(self) -> str:
        return f"<Handlers for {', '.join(self.names) or 'nothing'}>"


def _name(key: type | int) -> str:
    return key.__qualname__ if isinstance(key, type) else f"type id {key}"
