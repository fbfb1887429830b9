"""Publishing a message that is to be delivered later."""

import asyncio
from dataclasses import replace

from gestalt.amq.errors import LinkLost, Rejected, Unsendable, UnsendableType
from gestalt.amq.link.interface import Confirm
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.sender import Sender
from gestalt.amq.topology import Exchange
from gestalt.amq.wire import Properties, shown

from .delays import Destination, TimeLeft, entry, path, travel_headers
from .delays_keeper import DelayKeeper
from .publish_batch import lost_after_sending


class DelaySender(Sender):
    """Publishes to one exchange, by way of the ladder of delays.

    Args:
        keeper: keeps the channel to the ladder.
        exchange: where messages go when they are due.
        mandatory: a queue is to take them at once, which cannot be: those that do not say
            otherwise are refused.
        timeout: for a publish with its confirmation, in seconds.
        max_pending: how many may be unconfirmed at once; further ones wait.
    """

    def __init__(
        self,
        keeper: DelayKeeper,
        exchange: Exchange,
        *,
        mandatory: bool,
        timeout: float,
        max_pending: int,
    ) -> None:
        super().__init__(keeper, timeout=timeout, max_pending=max_pending)
        self._delays = keeper
        self._exchange = exchange
        self._mandatory = mandatory

    async def publish(
        self,
        due: TimeLeft,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
    ) -> None:
        """Publish what is encoded, and return when it is safely on its way.

        Args:
            due: tells in how many seconds it is due.
            mandatory: whether a queue is to take it at once; the sender's own by default.
            timeout: for all of it, in seconds; the sender's own by default.

        Raises:
            Unsendable: it is mandatory, or has what the broker would take away while it waits.
            PublishError: as `Publisher.publish` has them.
        """
        confirm = await self._send(due, body, properties, routing_key, mandatory, timeout)
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
        due: TimeLeft,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
    ) -> Confirm:
        """As `publish`, and return when it is sent, with what will be the answer."""
        confirm = await self._send(due, body, properties, routing_key, mandatory, timeout)
        confirm.add_done_callback(self._submitted)
        return confirm

    def _submitted(self, confirm: Confirm) -> None:
        self._done(confirm)
        if not confirm.cancelled() and isinstance(error := confirm.exception(), Rejected):
            self._delays.note_rejection(error)

    async def _send(
        self,
        due: TimeLeft,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        timeout: float | None,
    ) -> Confirm:
        if not isinstance(routing_key, str):
            raise UnsendableType(f"routing_key is a str, got {shown(routing_key)}")
        if self._mandatory if mandatory is None else mandatory:
            raise Unsendable(
                "a delayed message is routed when it is due, so that it cannot be mandatory: "
                "publish it with mandatory=False"
            )
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
            levels = path(max(0.0, due()))
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
