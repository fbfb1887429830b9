"""Many publishes whose confirmations are awaited together."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias, Unpack

from gestalt.amq.encoding import MessageOptions
from gestalt.amq.errors import BatchError, LinkLost, OutcomeUnknown, PublishError, Refused
from gestalt.amq.link.interface import Confirm

Again: TypeAlias = Callable[[LinkLost], Awaitable[Confirm]]
"""Sends a message again whose confirmation was lost, if that can do no harm; else it raises
OutcomeUnknown, or Refused if the broker refuses it."""

Sent: TypeAlias = tuple[Confirm, Again]


def lost_after_sending(error: LinkLost) -> OutcomeUnknown:
    """What it means for a message that was sent."""
    return OutcomeUnknown(f"the message was sent, then the connection was lost: {error}")


class Submit(Protocol):
    """Encodes and sends a message as soon as it may be sent, and returns what will be the answer.

    With it comes what sends the message again. Parameters and errors as those of `Batch.publish`;
    besides these it raises Refused.
    """

    async def __call__(
        self,
        body: Any,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
        idempotent: bool | None,
        options: MessageOptions,
    ) -> Sent: ...


class Batch:
    """Made by `Publisher.batch`; its own publishes return as soon as the message is sent.

    Args:
        submit: sends by the publisher.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._sent: deque[Sent] = deque()
        self._lost: list[tuple[Again, LinkLost]] = []
        self._errors: list[PublishError] = []

    async def publish(
        self,
        body: Any,
        routing_key: str = "",
        *,
        mandatory: bool | None = None,
        timeout: float | None = None,
        idempotent: bool | None = None,
        **options: Unpack[MessageOptions],
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
        confirm, again = sent
        try:
            await confirm
        except LinkLost as error:
            self._lost.append((again, error))
        except PublishError as error:
            self._errors.append(error)

    async def _send_again(self) -> None:
        """Send those again whose confirmation was lost, where that can do no harm."""
        lost, self._lost = self._lost, []
        # Side by side, since it is found out for all of a channel at once whom the broker meant.
        sent = await asyncio.gather(*(_outcome(again, error) for again, error in lost))
        for (again, _), confirm in zip(lost, sent, strict=True):
            if isinstance(confirm, PublishError):
                self._errors.append(confirm)
            else:
                self._sent.append((confirm, again))

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
            for confirm, _ in self._sent:
                confirm.cancel()
            return
        while self._sent or self._lost:
            while self._sent:
                await self._settle(self._sent.popleft())
            if self._lost:
                await self._send_again()
        if self._errors:
            raise BatchError("publishes of a batch failed", self._errors)


async def _outcome(again: Again, lost: LinkLost) -> Confirm | PublishError:
    try:
        return await again(lost)
    except PublishError as error:
        return error
