"""A virtual host: exchanges, queues, the bindings between them, and the way of a message."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence

from gestalt.amq.wire import AmqpError, FieldValue

from .arguments import QueueOptions
from .consumer import AnyQueue
from .deadletter import dead_letter, without_cycles
from .exchange import Binding, Exchange
from .limits import Usage
from .message import Message
from .policies import Policy, check_version, chosen
from .queue import Owner, Queue
from .routers import Destination
from .schedule import Schedule
from .stream import Stream
from .versions import Semantics

REPLY_QUEUE = "amq.rabbitmq.reply-to"
REPLY_PREFIX = REPLY_QUEUE + "."

_PREDECLARED = {
    "": "direct",
    "amq.direct": "direct",
    "amq.fanout": "fanout",
    "amq.topic": "topic",
    "amq.headers": "headers",
    "amq.match": "headers",
}
# Routes are remembered, and forgotten with every change of a binding; at most so many.
_MAX_ROUTES = 10_000
# When RabbitMQ tries again where no queue took a message that is dead lettered at least once.
_AT_LEAST_ONCE_RETRY = 180.0


class VirtualHost:
    """What the clients of one virtual host share.

    Args:
        name: the name, as clients give it.
        schedule: for what has to happen later.
        account: is told by how many bytes the messages in queues have grown.
        time: returns the time of day in seconds since 1970, for the headers of dead letters.
        semantics: what holds for the version of RabbitMQ that the broker is like.
        usage: counts what there is in the broker, and refuses what is too much.
        consumer_timeout: how long a delivery may take that no queue and no consumer says of, in
            seconds; None for any time.

    Attributes:
        exchanges, queues: what there is, by name.
        reply_consumers: what delivers a direct reply, by the suffix of its address.
        received: how many messages clients have published.
        delivered: how many were sent to them, on channels that are closed by now.
        refuse_publishes: no message is taken, and publishers are told so.
        policies, operator_policies: what there is, by name.
    """

    def __init__(
        self,
        name: str,
        schedule: Schedule,
        account: Callable[[int], None],
        time: Callable[[], float],
        semantics: Semantics,
        usage: Usage,
        consumer_timeout: float | None,
    ) -> None:
        self.name = name
        self.schedule = schedule
        self.account = account
        self.semantics = semantics
        self.usage = usage
        self.consumer_timeout = consumer_timeout
        self.outstanding = usage.outstanding
        self.time = time
        self.exchanges = {
            exchange: Exchange(exchange, kind, durable=True)
            for exchange, kind in _PREDECLARED.items()
        }
        self.exchanges["amq.rabbitmq.trace"] = Exchange(
            "amq.rabbitmq.trace", "topic", durable=True, internal=True
        )
        self.queues: dict[str, AnyQueue] = {}
        self.reply_consumers: dict[str, Callable[[Message, str], None]] = {}
        self.received = self.delivered = 0
        self.refuse_publishes = False
        self.policies: dict[str, Policy] = {}
        self.operator_policies: dict[str, Policy] = {}
        self._routes: dict[tuple[str, str], Sequence[AnyQueue]] = {}
        self._dead: deque[tuple[Queue, Message, str]] = deque()
        self._burying = False

    # Names

    def resource(self, kind: str, name: str) -> str:
        """Return how errors name a queue or an exchange."""
        return f"{kind} '{name}' in vhost '{self.name}'"

    def exchange(self, name: str) -> Exchange:
        """Return the exchange. Raises AmqpError when there is none."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise AmqpError("NOT_FOUND", f"no {self.resource('exchange', name)}")
        return exchange

    def queue(self, name: str) -> AnyQueue:
        """Return the queue. Raises AmqpError when there is none."""
        queue = self.queues.get(name)
        if queue is None:
            raise AmqpError("NOT_FOUND", f"no {self.resource('queue', name)}")
        return queue

    def as_queue(self, queue: AnyQueue, operation: str) -> Queue:
        """Return the queue. Raises AmqpError when it is a stream, which cannot do the operation."""
        if isinstance(queue, Stream):
            resource = self.resource("queue", queue.name)
            raise AmqpError(
                "NOT_IMPLEMENTED", f"{operation} not supported by stream queues {resource}"
            )
        return queue

    # Policies

    def set_policy(self, policy: Policy) -> None:
        """Add a policy, or replace the one of its name; it holds at once.

        Raises:
            ValueError: the version takes no such policy.
        """
        check_version(policy, self.semantics)
        (self.operator_policies if policy.operator else self.policies)[policy.name] = policy
        self._apply_policies()

    def clear_policy(self, name: str, *, operator: bool = False) -> bool:
        """Remove a policy, and tell whether it was there."""
        policies = self.operator_policies if operator else self.policies
        found = policies.pop(name, None) is not None
        self._apply_policies()
        return found

    def _apply_policies(self) -> None:
        for exchange in self.exchanges.values():
            exchange.policy = chosen(self.policies, "exchange", exchange.name)
        for queue in list(self.queues.values()):
            self._apply_to(queue)
        self._routes.clear()

    def _apply_to(self, queue: AnyQueue) -> None:
        policy, operator = (
            chosen(policies, queue.kind, queue.name)
            for policies in (self.policies, self.operator_policies)
        )
        queue.apply(policy, operator)

    # Topology

    def add_exchange(self, exchange: Exchange) -> None:
        """Add an exchange that was not there. Raises AmqpError when there are too many."""
        self.usage.add_exchange(exchange.name, self.name, exchange.arguments)
        self.exchanges[exchange.name] = exchange
        exchange.policy = chosen(self.policies, "exchange", exchange.name)
        self._routes.clear()

    def delete_exchange(self, exchange: Exchange) -> None:
        """Delete an exchange, with the bindings from it and to it."""
        if self.exchanges.pop(exchange.name, None) is None:
            return  # pragma: no cover - deleted with its last binding
        self.usage.remove_exchange(exchange.arguments)
        for binding in [*exchange.bindings.values(), *exchange.incoming]:
            self._unbind(binding)
        self._routes.clear()

    def add_queue(
        self,
        name: str,
        *,
        durable: bool,
        auto_delete: bool,
        owner: Owner | None,
        arguments: Mapping[str, FieldValue],
        options: QueueOptions,
    ) -> AnyQueue:
        """Add a queue that was not there. Raises AmqpError when there are too many."""
        self.usage.add_queue(name, self.name, arguments)
        queue: AnyQueue
        if options.kind == "stream":
            queue = Stream(self, name, arguments=arguments, options=options)
        else:
            queue = Queue(
                self,
                name,
                durable=durable,
                auto_delete=auto_delete,
                owner=owner,
                arguments=arguments,
                options=options,
            )
            if owner is not None:
                owner.exclusive_queues[name] = queue
        self.queues[name] = queue
        self._apply_to(queue)
        self._routes.clear()
        return queue

    def delete_queue(self, queue: AnyQueue) -> int:
        """Delete a queue with its messages and bindings, cancel its consumers.

        Returns:
            How many messages were ready in it.
        """
        if queue.deleted:  # pragma: no cover - two things delete it at once
            return 0
        queue.close()
        del self.queues[queue.name]
        self.usage.remove_queue(queue.arguments)
        if queue.owner is not None:
            del queue.owner.exclusive_queues[queue.name]
        self._routes.clear()
        for binding in list(queue.incoming):
            self._unbind(binding)
        count = queue.purge()
        for consumer in queue.consumers:
            consumer.cancelled()
        return count

    def bind(
        self,
        source: Exchange,
        destination: Destination,
        routing_key: str,
        arguments: Mapping[str, FieldValue],
    ) -> None:
        """Add a binding, unless the same one is there. Raises AmqpError for one too many."""
        key = _binding_key(destination, routing_key, arguments)
        if key not in source.bindings:
            binding = Binding(source, destination, routing_key, arguments)
            self.usage.add_binding(destination.name, self.name, arguments)
            source.router.add(binding)
            source.bindings[key] = binding
            destination.incoming[binding] = None
            self._routes.clear()

    def unbind(
        self,
        source: Exchange,
        destination: Destination,
        routing_key: str,
        arguments: Mapping[str, FieldValue],
    ) -> None:
        """Remove a binding, if there is such a one."""
        binding = source.bindings.get(_binding_key(destination, routing_key, arguments))
        if binding is not None:
            self._unbind(binding)

    def _unbind(self, binding: Binding) -> None:
        source, destination = binding.source, binding.destination
        key = _binding_key(destination, binding.routing_key, binding.arguments)
        if source.bindings.pop(key, None) is None:
            return
        self.usage.remove_binding(binding.arguments)
        source.router.remove(binding)
        del destination.incoming[binding]
        self._routes.clear()
        if source.auto_delete and not source.bindings:
            self.delete_exchange(source)

    # Messages

    def route(self, exchange: Exchange, message: Message) -> Sequence[AnyQueue]:
        """Return the queues that a message goes to from an exchange, each once."""
        if len(message.routing_keys) > 1:
            return self._route(exchange, message)[0]
        key = (exchange.name, message.routing_keys[0])
        queues = self._routes.get(key)
        if queues is None:
            queues, by_key = self._route(exchange, message)
            if by_key:
                if len(self._routes) >= _MAX_ROUTES:  # pragma: no cover - ten thousand routes
                    self._routes.clear()
                self._routes[key] = queues
        return queues

    def _route(self, first: Exchange, message: Message) -> tuple[Sequence[AnyQueue], bool]:
        """Return the queues, and whether they depend on the routing key alone."""
        queues: dict[AnyQueue, None] = {}
        by_key = True
        seen = {first}
        work = [first]
        while work:
            exchange = work.pop()
            by_key = by_key and exchange.router.by_key
            following: list[Exchange | None] = []
            found = False
            for routing_key in message.routing_keys:
                if not exchange.name:
                    if (queue := self.queues.get(routing_key)) is not None:
                        queues[queue] = None
                    continue
                for binding in exchange.router.route(routing_key, message):
                    found = True
                    if isinstance(binding.destination, Queue | Stream):
                        queues[binding.destination] = None
                    elif isinstance(binding.destination, Exchange):  # pragma: no branch - for mypy
                        following.append(binding.destination)
            if not found and exchange.alternate is not None:
                following.append(self.exchanges.get(exchange.alternate))
            for next_exchange in following:
                if next_exchange is not None and next_exchange not in seen:
                    seen.add(next_exchange)
                    work.append(next_exchange)
        return tuple(queues), by_key

    def dead_letter(self, queue: Queue, message: Message, reason: str) -> None:
        """Send a message that died in a queue to the queue's dead letter exchange, if it has one.

        One death can cause others; they are dealt with one after the other, not in one another.
        """
        if queue.options.dead_letter_exchange is None:
            return
        self._dead.append((queue, message, reason))
        if self._burying:
            return
        self._burying = True
        try:
            while self._dead:
                self._bury(*self._dead.popleft())
        finally:
            self._burying = False

    def _bury(self, queue: Queue, message: Message, reason: str) -> None:
        name = queue.options.dead_letter_exchange or ""
        exchange = self.exchanges.get(name)
        taken = False
        if exchange is not None:
            own_deaths = self.semantics.own_deaths
            dead = dead_letter(message, queue, reason, name, self.time(), own_deaths=own_deaths)
            targets = without_cycles(dead, reason, self.route(exchange, dead))
            refused = sum(not _accepts(target, dead) for target in targets)
            taken = bool(targets) and not refused
        if not taken and queue.options.at_least_once:
            self._keep(queue, message, reason)

    def _keep(self, queue: Queue, message: Message, reason: str) -> None:
        """Keep a dead message that is not to be lost, and try again later."""
        self.account(message.size)

        def again() -> None:
            self.account(-message.size)
            if not queue.deleted:
                self.dead_letter(queue, message, reason)

        self.schedule.call_at(self.schedule.now() + _AT_LEAST_ONCE_RETRY, again)


def _accepts(queue: AnyQueue, message: Message) -> bool:
    """Whether a queue takes a dead message; one that a stream cannot keep is nobody's error."""
    try:
        return queue.accept(message)
    except AmqpError:
        return False


def _binding_key(
    destination: Destination, routing_key: str, arguments: Mapping[str, FieldValue]
) -> object:
    return destination, routing_key, _frozen(arguments)


def _frozen(value: FieldValue) -> object:
    match value:
        case Mapping():
            return tuple(sorted((key, _frozen(item)) for key, item in value.items()))
        case list():
            return tuple(_frozen(item) for item in value)
        case _:
            return type(value).__name__, value
