"""What an application exchanges with others, as plain data: for documents, and for comparing them.

Nothing here is imported by an application that runs; `gestalt schema` of gestalt-runner asks for
it. Fields that are called `facts` go into the document as they are, each by the name "x-gestalt-"
and its own.
"""

import collections.abc
import functools
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .batch import MessageBatch
from .component import Component
from .describing import Key, describes, describing, note, noted
from .errors import GestaltError
from .handlers import Handlers
from .message import Message
from .numbers import kind_of

__all__ = [
    "Channel",
    "ContractError",
    "Key",
    "MessageShape",
    "Note",
    "Operation",
    "Received",
    "Reply",
    "Server",
    "describes",
    "note",
    "note_of",
    "read",
    "received_by",
]

Facts: TypeAlias = Mapping[str, Any]


class ContractError(GestaltError, ValueError):
    """What an application exchanges cannot be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageShape:
    """What the messages of one type look like.

    Args:
        name: of the type, on the wire where it is told there.
        schema: of the body. JSON Schema by default, with definitions in its own "$defs".
        schema_format: the MIME type of another kind of schema; empty for JSON Schema.
        content_type: the MIME type of bodies.
        type_id: the number that stands for the type; None where there is none.
        description: what it is for.
        python_class: the class of bodies; None where it is not known.
        facts: what else there is to know.
    """

    name: str
    schema: Any
    schema_format: str = ""
    content_type: str = "application/octet-stream"
    type_id: int | None = None
    description: str = ""
    python_class: type | None = None
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where messages go, or come from.

    Args:
        protocol: "tcp", "tls", "unix", "udp", "amqp" or "amqps"; or one of your own.
        host: the host, with its port. There are no secrets in it.
        pathname: what follows the host: a virtual host, or the path of a unix socket.
        name: how it is called here.
    """

    protocol: str
    host: str
    pathname: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """What messages travel by.

    Args:
        name: tells it from others, also in the next version of the application.
        address: such as a routing key; None where it is not known beforehand.
        servers: where it is.
        title, description: for people.
        bindings: by protocol, as AsyncAPI has them.
        facts: what both ends have to agree about: the framing, compression and so on.
    """

    name: str
    address: str | None = None
    servers: Sequence[Server] = ()
    title: str = ""
    description: str = ""
    bindings: Facts = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What answers a message.

    Args:
        channel: what it travels by.
        messages: of which there is one, or any number where it is streamed.
        streamed: whether several may come.
    """

    channel: Channel
    messages: Sequence[MessageShape] = ()
    streamed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """Something that the application does with messages.

    Args:
        action: what it does.
        name: tells it from others, also in the next version of the application.
        channel: what the messages travel by.
        messages: what they may be.
        reply: what answers them; None for nothing.
        title, description: for people.
        bindings: by protocol, as AsyncAPI has them.
        facts: what else there is to know.
    """

    action: Literal["send", "receive"]
    name: str
    channel: Channel
    messages: Sequence[MessageShape] = ()
    reply: Reply | None = None
    title: str = ""
    description: str = ""
    bindings: Facts = field(default_factory=dict)
    facts: Facts = field(default_factory=dict)


def read(component: Component) -> list[Operation]:
    """What a component exchanges with others, apart from its parts.

    Raises:
        ContractError: it cannot be told; the cause is why.
    """
    found: list[Operation] = []
    for method in describing(type(component)):
        try:
            found.extend(map(_checked, method(component)))
        except Exception as error:
            raise ContractError(
                f"what {component.name!r}, a {type(component).__name__}, exchanges cannot be told: "
                f"{error}"
            ) from error
    return found


def _checked(operation: object) -> Operation:
    if not isinstance(operation, Operation):
        raise TypeError(f"an Operation is needed, got {kind_of(operation)}")
    return operation


# What an application says of a component, beyond what its arguments say


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """What an application says of what exchanges messages; see `note`."""

    sends: tuple[Key, ...] | None = None
    receives: tuple[Key, ...] | None = None
    keys: tuple[str, ...] = ()
    title: str = ""
    description: str = ""


def note_of(owner: object) -> Note:
    """What was said of it; a note without anything where nothing was."""
    return Note(**noted(owner))


# What handlers say by themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """What one function handles, as far as it says so.

    Args:
        keys: the types of messages; None for any.
        replies: classes of what it returns; None where that is not known.
        streamed: it gives any number of replies.
        description: its docstring.
    """

    keys: tuple[Key, ...] | None
    replies: tuple[type, ...] | None = None
    streamed: bool = False
    description: str = ""


_STREAMS = (
    collections.abc.AsyncGenerator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
)
_AWAITABLES = (collections.abc.Coroutine, collections.abc.Awaitable)


def received_by(handler: Callable[[Any], Any]) -> list[Received]:
    """What a handler takes, one entry for each of its functions.

    A table of handlers says it by what they are registered for, a function by its annotations:
    `message: Message[Position]`, and what is returned.
    """
    if isinstance(handler, Handlers):
        found: dict[int, tuple[Callable[[Any], Any], list[Key]]] = {}
        for key, function in handler.registered.items():
            # Of one function that is in an included table there are several.
            found.setdefault(id(inspect.unwrap(function)), (function, []))[1].append(key)
        entries = [_received(function, tuple(keys)) for function, keys in found.values()]
        if handler.registered_default is not None:
            entries.append(_received(handler.registered_default, None))
        return entries
    keys, _ = _annotated(handler)
    return [_received(handler, keys)]


def _received(function: Callable[[Any], Any], keys: tuple[Key, ...] | None) -> Received:
    _, returned = _annotated(function)
    function = _plain(function)
    streamed = inspect.isasyncgenfunction(function)
    kind = typing.get_origin(returned) or returned
    given = typing.get_args(returned) or (Any,)
    if kind in _STREAMS:
        streamed, returned = True, given[0]
    elif kind in _AWAITABLES:
        returned = given[-1]
    return Received(
        keys=keys,
        replies=_classes(returned),
        streamed=streamed,
        description=_described(function),
    )


def _described(function: Any) -> str:
    """The docstring that its author gave it."""
    if not (inspect.isfunction(function) or inspect.ismethod(function)):
        return ""
    return inspect.getdoc(function) or ""


def _plain(function: Any) -> Any:
    """The function that is at the bottom of what is called."""
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = getattr(function, "__call__", function)  # noqa: B004 - its annotations are asked for
    return inspect.unwrap(function)


def _annotated(function: Callable[[Any], Any]) -> tuple[tuple[Key, ...] | None, Any]:
    """The types of messages that a function says it takes, and its return annotation."""
    function = _plain(function)
    try:
        hints = typing.get_type_hints(function)
        names = list(inspect.signature(function).parameters)
    except Exception:
        # What is not there to be looked up says nothing.
        return None, None
    # Those before it are given already, as by a partial.
    bodies = (_bodies(hints.get(name)) for name in names)
    return next((keys for keys in bodies if keys), None), hints.get("return")


def _bodies(annotation: Any) -> tuple[Key, ...] | None:
    """The classes of bodies of a `Message[...]`, or of a batch of them."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        found = [_bodies(each) for each in arguments]
        if any(each is None for each in found):
            return None
        return tuple(key for each in found for key in each or ())
    if not (isinstance(origin, type) and len(arguments) == 1):
        return None
    if issubclass(origin, MessageBatch):
        return _bodies(arguments[0]) or _classes(arguments[0])
    return _classes(arguments[0]) if issubclass(origin, Message) else None


def _classes(annotation: Any) -> tuple[type, ...] | None:
    """The classes that an annotation names; None where it may be anything."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [_classes(each) for each in typing.get_args(annotation)]
        if any(each is None for each in found):
            return None
        return tuple(cls for each in found for cls in each or ())
    if annotation in (None, Any, object) or isinstance(annotation, typing.TypeVar):
        return None
    if annotation is types.NoneType:
        return ()
    return (annotation,) if isinstance(annotation, type) else None
