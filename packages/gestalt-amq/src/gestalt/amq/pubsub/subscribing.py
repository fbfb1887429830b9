"""Makes subscriptions of what is declared of them."""

from collections.abc import Callable

from gestalt.amq.events import Event
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan
from gestalt.amq.tracing import Tracing
from gestalt.codecs import Codec
from gestalt.core import Backoff

from .declaration import SubscriptionDeclaration
from .plans import binding_of, plan_subscription
from .republisher import Republisher
from .retry import FailurePolicy
from .subscription import Subscription


class SubscriptionMaker:
    """What all subscriptions of a bus have in common.

    Args:
        bus: its name.
        publishing: the connection that failed messages are moved by.
        consuming: the connection that they consume by.
        codec: for those that have none of their own.
        backoff: the waits before one consumes again on the same connection.
        start_timeout: how long a start waits for a connection, in seconds.
        stop_timeout: how long a stop waits for running handlers, in seconds.
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
        codec: Codec,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
        declare: bool,
        tell: Callable[[Event], None],
    ) -> None:
        self.connection = consuming
        self._bus = bus
        self._publishing = publishing
        self._codec = codec
        self._backoff = backoff
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._tracing = tracing
        self._declare = declare
        self._tell = tell

    def make(self, declaration: SubscriptionDeclaration) -> Subscription:
        """A subscription as it was declared."""
        stop_timeout = declaration.stop_timeout
        return Subscription(
            self._bus,
            self.connection,
            declaration,
            declaration.codec or self._codec,
            self._policy(declaration),
            Republisher(self._publishing, self.connection),
            backoff=self._backoff,
            start_timeout=self._start_timeout,
            stop_timeout=self._stop_timeout if stop_timeout is None else stop_timeout,
            tracing=self._tracing,
            tell=self._tell,
        )

    def plan(self, declaration: SubscriptionDeclaration) -> Plan:
        """What a subscription needs at the broker."""
        binding, policy = binding_of(declaration), self._policy(declaration)
        return plan_subscription(binding, policy, exact=declaration.exact)

    def _policy(self, declaration: SubscriptionDeclaration) -> FailurePolicy:
        queue = declaration.queue
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
