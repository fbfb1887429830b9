"""A document, as far as it is compared: what goes which way, by what, and what it looks like."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from .document import PREFIX
from .json_changes import look_up

Action = Literal["send", "receive"]


@dataclass(slots=True)
class Message:
    """One type of message.

    Attributes:
        name: of the type.
        type_id: its number; None where there is none.
        told: what the document says of it.
    """

    name: str
    type_id: int | None
    told: Mapping[str, Any]


@dataclass(slots=True)
class Answer:
    """What answers a message.

    Attributes:
        messages: by their names.
        streamed: whether several may come.
        channel: what they travel by.
    """

    messages: dict[str, Message]
    streamed: bool
    channel: Mapping[str, Any]


@dataclass(slots=True)
class Flow:
    """Messages that go one way on one channel.

    Attributes:
        action: which way, as the application has it.
        title: of the channel, for people.
        channel: what the document says of it.
        messages: by their names.
        answers: by the name of the message that is answered.
        queues: the names of those that are consumed.
    """

    action: Action
    title: str
    channel: Mapping[str, Any]
    messages: dict[str, Message] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    queues: set[str] = field(default_factory=set)


Identity = tuple[str, ...]
"""What a flow is known by in both documents."""


def flows_of(document: Mapping[str, Any]) -> dict[Identity, Flow]:
    """What a document says, by what is known to both sides rather than by its own keys."""
    found: dict[Identity, Flow] = {}
    for operation in (document.get("operations") or {}).values():
        operation = _resolved(document, operation)
        reference = operation.get("channel", {}).get("$ref", "")
        channel = _resolved(document, operation.get("channel"))
        key = reference.rpartition("/")[2]
        action: Action = operation.get("action", "send")
        service = operation.get(f"{PREFIX}service")
        title = _title(channel, key) if service is None else f"service {service}"
        flow = found.setdefault((action, *_identity(channel, key)), Flow(action, title, channel))
        messages = dict(_messages(document, operation.get("messages"), channel))
        flow.messages |= messages
        queue = operation.get(f"{PREFIX}queue")
        if isinstance(queue, Mapping) and "name" in queue:
            flow.queues.add(str(queue["name"]))
        if (reply := operation.get("reply")) is not None:
            answer = _answer(document, _resolved(document, reply))
            flow.answers |= dict.fromkeys(messages, answer)
    return found


def exchange_of(channel: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The exchange of a channel that is one of AMQP."""
    bindings = channel.get("bindings")
    amqp = bindings.get("amqp") if isinstance(bindings, Mapping) else None
    exchange = amqp.get("exchange") if isinstance(amqp, Mapping) else None
    return exchange if isinstance(exchange, Mapping) else None


def _identity(channel: Mapping[str, Any], key: str) -> Identity:
    exchange = exchange_of(channel)
    if exchange is None:
        return ("channel", _name(channel, key))
    address = channel.get("address")
    return ("amqp", str(exchange.get("name", "")), "" if address is None else f"={address}")


def _name(channel: Mapping[str, Any], key: str) -> str:
    return str(channel.get(f"{PREFIX}name", key))


def _title(channel: Mapping[str, Any], key: str) -> str:
    exchange = exchange_of(channel)
    if exchange is None:
        return _name(channel, key)
    name, address = exchange.get("name") or "the default exchange", channel.get("address")
    return str(name) if address is None else f"{name} {address}"


def _answer(document: Mapping[str, Any], reply: Mapping[str, Any]) -> Answer:
    channel = _resolved(document, reply.get("channel"))
    return Answer(
        dict(_messages(document, reply.get("messages"), channel)),
        bool(reply.get(f"{PREFIX}streamed")),
        channel,
    )


def _messages(
    document: Mapping[str, Any], references: Any, channel: Mapping[str, Any]
) -> Iterator[tuple[str, Message]]:
    if references is None:
        references = (channel.get("messages") or {}).values()
    for reference in references:
        told = _resolved(document, reference)
        key = reference.get("$ref", "").rpartition("/")[2]
        name = str(told.get("name") or key)
        number = told.get(f"{PREFIX}type-id")
        yield name, Message(name, number if isinstance(number, int) else None, told)


def _resolved(document: Mapping[str, Any], given: Any) -> Mapping[str, Any]:
    for _ in range(10):
        if not isinstance(given, Mapping) or not isinstance(given.get("$ref"), str):
            break
        given = look_up(document, given["$ref"])
    return given if isinstance(given, Mapping) else {}
