"""Makes subscriptions of what is declared of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from gestalt.amq.events import Event
from gestalt.amq.link.consumer import Timing
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan
from gestalt.amq.topology import Queue
from gestalt.amq.tracing import Tracing
from gestalt.codecs import Codec, Codecs

from .declaration import SubscriptionDeclaration
from .partition_exchange import declare_partitions, plan_partitions
from .partitioned import PartitionedSubscription
from .partitions import WEIGHT, Partitioned
from .plans import binding_of, plan_subscription
from .retry import FailurePolicy
from .subscription import Subscription

AnySubscription: TypeAlias = Subscription | PartitionedSubscription
"""What `Bus.subscribe` makes: with a Partitioned queue the latter."""


class SubscriptionMaker:
    """What all subscriptions of a bus have in common.

    Args:
        bus: its name.
        publishing: the connection that failed messages are moved by.
        consuming: the connection that they consume by.
        one_more: makes a connection for one declaration.
        codec: for those that have none of their own.
        timing: how long they wait.
        tracing: of their messages.
        declare: declare what they need; otherwise it must exist.
        tell: is told when failed messages cannot be moved, and when they can again.
    """

    def __init__(
        self,
        bus: str,
        publishing: Supervisor,
        consuming: Supervisor,
        *,
        one_more: Callable[[], Supervisor],
        codec: Codec | Codecs,
        timing: Timing,
        tracing: Tracing | None,
        declare: bool,
        tell: Callable[[Event], None],
    ) -> None:
        self.connection = consuming
        self._bus = bus
        self._publishing = publishing
        self._one_more = one_more
        self._codec = codec
        self._timing = timing
        self._tracing = tracing
        self._declare = declare
        self._tell = tell

    def make(self, declaration: SubscriptionDeclaration) -> AnySubscription:
        """A subscription as it was declared."""
        if isinstance(declaration.queue, Partitioned):
            return self._partitioned(declaration, declaration.queue)
        return self._single(declaration, declaration.queue)

    def plan(self, declaration: SubscriptionDeclaration) -> Plan:
        """What a subscription needs at the broker."""
        queue = declaration.queue
        if isinstance(queue, Partitioned):
            return plan_partitions(declaration, queue)
        binding = binding_of(declaration, queue)
        policy = self._policy(declaration, queue)
        return plan_subscription(binding, policy, exact=declaration.exact)

    def _partitioned(
        self, declaration: SubscriptionDeclaration, queue: Partitioned
    ) -> PartitionedSubscription:
        plan = plan_partitions(declaration, queue)

        async def declare(link: Link) -> None:
            await declare_partitions(
                link, queue, plan if self._declare else plan.checked(), self._one_more
            )

        part = replace(
            declaration,
            exchange=queue.exchange,
            patterns=(WEIGHT,),
            bind_arguments={},
            key=declaration.key or queue.key,
            queue=None,
        )
        return PartitionedSubscription(
            self.connection,
            self._publishing,
            declaration,
            queue,
            plan,
            declare=declare,
            make=lambda number: self._single(part, queue.queue(number)),
            timing=self._timing,
        )

    def _single(self, declaration: SubscriptionDeclaration, queue: Queue | None) -> Subscription:
        return Subscription(
            self._bus,
            self.connection,
            declaration,
            queue,
            declaration.codec or self._codec,
            self._policy(declaration, queue),
            self._publishing,
            timing=self._timing,
            tracing=self._tracing,
            tell=self._tell,
        )

    def _policy(self, declaration: SubscriptionDeclaration, queue: Queue | None) -> FailurePolicy:
        # A stream keeps its messages: another copy in it would reach everybody again.
        retry = None if queue is not None and queue.type == "stream" else declaration.retry
        return FailurePolicy(
            retry,
            queue.parking_name if queue is not None else None,
            private=queue is None,
            given=queue is not None and not queue.declare,
            declare=self._declare,
            waits_here=declaration.key is not None,
        )
