"""Publishing a message that is to be delivered later."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from gestalt.amq.errors import LinkLost, Rejected, Unsendable, UnsendableType
from gestalt.amq.link.interface import Confirm
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.sender import Sender
from gestalt.amq.topology import Exchange
from gestalt.amq.wire import Properties, shown

from .batch import lost_after_sending
from .delays import Destination, entry, path, travel_headers
from .delays_keeper import DelayKeeper


class DelaySender(Sender):
    """Publishes to one exchange, by way of the ladder of delays.

    Args:
        keeper: keeps the channel to the ladder.
        exchange: where messages go when they are due.
        timeout: for a publish with its confirmation, in seconds.
        max_pending: how many may be unconfirmed at once; further ones wait.
    """

    def __init__(
        self, keeper: DelayKeeper, exchange: Exchange, *, timeout: float, max_pending: int
    ) -> None:
        super().__init__(keeper, timeout=timeout, max_pending=max_pending)
        self._delays = keeper
        self._exchange = exchange

    async def publish(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        time_left: Callable[[], float],
        timeout: float | None,
    ) -> None:
        """Publish what is encoded, and return when it is safely on its way.

        Args:
            time_left: tells in how many seconds it is due.
            timeout: for all of it, in seconds; the sender's own by default.

        Raises:
            Unsendable: it has what the broker would take away while it waits.
            PublishError: as `Publisher.publish` has them.
        """
        confirm = await self._send(body, properties, routing_key, time_left, timeout)
        try:
            await confirm
        except LinkLost as error:
            raise lost_after_sending(error) from error
        except Rejected as error:
            self._delays.note_rejection(error)
            raise
        finally:
            self._done(confirm)

    async def submit(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        time_left: Callable[[], float],
        timeout: float | None,
    ) -> Confirm:
        """As `publish`, and return when it is sent, with what will be the answer."""
        confirm = await self._send(body, properties, routing_key, time_left, timeout)
        confirm.add_done_callback(self._submitted)
        return confirm

    def _submitted(self, confirm: Confirm) -> None:
        self._done(confirm)
        if not confirm.cancelled() and isinstance(error := confirm.exception(), Rejected):
            self._delays.note_rejection(error)

    async def _send(
        self,
        body: bytes,
        properties: Properties,
        routing_key: str,
        time_left: Callable[[], float],
        timeout: float | None,
    ) -> Confirm:
        if not isinstance(routing_key, str):
            raise UnsendableType(f"routing_key is a str, got {shown(routing_key)}")
        for name, value in (
            ("expiration", properties.expiration),
            ("priority", properties.priority),
        ):
            if value is not None:
                # The broker takes the first away at the first step. By the second, RabbitMQ 4
                # lets messages pass one another, and those behind them wait too long.
                raise Unsendable(f"a delayed message has no {name}: it does not outlast the wait")
        destination = Destination(self._exchange, None if self._exchange.name else routing_key)
        headers = properties.headers or {}
        travel_headers(headers, (), destination)
        deadline = self._deadline(asyncio.get_running_loop().time(), timeout)
        question = Question(self._delays.exchange.name, "", len(body), properties.user_id)
        channel = await self._ready(deadline, question)
        try:
            async with asyncio.timeout_at(deadline):
                await self._delays.lead_to(destination)
            # Only now: what it has waited for the connection is not waited for again.
            levels = path(max(0.0, time_left()))
            confirm = channel.publish(
                entry(levels),
                routing_key,
                replace(properties, headers=travel_headers(headers, levels, destination)),
                body,
                # The ladder takes every message, unless somebody has meddled with it.
                mandatory=True,
            )
        except BaseException as error:
            self._window.release()
            if isinstance(error, TimeoutError):
                raise self._not_sent(True) from error
            raise
        self._keeper.hold(confirm, deadline)
        return confirm
