"""Exchanges: where messages come in, and the bindings that lead them on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gestalt.amq.wire import AmqpError, FieldValue

from .headers import check_match_mode, headers_match
from .message import Message
from .topics import TopicPatterns


class Destination(Protocol):
    """What an exchange asks of what it leads to: a queue, or another exchange."""

    incoming: "dict[Binding, None]"


@dataclass(frozen=True, eq=False, slots=True)
class Binding:
    """A way from an exchange to a queue or to another exchange."""

    source: "Exchange"
    destination: Destination
    routing_key: str
    arguments: Mapping[str, FieldValue]


class Router(Protocol):
    """How the exchanges of one type choose among their bindings.

    `by_key` tells whether the choice depends on the routing key alone, and may be remembered.
    """

    by_key: bool

    def add(self, binding: Binding) -> None: ...
    def remove(self, binding: Binding) -> None: ...
    def route(self, key: str, message: Message, /) -> Iterable[Binding]: ...


class _Direct:
    by_key = True

    def __init__(self) -> None:
        self._bindings: dict[str, dict[Binding, None]] = {}

    def add(self, binding: Binding) -> None:
        self._bindings.setdefault(binding.routing_key, {})[binding] = None

    def remove(self, binding: Binding) -> None:
        bindings = self._bindings[binding.routing_key]
        del bindings[binding]
        if not bindings:
            del self._bindings[binding.routing_key]

    def route(self, key: str, _message: Message, /) -> Iterable[Binding]:
        return self._bindings.get(key, ())


class _Fanout:
    by_key = True

    def __init__(self) -> None:
        self._bindings: dict[Binding, None] = {}

    def add(self, binding: Binding) -> None:
        self._bindings[binding] = None

    def remove(self, binding: Binding) -> None:
        del self._bindings[binding]

    def route(self, _key: str, _message: Message, /) -> Iterable[Binding]:
        return self._bindings


class _Topic:
    by_key = True

    def __init__(self) -> None:
        self._patterns: TopicPatterns[Binding] = TopicPatterns()

    def add(self, binding: Binding) -> None:
        self._patterns.add(binding.routing_key, binding)

    def remove(self, binding: Binding) -> None:
        self._patterns.remove(binding.routing_key, binding)

    def route(self, key: str, _message: Message, /) -> Iterable[Binding]:
        return self._patterns.match(key)


class _Headers(_Fanout):
    by_key = False

    def add(self, binding: Binding) -> None:
        check_match_mode(binding.arguments)
        super().add(binding)

    def route(self, _key: str, message: Message, /) -> Iterable[Binding]:
        headers: Mapping[str, FieldValue] = message.properties.headers or {}
        return [binding for binding in self._bindings if headers_match(binding.arguments, headers)]


_ROUTERS: dict[str, type[Router]] = {
    "direct": _Direct,
    "fanout": _Fanout,
    "topic": _Topic,
    "headers": _Headers,
}


def check_exchange_type(name: str) -> None:
    """Check the type of an exchange that is declared.

    Raises:
        AmqpError: there is no such type; this closes the connection, as RabbitMQ does.
    """
    if name not in _ROUTERS:
        raise AmqpError("COMMAND_INVALID", f"unknown exchange type '{name}'")


@dataclass(eq=False, slots=True)
class Exchange:
    """An exchange and the bindings from it and to it."""

    name: str
    type: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, FieldValue] = field(default_factory=dict)
    bindings: dict[object, Binding] = field(default_factory=dict)
    incoming: dict[Binding, None] = field(default_factory=dict)
    router: Router = field(init=False)

    def __post_init__(self) -> None:
        self.router = _ROUTERS[self.type]()

    @property
    def alternate(self) -> str | None:
        """The exchange that takes what this one cannot route, or None."""
        name = self.arguments.get("alternate-exchange")
        return name if isinstance(name, str) else None
