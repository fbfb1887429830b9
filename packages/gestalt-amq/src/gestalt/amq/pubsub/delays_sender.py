"""Publishing a message that is to be delivered later."""

import asyncio
from dataclasses import replace

from gestalt.amq.errors import LinkLost, Rejected, Unsendable, UnsendableType
from gestalt.amq.link.interface import Channel, Confirm
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.sender import Sender
from gestalt.amq.topology import Exchange
from gestalt.amq.wire import Properties, shown

from .delays import Destination, TimeLeft, entry, path, travel_headers
from .delays_keeper import DelayKeeper

# Before a message is tried again that was not sent, since the connection ended, in seconds.
AGAIN = 0.01


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
        super().__init__(keeper, timeout=timeout, max_pending=max_pending, to=exchange.name)
        self._delays = keeper
        self._exchange = exchange
        self._mandatory = mandatory

    def expect(self) -> None:
        """Have what it needs declared at the start."""
        if self._exchange.name:
            self._delays.expect(Destination(self._exchange))

    def question(self, body: bytes, properties: Properties) -> Question:
        """What the broker is asked about a message, before it is sent."""
        return Question(self._delays.exchange.name, "", len(body), properties.user_id)

    def done(self, confirm: Confirm) -> None:
        """What was sent is answered, or given up."""
        self._done(confirm)

    def submitted(self, confirm: Confirm) -> None:
        """What was sent is answered, or given up, and nobody has looked by what."""
        self._done(confirm)
        if not confirm.cancelled() and isinstance(error := confirm.exception(), Rejected):
            self._delays.note_rejection(error)  # pragma: no cover - its queue has no majority

    async def send(
        self,
        due: TimeLeft,
        body: bytes,
        properties: Properties,
        routing_key: str,
        mandatory: bool | None,
        deadline: float,
    ) -> Confirm:
        """Send what is encoded, and return the answer, after which comes `done`.

        Args:
            due: tells in how many seconds it is due.
            mandatory: whether a queue is to take it at once; the sender's own by default.
            deadline: when it is given up, by the loop's clock.

        Raises:
            Unsendable: it is mandatory, or has what the broker would take away while it waits.
            PublishError: as `Publisher.publish` has them.
        """
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
        while True:
            try:
                return await self._send_to(
                    destination, due, body, properties, routing_key, deadline
                )
            except LinkLost:
                # Nothing was sent, and there is time.
                await asyncio.sleep(AGAIN)

    def _check_present(self, channel: Channel) -> None:
        # What is sent by a former one may get no answer.
        if self._delays.usable() is not channel:  # pragma: no cover - replaced while it waited
            raise LinkLost("the channel was replaced meanwhile")

    async def _send_to(
        self,
        destination: Destination,
        due: TimeLeft,
        body: bytes,
        properties: Properties,
        routing_key: str,
        deadline: float,
    ) -> Confirm:
        headers = properties.headers or {}
        channel = await self._ready(deadline, self.question(body, properties))
        try:
            async with asyncio.timeout_at(deadline):
                took_time = await self._delays.lead_to(destination)
            if took_time:
                self._check_present(channel)
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
            if isinstance(error, TimeoutError):  # pragma: no cover - the broker is slow just then
                raise self._not_sent(True) from error
            raise
        self._keeper.hold(confirm, deadline)
        self._counts.begin(confirm)
        return confirm
