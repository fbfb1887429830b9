"""What publishing and subscribing need at the broker."""

from collections.abc import Iterator

from gestalt.amq.plan import Declares, Plan, PlannedQueue, merge, plan_binding
from gestalt.amq.topology import (
    Binding,
    Exchange,
    Queue,
    parking_arguments,
    private_retry_arguments,
    retry_arguments,
)

from .declaration import SubscriptionDeclaration
from .retry import FailurePolicy


def plan_publishing(exchange: Exchange) -> Plan:
    """What a publisher needs."""
    return Plan((exchange,), publishes=(exchange.name,))


def binding_of(declaration: SubscriptionDeclaration, to: Queue | Exchange | None) -> Binding:
    """What a subscription's queue takes, or the exchange that leads to its parts."""
    return Binding(declaration.exchange, declaration.patterns, to, declaration.bind_arguments)


def plan_subscription(binding: Binding, policy: FailurePolicy, *, exact: bool) -> Plan:
    """What a subscription needs: its queue, its bindings, and where failures are moved to."""
    exchange = binding.exchange
    if binding.to is None:
        return Plan(
            (exchange,),
            publishes=() if policy.retry is None else ("",),
            private=True,
            privately=(exchange.name,) if exchange.name else (),
        )
    name = binding.to.name
    failures = tuple(plan_failures(name, policy._replace(declare=True)))
    own = Plan(queues=failures, publishes=("",), consumes=(name,), exact=(name,) if exact else ())
    return merge([plan_binding(binding, recorded=True), own])


def plan_failures(origin: str, policy: FailurePolicy) -> Iterator[PlannedQueue]:
    """All that failed messages of a queue are moved to; parking first, then the shortest delay."""
    if (parking := plan_parking(policy)) is not None:
        yield parking
    if policy.retry is not None and not policy.waits_here:
        for delay in policy.retry.delays():
            yield plan_retry(origin, policy, delay)


def plan_retry(origin: str, policy: FailurePolicy, delay: float) -> PlannedQueue:
    """The queue of those that are handled again after a delay, in seconds."""
    milliseconds = max(1, round(delay * 1000))
    # The broker makes up names of private queues that nobody else may give.
    stem = origin.removeprefix("amq.")
    name = f"{stem}.retry.{milliseconds}"
    if policy.private:
        arguments = private_retry_arguments(origin, milliseconds)
        return PlannedQueue(name, arguments, durable=False, exclusive=True)
    return PlannedQueue(name, retry_arguments(origin, milliseconds), declares=_declares(policy))


def plan_parking(policy: FailurePolicy) -> PlannedQueue | None:
    """The queue of those that are not handled any more, if there is one."""
    if policy.parking is None:
        return None
    return PlannedQueue(policy.parking, parking_arguments(), declares=_declares(policy))


def _declares(policy: FailurePolicy) -> Declares:
    if not policy.declare:
        return "never"
    return "missing" if policy.given else "always"
