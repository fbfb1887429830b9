"""What a broker tells of what is in it."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from gestalt.amq.embedded.model import Entry, Queue, Record, Session, Stream, VirtualHost
from gestalt.amq.wire import FieldValue, Properties, read_properties
from gestalt.amq.wire.strings import decode_short_string


@dataclass(frozen=True, slots=True)
class QueueInfo:
    """A queue as it is at a moment: messages that are ready, and delivered but not settled."""

    name: str
    durable: bool
    auto_delete: bool
    exclusive: bool
    arguments: dict[str, FieldValue]
    ready: int
    unacked: int
    consumers: int
    policy: str | None = None
    operator_policy: str | None = None
    type: str = "classic"


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message that is ready in a queue."""

    body: bytes
    properties: Properties
    exchange: str
    routing_key: str
    redelivered: bool


@dataclass(frozen=True, slots=True)
class ConnectionInfo:
    """A client's connection.

    Attributes:
        name: its addresses, the client's first, as RabbitMQ writes them.
        client_name: the name that the client gave it, if any.
        user, virtual_host: who it is, and where; None while it is not open.
        state: `starting`, `running`, `blocked`, `closing`.
        channels: how many are open.
    """

    name: str
    client_name: str | None
    user: str | None
    virtual_host: str | None
    state: str
    channels: int


@dataclass(frozen=True, slots=True)
class ConsumerInfo:
    """A consumer of a queue.

    Attributes:
        connection: the name of its connection.
        channel: the number of its channel.
        ack_required: it acknowledges what it gets.
        prefetch: how many deliveries it may leave unacknowledged; 0 for no limit.
        unacked: how many it has left so.
        active: it gets messages: it is no single active consumer that waits for its turn.
    """

    queue: str
    tag: str
    connection: str
    channel: int
    ack_required: bool
    exclusive: bool
    prefetch: int
    priority: int
    unacked: int
    active: bool


@dataclass(frozen=True, slots=True)
class BindingInfo:
    """A binding of an exchange to a queue or another exchange."""

    source: str
    destination: str
    destination_kind: str
    routing_key: str
    arguments: dict[str, FieldValue]


class Described(Protocol):
    """What is asked of the connection of a client."""

    session: Session | None

    @property
    def name(self) -> str: ...
    @property
    def client_properties(self) -> Mapping[str, FieldValue]: ...
    @property
    def state(self) -> str: ...


def connection_name(transport: asyncio.Transport) -> str:
    """Return the name of a connection: the client's address and the broker's."""
    ends = (transport.get_extra_info(key) for key in ("peername", "sockname"))
    return " -> ".join(f"{end[0]}:{end[1]}" if end else "?" for end in ends)


def queue_info(queue: Queue | Stream) -> QueueInfo:
    """Describe a queue."""
    return QueueInfo(
        queue.name,
        queue.durable,
        queue.auto_delete,
        queue.owner is not None,
        dict(queue.arguments),
        queue.count,
        queue.unacked,
        len(queue.consumers),
        queue.policy.name if queue.policy is not None else None,
        queue.operator_policy.name if queue.operator_policy is not None else None,
        queue.kind,
    )


def message_infos(queue: Queue | Stream) -> list[MessageInfo]:
    """Describe the messages that are ready, or those that a stream keeps."""
    if isinstance(queue, Stream):
        return [_record_info(offset, record) for offset, record in queue.log]
    return [_entry_info(entry) for entry in queue.ready]


def _record_info(offset: int, record: Record) -> MessageInfo:
    exchange, position = decode_short_string(record.address, 0)
    routing_key, _ = decode_short_string(record.address, position)
    properties = read_properties(record.header(offset))
    return MessageInfo(record.body, properties, exchange, routing_key, False)


def _entry_info(entry: Entry) -> MessageInfo:
    message = entry.message
    return MessageInfo(
        message.body,
        message.properties,
        message.exchange,
        message.routing_keys[0],
        entry.redelivered,
    )


def connection_info(client: Described) -> ConnectionInfo:
    """Describe a connection."""
    session = client.session
    name = client.client_properties.get("connection_name")
    return ConnectionInfo(
        client.name,
        name if isinstance(name, str) else None,
        session.user if session is not None else None,
        session.host.name if session is not None else None,
        client.state,
        len(session.channels) if session is not None else 0,
    )


def consumer_infos(client: Described, host: VirtualHost) -> Iterator[ConsumerInfo]:
    """Describe the consumers of a connection, if it is open to the virtual host."""
    session = client.session
    if session is None or session.host is not host:
        return
    for number, channel in session.channels.items():
        for consumer in channel.consumers.values():
            yield ConsumerInfo(
                consumer.queue.name,
                consumer.tag,
                client.name,
                number,
                not consumer.no_ack,
                consumer.exclusive,
                consumer.prefetch,
                consumer.priority,
                consumer.unacked,
                consumer.is_active(),
            )


def binding_infos(host: VirtualHost) -> list[BindingInfo]:
    """Describe the bindings of a virtual host."""
    return [
        BindingInfo(
            binding.source.name,
            binding.destination.name,
            "queue" if isinstance(binding.destination, Queue | Stream) else "exchange",
            binding.routing_key,
            dict(binding.arguments),
        )
        for name in sorted(host.exchanges)
        for binding in host.exchanges[name].bindings.values()
    ]
