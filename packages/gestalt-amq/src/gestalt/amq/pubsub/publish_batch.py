"""Many publishes whose confirmations are awaited together."""

from collections import deque
from types import TracebackType
from typing import Any, Protocol, Self, Unpack

from gestalt.amq.errors import BatchError, LinkLost, OutcomeUnknown, PublishError, Refused
from gestalt.amq.link.interface import Confirm

from .publish_options import PublishOptions


def lost_after_sending(error: LinkLost) -> OutcomeUnknown:
    """What it means for a message that was sent."""
    return OutcomeUnknown(f"the message was sent, then the connection was lost: {error}")


class Submit(Protocol):
    """Encodes and sends a message as soon as it may be sent, and returns what will be the answer.

    Parameters and errors as those of `PublishBatch.publish`; besides these it raises Refused.
    """

    async def __call__(
        self,
        body: Any,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
        options: PublishOptions,
    ) -> Confirm: ...


class PublishBatch:
    """Made by `Publisher.batch`; its own publishes return as soon as the message is sent.

    Args:
        submit: sends by the publisher.
    """

    def __init__(self, submit: Submit) -> None:
        self._submit = submit
        self._confirms: deque[Confirm] = deque()
        self._errors: list[PublishError] = []

    async def publish(
        self,
        body: Any,
        routing_key: str = "",
        *,
        mandatory: bool | None = None,
        timeout: float | None = None,
        **options: Unpack[PublishOptions],
    ) -> None:
        """Send, and leave the confirmation to the end of the batch.

        Parameters as in `Publisher.publish`. Waits only when too many messages are unconfirmed.

        Raises:
            NotSent: there was no connection until the deadline; this message was not sent.
        """
        try:
            confirm = await self._submit(body, routing_key, mandatory, timeout, options)
        except Refused as error:
            # As those that the broker does not confirm: the others of the batch go on.
            self._errors.append(error)
            return
        confirms = self._confirms
        confirms.append(confirm)
        while confirms and confirms[0].done():
            await self._settle(confirms.popleft())

    async def _settle(self, confirm: Confirm) -> None:
        try:
            await confirm
        except LinkLost as error:
            self._errors.append(lost_after_sending(error))
        except PublishError as error:
            self._errors.append(error)

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
            for confirm in self._confirms:
                confirm.cancel()
            return
        while self._confirms:
            await self._settle(self._confirms.popleft())
        if self._errors:
            raise BatchError("publishes of a batch failed", self._errors)
