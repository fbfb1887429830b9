"""What a test can do to a broker, and see of it. The same for every way to run one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from gestalt.amq.embedded.model import Policy, Queue, Stream, VirtualHost
from gestalt.amq.wire import AmqpError, FieldValue, Properties, read_properties
from gestalt.amq.wire.strings import decode_short_string

from .hub import MEMORY_REASON, Client, Hub

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class MessageInfo:
    """A message that is ready in a queue."""

    body: bytes
    properties: Properties
    exchange: str
    routing_key: str
    redelivered: bool


class Controls:
    """The controls. Each acts at once, and has acted when it returns.

    A class that runs a broker fills in `control`, which all others are made of.
    """

    def control(self, action: Callable[[Hub], T]) -> T:
        """Call the action where the broker runs, with its inside, and return what it returns.

        What is inside may be another thing in each release.

        Raises:
            StateError: the broker is not running.
        """
        raise NotImplementedError

    def drop_connections(self, user: str | None = None) -> int:
        """Cut connections without a word, as when a network fails.

        Args:
            user: only this user's; None for all.

        Returns:
            How many were cut.
        """
        return self.control(lambda hub: _for_each(hub, user, lambda item: item.abort()))

    def close_connections(self, user: str | None = None, reason: str = "shutdown") -> int:
        """Close connections with CONNECTION_FORCED, as when an operator does.

        Args:
            user: only this user's; None for all.
            reason: what the clients are told.

        Returns:
            How many are being closed.
        """
        text = f"broker forced connection closure with reason '{reason}'"
        error = AmqpError("CONNECTION_FORCED", text)

        def close(hub: Hub) -> int:
            count = _for_each(hub, user, lambda item: item.close(error))
            hub.settle()
            return count

        return self.control(close)

    def freeze(self) -> None:
        """Neither read nor write any more, as when a host hangs; connections stay open."""
        self.control(lambda hub: hub.freeze(True))

    def unfreeze(self) -> None:
        """End `freeze`."""
        self.control(lambda hub: hub.freeze(False))

    def refuse_connections(self) -> None:
        """Stop to listen: new connections are refused, the open ones stay."""
        self.control(lambda hub: hub.listener.close())

    def accept_connections(self) -> None:
        """End `refuse_connections`, on the same port."""
        self.control(lambda hub: hub.listener.open())

    def block_publishers(self, reason: str = MEMORY_REASON) -> None:
        """Block every connection that publishes, with connection.blocked, as when memory is low.

        As with RabbitMQ, a connection is blocked by its next publish. That waits, and what follows.
        """
        self.control(lambda hub: hub.block(reason))

    def unblock_publishers(self) -> None:
        """End `block_publishers`."""
        self.control(lambda hub: hub.block(None))

    def reject_publishes(self, reject: bool = True) -> None:
        """Drop every message that is published, and answer with basic.nack where confirms are on.

        Args:
            reject: False to end it.
        """

        def act(hub: Hub) -> None:
            for host in hub.model.virtual_hosts.values():
                host.refuse_publishes = reject

        self.control(act)

    def set_policy(
        self,
        name: str,
        pattern: str,
        definition: Mapping[str, Any],
        *,
        apply_to: str = "all",
        priority: int = 0,
        virtual_host: str = "/",
    ) -> None:
        """Set a policy, as `rabbitmqctl set_policy` does; it holds at once.

        Args:
            name: its name; another one of this name is replaced.
            pattern: a regular expression that is looked for in the names of queues and exchanges.
            definition: what it says, by RabbitMQ's names, such as `message-ttl` in milliseconds.
            apply_to: `all`, `queues`, `classic_queues`, `quorum_queues`, `streams`, `exchanges`.
            priority: of the policies that match a name, the one of the highest priority applies.
            virtual_host: the virtual host that it is for.

        Raises:
            ValueError: there can be no such policy, or there is no such virtual host.
        """
        policy = Policy(
            name=name,
            pattern=pattern,
            definition=definition,
            apply_to=apply_to,
            priority=priority,
            virtual_host=virtual_host,
        )

        def act(hub: Hub) -> None:
            hub.model.set_policy(policy)
            hub.settle()

        self.control(act)

    def clear_policy(self, name: str, virtual_host: str = "/") -> bool:
        """Remove a policy, and tell whether it was there; what it said holds no more."""

        def act(hub: Hub) -> bool:
            found = _host(hub, virtual_host).clear_policy(name)
            hub.settle()
            return found

        return self.control(act)

    def policies(self, virtual_host: str = "/") -> list[Policy]:
        """Return the policies, by name."""

        def act(hub: Hub) -> list[Policy]:
            policies = _host(hub, virtual_host).policies
            return [policies[name] for name in sorted(policies)]

        return self.control(act)

    def connection_count(self) -> int:
        """Return how many connections are open, or being opened."""
        return self.control(lambda hub: len(hub.connections))

    def queues(self, virtual_host: str = "/") -> list[QueueInfo]:
        """Return the queues, by name."""

        def act(hub: Hub) -> list[QueueInfo]:
            queues = _host(hub, virtual_host).queues
            return [_queue_info(queues[name]) for name in sorted(queues)]

        return self.control(act)

    def messages(self, queue: str, virtual_host: str = "/") -> list[MessageInfo]:
        """Return the messages that are ready in a queue, in the order of their delivery.

        Raises:
            AmqpError: there is no such queue.
        """

        def act(hub: Hub) -> list[MessageInfo]:
            found = _host(hub, virtual_host).queue(queue)
            return _records(found) if isinstance(found, Stream) else _entries(found)

        return self.control(act)

    def exchanges(self, virtual_host: str = "/") -> dict[str, str]:
        """Return the types of the exchanges by their names."""
        return self.control(
            lambda hub: {
                name: exchange.type for name, exchange in _host(hub, virtual_host).exchanges.items()
            }
        )

    def memory(self) -> int:
        """Return what the messages cost that the broker holds, in bytes."""
        return self.control(lambda hub: hub.model.memory)


def _for_each(hub: Hub, user: str | None, action: Callable[[Client], None]) -> int:
    chosen = [item for item in hub.connections if user is None or item.user == user]
    for connection in chosen:
        action(connection)
    return len(chosen)


def _host(hub: Hub, name: str) -> VirtualHost:
    return hub.model.virtual_host(name)


def _entries(queue: Queue) -> list[MessageInfo]:
    return [
        MessageInfo(
            entry.message.body,
            entry.message.properties,
            entry.message.exchange,
            entry.message.routing_keys[0],
            entry.redelivered,
        )
        for entry in queue.ready
    ]


def _records(stream: Stream) -> list[MessageInfo]:
    infos = []
    for offset, record in stream.log:
        exchange, position = decode_short_string(record.address, 0)
        routing_key, _ = decode_short_string(record.address, position)
        properties = read_properties(record.header(offset))
        infos.append(MessageInfo(record.body, properties, exchange, routing_key, False))
    return infos


def _queue_info(queue: Queue | Stream) -> QueueInfo:
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
    )
