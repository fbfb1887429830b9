"""The channel by which requests are sent, and their replies come back."""

import asyncio
import contextlib
from typing import Any, cast

from gestalt.amq.declaring import declare_plan
from gestalt.amq.errors import AmqError, LinkLost, TopologyError
from gestalt.amq.link.channel_keeper import ChannelKeeper
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.preflight import Question
from gestalt.amq.link.surroundings import Surroundings
from gestalt.amq.link.watch import Progress
from gestalt.amq.wire import Delivery

from . import protocol
from .calls import Call
from .echo import Echo
from .plans import plan_requests

# What ends a request, and is no word of the broker.
UNANSWERED = ("DeadlineExceeded", "LinkLost", "OutcomeUnknown", "cancelled")


class RequestsKeeper(ChannelKeeper):
    """Keeps a channel to which replies come, and hands them to the calls that await them.

    Args:
        surroundings: as `ChannelKeeper` has them.

    Attributes:
        plan: what it needs at the broker.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self.plan = plan_requests()
        self._declared = self.plan if surroundings.declare else self.plan.checked()
        super().__init__("requests", surroundings)
        self._calls: dict[str, Call[Any]] = {}
        # Where this user may not send to itself.
        self._mute: Link | None = None
        # How many gathers have ended at their deadline, which is no error.
        self._gathered = 0

    @property
    def channel(self) -> Channel | None:
        """The channel, unless the broker takes nothing on it now."""
        return None if self.blocked else self._channel

    def expect(self, call: Call[Any], deadline: float) -> None:
        """Hand the call its replies, until `settle`."""
        self._calls[call.correlation_id] = call
        self._in_flight.add(call, deadline)

    def settle(self, pending: asyncio.Future[Any]) -> bool:
        # A call by `expect`. To have that checked by cast() takes a call for each.
        call: Any = pending
        self._calls.pop(call.correlation_id, None)
        return super().settle(pending)

    async def _open_channel(self, link: Link) -> Channel:
        await declare_plan(link, self._declared)
        channel = await self._consume_replies(link)
        if self._mute is not link:  # pragma: no branch - its channel ends once more
            try:
                await self._hear_echo(channel, link)
            except LinkLost:
                ended = channel.closed.done() and channel.closed.result()
                if not isinstance(ended, TopologyError) or ended.code != 403:
                    raise  # pragma: no cover - lost in this turn
                # A user who may send requests alone: nothing can be seen.
                self._mute = link
                channel = await self._consume_replies(link)
        return channel

    async def _consume_replies(self, link: Link) -> Channel:
        channel = await link.open_channel(on_delivery=self._take, on_returned=self._returned)
        await channel.consume(protocol.REPLY_TO, no_ack=True)
        channel.closed.add_done_callback(self._lost)
        return channel

    async def _hear_echo(self, channel: Channel, link: Link) -> None:
        """Wait until replies come through to the channel; raises LinkLost when it ends."""
        echo = Echo(channel)
        self._calls[echo.correlation_id] = echo
        try:
            await echo.come(link)
        finally:
            del self._calls[echo.correlation_id]

    async def _restore(self, link: Link) -> bool:  # pragma: no cover - an exchange is deleted
        await declare_plan(link, self._declared)
        return True

    def _route(self, question: Question) -> str:
        return question.exchange

    async def _wait_ended(self, channel: Channel) -> None:
        watch = self.silence.watch
        while True:
            await self._first_of(channel, self._over, watch.hangs)
            if channel.closed.done() or not watch.hangs.is_set():
                return
            # A slow service is silent, too: here the broker itself can be asked.
            with contextlib.suppress(AmqError):
                if not await channel.answers():
                    self.silence.note_replaced(len(self.pending))
                    return
            # It answers; or it ends for another reason.
            watch.acquit()

    def look_for_trouble(self) -> str | None:
        # A slow service is silent, too: that is no trouble of the bus.
        return super().look_for_trouble() if self.silence.watch.hangs.is_set() else None

    def _progress(self, channel: Channel) -> Progress:  # noqa: ARG002 - there is one at a time
        answered, sent = -self._gathered, 0
        # A copy: it may be asked in another thread, while services are added.
        for counts in tuple(self.counts.values()):
            sent += counts.sent
            answered += counts.answered + sum(counts.errors.values())
            answered -= sum(counts.errors.get(name, 0) for name in UNANSWERED)
        # Where callers have given up, the silence goes on: the next one need not wait as long.
        return Progress(answered, sent > answered)

    def _expire(self, pending: asyncio.Future[Any]) -> None:
        cast("Call[Any]", pending).expire()
        if pending.exception() is None:
            # When it has been counted.
            pending.add_done_callback(self._note_gathered)

    def _note_gathered(self, _: asyncio.Future[Any]) -> None:
        self._gathered += 1

    def _take(self, delivery: Delivery) -> None:
        call = self._calls.get(delivery.properties.correlation_id or "")
        # One that comes too late finds no call.
        if call is not None and not call.done():
            call.take(delivery)

    def _returned(self, delivery: Delivery) -> None:
        call = self._calls.get(delivery.properties.correlation_id or "")
        if call is not None and not call.done():
            call.take_returned(delivery)

    def _lost(self, closed: asyncio.Future[AmqError]) -> None:
        for call in list(self._calls.values()):
            if not call.done():  # pragma: no branch - answered in this turn
                call.set_exception(LinkLost(str(closed.result())))
