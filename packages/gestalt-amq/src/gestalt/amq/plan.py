"""What an application needs at the broker, as plain data: it is declared, checked and shown by it.

Each part of a bus describes what it needs by a `Plan`, and declares by the same one, so that what
is shown and what is done cannot differ.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from .topology import Binding, Exchange, Queue, parking_arguments

Declares = Literal["always", "missing", "never"]
"""When a queue is declared: each time, where there is none of that name, or never."""

DEFAULT_EXCHANGE = "amq.default"
"""How permissions call the exchange whose name is ""."""
PRIVATE = r"(amq\.)?gen-.*"
"""The names of a connection's own queues, which the broker makes up, and those of their retries."""


@dataclass(frozen=True, slots=True)
class PlannedQueue:
    """A queue that is needed.

    Args:
        name: its name.
        arguments: those of its declaration.
        durable: it outlives a restart of the broker.
        auto_delete: it vanishes when its last consumer does.
        exclusive: it is one connection's own.
        declares: when it is declared; otherwise it must exist, whatever its arguments are.
        passing: it comes and goes with those who use it, who declare it themselves.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    durable: bool = True
    auto_delete: bool = False
    exclusive: bool = False
    declares: Declares = "always"
    passing: bool = False


@dataclass(frozen=True, slots=True)
class PlannedBinding:
    """A binding that is needed.

    Args:
        source: the exchange that it takes from.
        destination: the queue, or the exchange, that gets what it takes.
        key: the routing key or pattern.
        arguments: those of the binding.
        to_exchange: the destination is an exchange.
        declare: bind it; otherwise somebody else does, and AMQP has no way of looking.
        passing: it comes and goes with those who use it, who bind by themselves.
        recorded: the application has chosen it, and may choose another one by its next version.
    """

    source: str
    destination: str
    key: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    to_exchange: bool = False
    declare: bool = True
    passing: bool = False
    recorded: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        kind = "exchange" if self.to_exchange else "queue"
        arguments = f", {dict(self.arguments)}" if self.arguments else ""
        return f"{kind} {self.destination!r} from {self.source!r} by {self.key!r}{arguments}"


@dataclass(frozen=True, slots=True)
class Permissions:
    """The regular expressions that a user's permissions at the broker are to be.

    Attributes:
        configure, write, read: for `rabbitmqctl set_permissions`, in its order.
    """

    configure: str
    write: str
    read: str

    def __str__(self) -> str:
        return f"configure '{self.configure}', write '{self.write}', read '{self.read}'"


@dataclass(frozen=True, slots=True)
class Plan:
    """What somebody needs at the broker.

    Args:
        exchanges: those that are declared, or must exist.
        queues: the same; what messages are moved to comes before what they are moved from.
        bindings: what is bound.
        publishes: the exchanges that are published to, "" for the default exchange.
        consumes: the queues that are consumed from.
        private: there are queues of a connection's own, whose names the broker makes up.
        privately: the exchanges that those are bound to.
        exact: the queues whose other bindings, as far as they are recorded, are taken away.
    """

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[PlannedQueue, ...] = ()
    bindings: tuple[PlannedBinding, ...] = ()
    publishes: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    private: bool = False
    privately: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()

    def recorded(self) -> dict[str, list[PlannedBinding]]:
        """By its name, what each queue is bound by here, of which a record is kept."""
        found: dict[str, list[PlannedBinding]] = {}
        for each in self.bindings:
            if each.recorded and each.declare:
                found.setdefault(each.destination, []).append(each)
        return found

    def contradictions(self) -> list[str]:
        """What is named more than once, and with different properties."""
        exchanges = _differing((each for each in self.exchanges if each.declare), _plain_exchange)
        queues = _differing((each for each in self.queues if each.declares != "never"), _plain)
        return [f"exchange {name!r}" for name in exchanges] + [f"queue {name!r}" for name in queues]

    def checked(self) -> "Plan":
        """The same, where somebody else declares: only a connection's own queues are declared."""
        return replace(
            self,
            exchanges=tuple(replace(each, declare=False) for each in self.exchanges),
            queues=tuple(
                each if each.exclusive else replace(each, declares="never") for each in self.queues
            ),
            bindings=tuple(
                each if each.passing else replace(each, declare=False) for each in self.bindings
            ),
        )

    def permanent(self) -> "Plan":
        """What others can declare for those who use it, and which stays."""
        return Plan(
            self.exchanges,
            tuple(each for each in self.queues if not (each.passing or each.exclusive)),
            tuple(each for each in self.bindings if not each.passing),
            exact=self.exact,
        )

    def permissions(self) -> Permissions:
        """What a user needs who does all of this; see docs/amq/topology.md."""
        configure: set[str] = set()
        write = {name or DEFAULT_EXCHANGE for name in self.publishes}
        read = {*self.consumes, *self.privately}
        for exchange in self.exchanges:
            if exchange.predeclared:
                continue
            if not exchange.declare:
                # RabbitMQ 4.3 lets only those look for it who may do something with it.
                if exchange.name not in write:
                    read.add(exchange.name)
                continue
            configure.add(exchange.name)
            if (alternate := exchange.arguments.get("alternate-exchange")) is not None:
                read.add(exchange.name)
                write.add(alternate)
        for queue in self.queues:
            if queue.exclusive:
                continue  # it is private
            if queue.declares == "never":
                read.add(queue.name)
                continue
            configure.add(queue.name)
            if (letters := queue.arguments.get("x-dead-letter-exchange")) is not None:
                read.add(queue.name)
                write.add(letters or DEFAULT_EXCHANGE)
        for binding in self.bindings:
            if binding.declare:
                write.add(binding.destination)
                read.add(binding.source)
        for record in map(plan_record, self.recorded()):
            configure.add(record.name)
            read.add(record.name)
            write.add(DEFAULT_EXCHANGE)
        patterns = [PRIVATE] if self.private else []
        return Permissions(*(_matching(names, patterns) for names in (configure, write, read)))


def merge(plans: Iterable[Plan]) -> Plan:
    """All that several need, each thing once."""
    every = list(plans)
    return Plan(
        _once(each for plan in every for each in plan.exchanges),
        _once(each for plan in every for each in plan.queues),
        _once(each for plan in every for each in plan.bindings),
        tuple(dict.fromkeys(each for plan in every for each in plan.publishes)),
        tuple(dict.fromkeys(each for plan in every for each in plan.consumes)),
        any(plan.private for plan in every),
        tuple(dict.fromkeys(each for plan in every for each in plan.privately)),
        tuple(dict.fromkeys(each for plan in every for each in plan.exact)),
    )


def plan_queue(queue: Queue) -> Plan:
    """A shared queue and its parking; with `declare=False` it must exist, and is all."""
    own = PlannedQueue(
        queue.name, queue.all_arguments(), declares="always" if queue.declare else "never"
    )
    if not queue.declare:
        return Plan(queues=(own,))
    return Plan(queues=(PlannedQueue(queue.parking_name, parking_arguments()), own))


def plan_record(queue: str) -> PlannedQueue:
    """The queue that keeps the record of a queue's bindings."""
    return PlannedQueue(f"{queue}.bindings", {"x-queue-type": "classic"}, declares="missing")


def plan_binding(binding: Binding, *, recorded: bool = False) -> Plan:
    """An exchange, what is bound to it, and the bindings.

    Args:
        binding: what the application has chosen, or a part of a bus for itself.
        recorded: it is the application's choice; those of queues are recorded.
    """
    to = binding.to
    own = Plan() if to is None else Plan((to,)) if isinstance(to, Exchange) else plan_queue(to)
    source = Plan((binding.exchange,))
    if to is None:
        return source
    bindings = planned_bindings(binding, to.name)
    if isinstance(to, Exchange):
        bindings = tuple(replace(each, to_exchange=True) for each in bindings)
    elif recorded:
        bindings = tuple(replace(each, recorded=True) for each in bindings)
    return merge([source, own, Plan(bindings=bindings)])


def planned_bindings(binding: Binding, queue: str) -> tuple[PlannedBinding, ...]:
    """The bindings of a queue; the default exchange has none."""
    source = binding.exchange.name
    if not source:
        return ()
    return tuple(PlannedBinding(source, queue, key, binding.arguments) for key in binding.patterns)


T = TypeVar("T", Exchange, PlannedQueue)
S = TypeVar("S", Exchange, PlannedQueue, PlannedBinding)


def _differing(named: Iterable[T], plain: Any) -> list[str]:
    first: dict[str, T] = {}
    return list(
        dict.fromkeys(
            each.name for each in named if plain(first.setdefault(each.name, each)) != plain(each)
        )
    )


def _plain(queue: PlannedQueue) -> PlannedQueue:
    return replace(queue, arguments=dict(queue.arguments), declares="always")


def _plain_exchange(exchange: Exchange) -> Exchange:
    return replace(exchange, arguments=dict(exchange.arguments))


def _once(items: Iterable[S]) -> tuple[S, ...]:
    return tuple(dict.fromkeys(items))


def _matching(names: Iterable[str], patterns: Sequence[str]) -> str:
    """A regular expression that matches these names, and none besides."""
    choices = [re.escape(name) for name in sorted(names)] + list(patterns)
    return f"^({'|'.join(choices)})$" if choices else "^$"
