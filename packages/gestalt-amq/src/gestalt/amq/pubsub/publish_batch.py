"""Many publishes whose confirmations are awaited together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, Protocol, Self, TypeAlias, TypeVar, Unpack

from gestalt.amq.errors import BatchError, LinkLost, OutcomeUnknown, PublishError, Refused
from gestalt.amq.link.interface import Confirm
from gestalt.amq.wire import Properties

from .delays import TimeLeft
from .publish_options import PublishOptions

T_contra = TypeVar("T_contra", contravariant=True)

Sent: TypeAlias = tuple[Confirm, bytes, Properties, str, bool | None, float, bool, TimeLeft | None]
"""What was sent: the answer to it, and its body, properties, routing key, mandatory, deadline,
whether it is idempotent, and when it is due."""

Resubmit: TypeAlias = Callable[[Sent, LinkLost], Awaitable[Sent]]
"""Sends a message again whose confirmation was lost, if that can do no harm; else it raises
OutcomeUnknown, or Refused if the broker refuses it."""


def lost_after_sending(error: LinkLost) -> OutcomeUnknown:
    """What it means for a message that was sent."""
    return OutcomeUnknown(f"the message was sent, then the connection was lost: {error}")


class Submit(Protocol[T_contra]):
    """Encodes and sends a message as soon as it may be sent, and returns what will be the answer.

    Parameters and errors as those of `PublishBatch.publish`; besides these it raises Refused.
    """

    async def __call__(
        self,
        body: T_contra,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
        idempotent: bool | None,
        options: PublishOptions,
    ) -> Sent: ...


class PublishBatch(Generic[T_contra]):
    """Made by `Publisher.batch`; its own publishes return as soon as the message is sent.

    Args:
        submit: sends by the publisher.
        resubmit: sends again.
    """

    def __init__(self, submit: Submit[T_contra], resubmit: Resubmit) -> None:
        self._submit = submit
        self._resubmit = resubmit
        self._sent: deque[Sent] = deque()
        self._lost: list[tuple[Sent, LinkLost]] = []
        self._errors: list[PublishError] = []

    async def publish(
        self,
        body: T_contra,
        routing_key: str = "",
        *,
        mandatory: bool | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        **options: Unpack[PublishOptions],
    ) -> None:
        """Send, and leave the confirmation to the end of the batch.

        Parameters as in `Publisher.publish`. Waits only when too many messages are unconfirmed, or
        some have to be sent again.

        Raises:
            NotSent: there was no connection until the deadline; this message was not sent.
            StateError: the bus is not running.
        """
        try:
            sent = await self._submit(body, routing_key, mandatory, timeout, idempotent, options)
        except Refused as error:
            # As those that the broker does not confirm: the others of the batch go on.
            self._errors.append(error)
            return
        waiting = self._sent
        waiting.append(sent)
        while waiting and waiting[0][0].done():
            await self._settle(waiting.popleft())
        if self._lost:
            await self._send_again()

    async def _settle(self, sent: Sent) -> None:
        try:
            await sent[0]
        except LinkLost as error:
            self._lost.append((sent, error))
        except PublishError as error:
            self._errors.append(error)

    async def _send_again(self) -> None:
        """Send those again whose confirmation was lost, where that can do no harm."""
        lost, self._lost = self._lost, []
        # Side by side, since it is found out for all of a channel at once whom the broker meant.
        for outcome in await asyncio.gather(*(self._again(sent, error) for sent, error in lost)):
            if isinstance(outcome, PublishError):
                self._errors.append(outcome)
            else:
                self._sent.append(outcome)

    async def _again(self, sent: Sent, lost: LinkLost) -> Sent | PublishError:
        try:
            return await self._resubmit(sent, lost)
        except PublishError as error:
            return error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc is not None:
            # The block failed: what it sent is out of its hands, and its own error goes on.
            for confirm, *_ in self._sent:
                confirm.cancel()
            return
        while self._sent or self._lost:
            while self._sent:
                await self._settle(self._sent.popleft())
            if self._lost:
                await self._send_again()
        if self._errors:
            raise BatchError("publishes of a batch failed", self._errors)
