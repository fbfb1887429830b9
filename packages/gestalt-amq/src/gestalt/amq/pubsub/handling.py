"""One message, from its delivery to its end: decoded, handled, acknowledged; or failed."""

from collections.abc import Callable
from typing import Any, Protocol

from gestalt.amq.encoding import decode
from gestalt.amq.link.consumer import Receiver, Session
from gestalt.amq.message import BusMessage
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, Codecs
from gestalt.core import Handler, HandlerNotFound
from gestalt.core.calling import is_awaitable, is_end, is_own_cancellation

from .deadlines import Limit
from .session import SubscriptionSession
from .stats import SubscriptionStats


class TakesFailures(Protocol):
    """What is asked of whoever has charge of messages that failed."""

    def take(
        self,
        session: Session,
        receiver: Receiver,
        delivery: Delivery,
        error: BaseException,
        *,
        permanent: bool,
    ) -> bool:
        """Settle a message that failed; True when it waits here to be handled again."""


class Handling:
    """Calls the handler with each message.

    Args:
        handler: takes each message.
        codec: decodes them.
        tracing: of the handler's calls.
        stats: counts what was handled.
        failures: takes what failed.
        held: is told of what failed and waits here to be handled again.
        active: False once the subscription stops.

    Attributes:
        codec: the same.
    """

    def __init__(
        self,
        handler: Handler,
        codec: Codec | Codecs,
        *,
        tracing: Tracing | None,
        stats: SubscriptionStats,
        failures: TakesFailures,
        held: Callable[[SubscriptionSession, Delivery], None],
        active: Callable[[], bool],
    ) -> None:
        self.codec = codec
        self._handler = handler
        self._tracing = tracing
        self._stats = stats
        self._failures = failures
        self._held = held
        self._active = active

    def decode(self, session: SubscriptionSession, delivery: Delivery) -> BusMessage[Any] | None:
        """The message of a delivery; None where it cannot be decoded, and has failed by that."""
        try:
            return decode(self.codec, delivery)
        except Exception as error:
            # Whatever is wrong with it, it will be wrong the next time.
            self.fail(session, delivery, error, permanent=True)
            return None

    async def handle(
        self,
        session: SubscriptionSession,
        delivery: Delivery,
        message: BusMessage[Any],
        limit: Limit,
    ) -> None:
        """Call the handler with a message, and settle it.

        Args:
            session: by which it came.
            delivery: as it came.
            message: what was decoded of it.
            limit: for an async handler.

        Raises:
            CancelledError: this task was cancelled.
        """
        try:
            if self._tracing is None or self._tracing.idle_for(message):
                # Not by `_call`: one coroutine less, a thirtieth of what a message costs.
                result = self._handler(message)
                if is_awaitable(result):
                    with limit:
                        await result
            else:
                with self._tracing.handling(message, session.receiver.queue):
                    await self._call(message, limit)
        except HandlerNotFound as error:
            self.fail(session, delivery, error, permanent=True)
        except BaseException as error:
            if is_end(error):
                raise
            if self.survives(error):
                self.fail(session, delivery, error)
            if is_own_cancellation(error):
                raise
        else:
            # In place of `succeed`, a call that costs a hundredth of what a message does.
            self._stats.handled += 1
            session.receiver.acks.ack(delivery.tag)

    def succeed(self, session: SubscriptionSession, delivery: Delivery) -> None:
        """A message was handled."""
        self._stats.handled += 1
        session.receiver.acks.ack(delivery.tag)

    def fail(
        self,
        session: SubscriptionSession,
        delivery: Delivery,
        error: BaseException,
        *,
        permanent: bool = False,
    ) -> None:
        """A message failed."""
        if self._failures.take(session, session.receiver, delivery, error, permanent=permanent):
            self._held(session, delivery)

    def survives(self, error: BaseException) -> bool:
        """Whether what a handler raised is a failure of its message.

        Cancelled by the end of the subscription, it is not settled, and goes back; by the handler
        itself, or by anybody else, it has failed.
        """
        return self._active() or not is_own_cancellation(error)

    async def _call(self, message: BusMessage[Any], limit: Limit) -> None:
        result = self._handler(message)
        if is_awaitable(result):
            with limit:
                await result
