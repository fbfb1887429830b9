"""What a test can do to a broker, and see of it. The same for every way to run one."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gestalt.amq.embedded.model import Policy, VirtualHost
from gestalt.amq.wire import AmqpError

from .hub import MEMORY_REASON, Client, Hub
from .infos import (
    BindingInfo,
    ConnectionInfo,
    ConsumerInfo,
    MessageInfo,
    QueueInfo,
    binding_infos,
    connection_info,
    consumer_infos,
    message_infos,
    queue_info,
)

T = TypeVar("T")


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

        def close(hub: Hub) -> int:
            count = _for_each(hub, user, lambda item: item.close(_forced(reason)))
            hub.settle()
            return count

        return self.control(close)

    def close_connection(self, name: str, reason: str = "shutdown") -> bool:
        """Close one connection with CONNECTION_FORCED, as `rabbitmqctl close_connection` does.

        Args:
            name: its name, as `connections` tells it, or the name that the client gave it.
            reason: what the client is told.

        Returns:
            Whether there was one.
        """

        def close(hub: Hub) -> bool:
            found = [item for item in hub.connections if name in _names(item)]
            for connection in found:
                connection.close(_forced(reason))
            hub.settle()
            return bool(found)

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
        operator: bool = False,
    ) -> None:
        """Set a policy, as `rabbitmqctl set_policy` does; it holds at once.

        Args:
            name: its name; another one of this name is replaced.
            pattern: a regular expression that is looked for in the names of queues and exchanges.
            definition: what it says, by RabbitMQ's names, such as `message-ttl` in milliseconds.
            apply_to: `all`, `queues`, `classic_queues`, `quorum_queues`, `streams`, `exchanges`.
            priority: of the policies that match a name, the one of the highest priority applies.
            virtual_host: the virtual host that it is for.
            operator: it is an operator policy: it applies beside the other one, to queues alone,
                and of two numbers the lower one holds.

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
            operator=operator,
        )

        def act(hub: Hub) -> None:
            hub.model.set_policy(policy)
            hub.settle()

        self.control(act)

    def clear_policy(self, name: str, virtual_host: str = "/", *, operator: bool = False) -> bool:
        """Remove a policy, and tell whether it was there; what it said holds no more."""

        def act(hub: Hub) -> bool:
            found = _host(hub, virtual_host).clear_policy(name, operator=operator)
            hub.settle()
            return found

        return self.control(act)

    def policies(self, virtual_host: str = "/", *, operator: bool = False) -> list[Policy]:
        """Return the policies, by name, or the operator policies."""

        def act(hub: Hub) -> list[Policy]:
            host = _host(hub, virtual_host)
            policies = host.operator_policies if operator else host.policies
            return [policies[name] for name in sorted(policies)]

        return self.control(act)

    def connections(self) -> list[ConnectionInfo]:
        """Return the connections, the oldest first."""
        return self.control(lambda hub: [connection_info(item) for item in hub.connections])

    def consumers(self, virtual_host: str = "/") -> list[ConsumerInfo]:
        """Return the consumers, by their queues."""

        def act(hub: Hub) -> list[ConsumerInfo]:
            host = _host(hub, virtual_host)
            return sorted(
                (info for item in hub.connections for info in consumer_infos(item, host)),
                key=lambda info: info.queue,
            )

        return self.control(act)

    def bindings(self, virtual_host: str = "/") -> list[BindingInfo]:
        """Return the bindings, by their sources; those of the default exchange are not told."""
        return self.control(lambda hub: binding_infos(_host(hub, virtual_host)))

    def delete_queue(self, name: str, virtual_host: str = "/") -> int:
        """Delete a queue, as `rabbitmqctl delete_queue` does; its consumers are cancelled.

        Returns:
            How many messages were ready in it.

        Raises:
            AmqpError: there is no such queue.
        """

        def act(hub: Hub) -> int:
            host = _host(hub, virtual_host)
            count = host.delete_queue(host.queue(name))
            hub.settle()
            return count

        return self.control(act)

    def purge_queue(self, name: str, virtual_host: str = "/") -> int:
        """Drop all messages that are ready in a queue, and return how many that were.

        Raises:
            AmqpError: there is no such queue, or it is a stream.
        """

        def act(hub: Hub) -> int:
            host = _host(hub, virtual_host)
            count = host.as_queue(host.queue(name), "queue.purge").purge()
            hub.settle()
            return count

        return self.control(act)

    def connection_count(self) -> int:
        """Return how many connections are open, or being opened."""
        return self.control(lambda hub: len(hub.connections))

    def queues(self, virtual_host: str = "/") -> list[QueueInfo]:
        """Return the queues, by name."""

        def act(hub: Hub) -> list[QueueInfo]:
            queues = _host(hub, virtual_host).queues
            return [queue_info(queues[name]) for name in sorted(queues)]

        return self.control(act)

    def messages(self, queue: str, virtual_host: str = "/") -> list[MessageInfo]:
        """Return the messages that are ready in a queue, in the order of their delivery.

        Raises:
            AmqpError: there is no such queue.
        """

        def act(hub: Hub) -> list[MessageInfo]:
            return message_infos(_host(hub, virtual_host).queue(queue))

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


def _forced(reason: str) -> AmqpError:
    return AmqpError(
        "CONNECTION_FORCED", f"broker forced connection closure with reason '{reason}'"
    )


def _names(client: Client) -> tuple[str, str | None]:
    info = connection_info(client)
    return info.name, info.client_name


def _host(hub: Hub, name: str) -> VirtualHost:
    return hub.model.virtual_host(name)
