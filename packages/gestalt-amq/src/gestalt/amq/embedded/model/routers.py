"""How exchanges choose among their bindings: one class for each type of exchange."""

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gestalt.amq.wire import AmqpError, FieldValue, Properties

from .arguments import type_name
from .hash_ring import HASH_OF_NOTHING, HashRing, hash_binary
from .headers import check_match_mode, headers_match
from .message import Message
from .topics import TopicPatterns
from .versions import Semantics

# The most that a destination may weigh in a consistent hash.
_MAX_WEIGHT = 10_000
_HASHED_PROPERTIES = ("correlation_id", "message_id", "timestamp")


class Destination(Protocol):
    """What an exchange asks of what it leads to: a queue, or another exchange.

    Attributes:
        name: its name.
        kind: the type of a queue, or `exchange`.
        incoming: the bindings that lead here.
    """

    name: str
    incoming: "dict[Any, None]"

    @property
    def kind(self) -> str: ...


class Way(Protocol):
    """What a router asks of a binding."""

    @property
    def destination(self) -> Destination: ...
    @property
    def routing_key(self) -> str: ...
    @property
    def arguments(self) -> Mapping[str, FieldValue]: ...


class Router(Protocol):
    """How the exchanges of one type choose among their bindings.

    `by_key` tells whether the choice depends on the routing key alone, and may be remembered.
    """

    by_key: bool

    def add(self, binding: Way) -> None: ...
    def remove(self, binding: Way) -> None: ...
    def route(self, key: str, message: Message, /) -> Iterable[Way]: ...


class _Direct:
    by_key = True

    def __init__(self) -> None:
        self._bindings: dict[str, dict[Way, None]] = {}

    def add(self, binding: Way) -> None:
        self._bindings.setdefault(binding.routing_key, {})[binding] = None

    def remove(self, binding: Way) -> None:
        bindings = self._bindings[binding.routing_key]
        del bindings[binding]
        if not bindings:
            del self._bindings[binding.routing_key]

    def route(self, key: str, _message: Message, /) -> Iterable[Way]:
        return self._bindings.get(key, ())


class _Fanout:
    by_key = True

    def __init__(self) -> None:
        self._bindings: dict[Way, None] = {}

    def add(self, binding: Way) -> None:
        self._bindings[binding] = None

    def remove(self, binding: Way) -> None:
        del self._bindings[binding]

    def route(self, _key: str, _message: Message, /) -> Iterable[Way]:
        return self._bindings


class _Topic:
    by_key = True

    def __init__(self) -> None:
        self._patterns: TopicPatterns[Way] = TopicPatterns()

    def add(self, binding: Way) -> None:
        self._patterns.add(binding.routing_key, binding)

    def remove(self, binding: Way) -> None:
        self._patterns.remove(binding.routing_key, binding)

    def route(self, key: str, _message: Message, /) -> Iterable[Way]:
        return self._patterns.match(key)


class _Headers(_Fanout):
    by_key = False

    def add(self, binding: Way) -> None:
        check_match_mode(binding.arguments)
        super().add(binding)

    def route(self, _key: str, message: Message, /) -> Iterable[Way]:
        headers: Mapping[str, FieldValue] = message.properties.headers or {}
        return [binding for binding in self._bindings if headers_match(binding.arguments, headers)]


class _ConsistentHash:
    """Each message goes to one destination; all of one key go to the same.

    The binding key is the weight of its destination. The key is the routing key, a header or a
    property. https://www.rabbitmq.com/docs/exchanges#consistent-hash
    """

    def __init__(self, arguments: Mapping[str, FieldValue]) -> None:
        self._key = _hash_key(arguments)
        self.by_key = self._key is None
        self._ring: HashRing[Destination] = HashRing()
        self._bindings: dict[Destination, list[Way]] = {}

    def add(self, binding: Way) -> None:
        weight = _weight(binding.routing_key)
        self._ring.add(binding.destination, weight)
        self._bindings.setdefault(binding.destination, []).append(binding)

    def remove(self, binding: Way) -> None:
        bindings = self._bindings[binding.destination]
        bindings.remove(binding)
        if not bindings:
            del self._bindings[binding.destination]
        # As in RabbitMQ, the first of several bindings that is removed takes the destination along.
        self._ring.remove(binding.destination)

    def route(self, key: str, message: Message, /) -> Iterable[Way]:
        hashed = hash_binary(key.encode()) if self._key is None else self._key(message.properties)
        destination = self._ring.find(hashed)
        return () if destination is None else self._bindings[destination][:1]


class _LocalRandom:
    """Each message goes to one queue, at random. https://www.rabbitmq.com/docs/local-random-exchange"""

    by_key = False

    def __init__(self) -> None:
        self._bindings: list[Way] = []

    def add(self, binding: Way) -> None:
        if binding.routing_key:
            raise AmqpError(
                "PRECONDITION_FAILED",
                f"Non empty binding '{binding.routing_key}' key not permitted",
            )
        if binding.destination.kind != "classic":
            raise AmqpError(
                "PRECONDITION_FAILED",
                "Destination not found"
                if binding.destination.kind == "exchange"
                else f"Queue type rabbit_{binding.destination.kind}_queue not valid for this"
                " exchange type",
            )
        self._bindings.append(binding)

    def remove(self, binding: Way) -> None:
        self._bindings.remove(binding)

    def route(self, _key: str, _message: Message, /) -> Sequence[Way]:
        return [random.choice(self._bindings)] if self._bindings else ()


_ROUTERS: Mapping[str, Callable[[Mapping[str, FieldValue]], Router]] = {
    "direct": lambda _: _Direct(),
    "fanout": lambda _: _Fanout(),
    "topic": lambda _: _Topic(),
    "headers": lambda _: _Headers(),
    "x-consistent-hash": _ConsistentHash,
    "x-local-random": lambda _: _LocalRandom(),
}


def check_exchange_type(name: str, semantics: Semantics) -> None:
    """Check the type of an exchange that is declared.

    Raises:
        AmqpError: there is no such type; in older versions this closes the connection.
    """
    if name not in _ROUTERS or (name == "x-local-random" and not semantics.local_random):
        raise AmqpError(semantics.unknown_exchange_type, f"unknown exchange type '{name}'")


def make_router(kind: str, arguments: Mapping[str, FieldValue]) -> Router:
    """Return the router of an exchange of this type.

    Raises:
        AmqpError: its arguments are not as the type wants them.
    """
    return _ROUTERS[kind](arguments)


def _hash_key(arguments: Mapping[str, FieldValue]) -> Callable[[Properties], int] | None:
    """Return what makes a number of a message, or None when it is its routing key."""
    header, name = _text(arguments, "hash-header"), _text(arguments, "hash-property")
    if header is not None and name is not None:
        raise AmqpError(
            "PRECONDITION_FAILED", "hash-header and hash-property are mutually exclusive"
        )
    if header is not None:
        return lambda properties: _hashed((properties.headers or {}).get(header))
    if name is None:
        return None
    if name not in _HASHED_PROPERTIES:
        raise AmqpError("PRECONDITION_FAILED", f"Unsupported property: {name}")

    def hash_property(properties: Properties) -> int:
        value = getattr(properties, name)
        return _hashed(str(value) if isinstance(value, int) else value)

    return hash_property


def _text(arguments: Mapping[str, FieldValue], key: str) -> str | None:
    value = arguments.get(key)
    if value is not None and not isinstance(value, str):
        kind = type_name(arguments, key)
        raise AmqpError("PRECONDITION_FAILED", f"invalid type '{kind}' for arg '{key}'")
    return value


def _hashed(value: FieldValue) -> int:
    if value is None:
        return HASH_OF_NOTHING
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return hash_binary(value.encode() if isinstance(value, str) else repr(value).encode())


def _weight(key: str) -> int:
    digits = key[1:] if key[:1] in ("+", "-") else key
    if not (digits.isascii() and digits.isdigit()):
        raise AmqpError(
            "PRECONDITION_FAILED",
            f'The binding key must be an integer: <<"{key}">>'
            if key
            else "The binding key must be an integer: <<>>",
        )
    if key.startswith("-") or not digits.strip("0"):
        raise AmqpError("PRECONDITION_FAILED", "The binding key must be greater than 0")
    if len(digits.lstrip("0")) > 5 or int(digits) > _MAX_WEIGHT:
        raise AmqpError("PRECONDITION_FAILED", f"The binding key must not exceed {_MAX_WEIGHT}")
    return int(digits)
