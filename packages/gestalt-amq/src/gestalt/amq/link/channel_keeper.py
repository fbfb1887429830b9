"""A channel that is shared, and kept open on every link in turn."""

import asyncio
import contextlib
import logging
import weakref
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from gestalt.amq.errors import AmqError, ChannelsExhausted, LinkLost, Refused, TopologyError
from gestalt.amq.wire import FieldError, encode_short_string
from gestalt.core import StateError

from .counts import SendCounts
from .in_flight import InFlight
from .inquiry import Inquiry
from .interface import Channel, Link, wait_unless_lost
from .permissions import Permissions, Ticket
from .preflight import Question
from .silence import Silence
from .surroundings import Surroundings
from .suspects import Suspected
from .unsendable import unsendable
from .watch import Progress

logger = logging.getLogger("gestalt.amq")


class User(Protocol):
    """Who sends by a channel that is shared."""

    def renew(self) -> None:
        """Begin anew: what was under way is of an earlier start."""


class ChannelKeeper(ABC):
    """Keeps a channel, for any number of publishers or requesters that send by it.

    What the broker has not been seen to take on this link is asked for before it is sent; what
    comes meanwhile waits behind it, so that messages are sent in the order in which they came.

    Args:
        name: how it is called in messages.
        surroundings: what it has in common with others of its connection.

    Attributes:
        supervisor: the connection.
        users: who sends by it; it is idle when nobody does any more.
        queued: how many messages wait to be sent.
        counts: what was sent, by exchange or service.
        pending: what is in flight: each with its deadline, by the loop's clock.
        silence: has a channel replaced that answers nothing any more.
    """

    def __init__(self, name: str, surroundings: Surroundings) -> None:
        spawn, make_room = surroundings.spawn, surroundings.make_room
        self.name = name
        self.supervisor = surroundings.supervisor
        self.users: weakref.WeakSet[User] = weakref.WeakSet()
        self.queued = 0
        self.counts: dict[str, SendCounts] = {}
        self.silence = Silence(name, self.supervisor, spawn)
        self._in_flight = InFlight(self._expire, self._looked, self.silence.watch.interval)
        self.pending: Mapping[asyncio.Future[Any], float] = self._in_flight.deadlines
        self._spawn = spawn
        self._make_room = make_room
        self._backoff = surroundings.backoff
        self._delays = self._backoff.delays()
        self._channel: Channel | None = None
        self._link: Link | None = None
        self._broken: TopologyError | ChannelsExhausted | None = None
        self._stopped = False
        self._tickets: set[Ticket] = set()
        self._permissions = Permissions(surroundings.preflight, self._route, self._restore)
        self._inquiry = Inquiry(name, self._permissions, self._tickets, spawn, make_room)
        # What is under way is the first after a pause.
        self._first = False
        # How many callers had been cancelled at the last look.
        self._cancelled = 0
        self.start()
        # Until the bus starts it.
        self._stopped = True

    # What a subclass fills in

    @abstractmethod
    async def _open_channel(self, link: Link) -> Channel:
        """Open a channel, with all that it needs.

        Raises:
            TopologyError: the broker refuses what is declared.
            LinkLost: the connection ended. ChannelsExhausted: it has no channel left.
        """

    @abstractmethod
    def _expire(self, pending: asyncio.Future[Any]) -> None:
        """End what is pending: its deadline has passed."""

    @abstractmethod
    def _route(self, question: Question) -> str:
        """What the broker's permissions depend on, besides the user."""

    @abstractmethod
    async def _restore(self, link: Link) -> bool:
        """Bring back what the broker did not find; whether there is anything to bring back."""

    @abstractmethod
    def _progress(self, channel: Channel) -> Progress:
        """What was answered of what was sent by the channel."""

    @abstractmethod
    async def _wait_ended(self, channel: Channel) -> None:
        """Wait until the channel has ended, or had better be replaced."""

    # What a subclass uses

    # How long permissions are believed while nothing is in flight, in seconds.
    _permissions_last = float("inf")

    @staticmethod
    async def _first_of(
        channel: Channel, *events: asyncio.Event, timeout: float | None = None
    ) -> None:
        """Wait for the end of the channel or one of the events, for up to `timeout` seconds."""
        waiting = [asyncio.ensure_future(event.wait()) for event in events]
        either: set[asyncio.Future[Any]] = {channel.closed, *waiting}
        try:
            await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waiting:
                each.cancel()

    # What publishers and requesters use

    @property
    def blocked(self) -> str | None:
        """Why the broker blocks publishers, None when it does not."""
        link = self.supervisor.link
        return link.blocked if link is not None else None

    @property
    def connected(self) -> bool:
        """Whether there is a channel."""
        return self._channel is not None

    def ready_now(self, route: str, size: int, now: float) -> Channel | None:
        """The channel, when a message may be sent by it at once."""
        # What `usable` raises, `ready` raises, too.
        channel, link = self._channel, self._link
        if (
            channel is None
            or link is None
            or self._stopped
            or self.queued
            or self._broken is not None
            or link.blocked
            or channel.closed.done()
            or size > self._permissions.size
            or not (self._permissions.all_routes or route in self._permissions.routes)
            or channel.congested
            or (self._first if self.pending else self._doubtful(now))
        ):
            return None
        return channel

    def queue(self, question: Question) -> Ticket:
        """Have a message wait for its turn; `leave` is to follow.

        Raises:
            Unsendable: the routing key or the user is none that AMQP can carry.
            StateError: the bus is not running.
        """
        self._check_running()
        try:
            encode_short_string(question.routing_key, "routing_key")
            if question.user_id is not None:
                encode_short_string(question.user_id, "user_id")
        except FieldError as error:
            raise unsendable(error) from error
        ticket = Ticket(question)
        self._tickets.add(ticket)
        self.queued += 1
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """A message has been sent, or given up."""
        self._tickets.discard(ticket)
        self.queued -= 1

    async def ready(self, ticket: Ticket) -> Channel:
        """Wait for the turn of a message, and return the channel that takes it now.

        Raises:
            Refused: the broker would refuse it.
            ChannelsExhausted: there is no channel for it.
            TopologyError: the broker refuses what is declared.
            StateError: the bus is not running.
        """
        async with self._turn:
            while True:
                channel = self.usable()
                if ticket.refused is not None:
                    raise _copied(ticket.refused)
                if channel is None:
                    self._changed.clear()
                    await self._changed.wait()
                elif channel.congested:
                    await channel.drain()
                elif not self._takes(ticket.question):
                    await self._ask()
                else:
                    return channel

    def usable(self) -> Channel | None:
        """The channel, when the broker takes messages on it; raises as `ready` does."""
        self._check_running()
        if self._broken is not None:
            raise _copied(self._broken)
        if self._channel is None or self._channel.closed.done() or self.blocked:
            return None
        return self._channel

    def _check_running(self) -> None:
        if self._stopped:
            raise StateError("the bus is not running: start it before anything is sent")

    def hold(self, pending: asyncio.Future[Any], deadline: float) -> None:
        """Count it as pending until `settle`; it is ended when its deadline passes."""
        self._in_flight.add(pending, deadline)

    def settle(self, pending: asyncio.Future[Any]) -> bool:
        """It is done; False when it was of an earlier start."""
        if not self._in_flight.remove(pending):  # pragma: no cover - of an earlier start
            return False
        self._first = self._first and not _succeeded(pending)
        return True

    # What the broker takes

    async def judge(self, suspected: Suspected, question: Question) -> bool:
        """Whether the broker has certainly not taken a message, and takes it now.

        Raises:
            Refused: it would refuse it now; how far it did then, the error says.
        """
        case = suspected.case
        if case.code != 406:  # which is for a message that is too large
            question = question._replace(size=0)
        try:
            return await case.judge(suspected.number, question, self._would_refuse, self._spawn)
        except StateError:  # pragma: no cover - stopped in this turn
            # The bus was stopped meanwhile.
            return False

    async def _would_refuse(self, questions: Collection[Question]) -> Mapping[Question, Refused]:
        link = self._link
        if link is None:  # pragma: no cover - lost in this turn
            raise LinkLost("there is no connection")
        return await self._permissions.refused(link, questions)

    def _takes(self, question: Question) -> bool:
        now = asyncio.get_running_loop().time()
        return self._permissions.covers(question) and not self._doubtful(now)

    def _doubtful(self, now: float) -> bool:
        """Whether what is known may hold no more.

        After a pause the first message goes by itself: if it is refused, it is certainly that one.
        What comes before its answer has the broker asked.
        """
        if not self.pending:
            self._first = now - self._in_flight.empty_since > self._permissions_last
            return False
        return self._first

    async def _ask(self) -> None:
        link = self._link
        if link is not None and await self._inquiry.ask(link, anew=self._first):
            self._first = False

    # What the bus drives

    async def run(self) -> None:
        """Keep a channel open, on every link in turn."""
        tried: Link | None = None
        while not self._over.is_set():
            link = await self.supervisor.wait_link(answering=True)
            if link is not tried:
                tried, self._delays = link, self._backoff.delays()
            try:
                channel = await self._open_channel(link)
            except TopologyError as error:
                self._broken = error
                self._changed.set()
            except ChannelsExhausted as error:
                if not self._make_room():
                    self._broken = error
                    self._changed.set()
            except AmqError:
                # The link ended meanwhile: the supervisor brings the next one.
                pass
            else:
                self._delays.connected()
                self._broken = None
                if link is not self._link:
                    self._permissions.forget()
                self._link = link
                self._channel = channel
                self.silence.watch.begin(self._progress(channel).answered)
                self._changed.set()
                await self._wait_ended(channel)
                self._channel = None
                if not channel.closed.done():
                    if self.silence.watch.hangs.is_set() and not self._over.is_set():
                        self.silence.replace(channel)
                        continue
                    await self.drain()
                    with contextlib.suppress(AmqError):
                        await channel.close()
                    continue
                reason = channel.closed.result()
                if isinstance(reason, TopologyError):
                    logger.warning("%s: %s: %s", self.supervisor.name, self.name, reason)
                    self._permissions.forget(restricted=reason.code == 403)
            # The supervisor sees to the waits between links.
            await wait_unless_lost(link, self._delays.next())

    def look_for_trouble(self) -> str | None:
        """For how long nothing has been answered of what is in flight; None where that is usual."""
        channel = self._channel
        if channel is None or self.blocked or not self.pending:
            return None
        return self.silence.trouble(self._progress(channel))

    def _looked(self, ran_out: bool) -> None:
        channel = None if self.blocked else self._channel
        progress = None if channel is None else self._progress(channel)
        before = self._cancelled
        self._cancelled = sum(each.errors.get("cancelled", 0) for each in self.counts.values())
        self.silence.look(progress, ran_out=ran_out, cancelled=self._cancelled > before)

    def note_change(self) -> None:
        """The broker has begun or ceased to block: let those that wait look again."""
        self._changed.set()

    async def drain(self) -> None:
        """Wait until everything that was sent is answered."""
        await self._in_flight.drain()

    def dismiss(self) -> Channel | None:
        """Nobody sends by it any more: give up the channel, and return it."""
        self._over.set()
        return self._channel

    def start(self) -> None:
        """Take messages; what the bus calls when it starts, in whatever event loop that is."""
        self._stopped = False
        self._channel = self._link = self._broken = None
        self._in_flight.start()
        self.silence.watch.start()
        for user in self.users:
            user.renew()
        self._over = asyncio.Event()
        self._changed = asyncio.Event()
        self._turn = asyncio.Lock()

    def stop(self) -> None:
        """Refuse further messages, and those that wait to be sent."""
        self._stopped = True
        self._channel = None
        self._changed.set()
        self._in_flight.stop()


def _copied(
    error: TopologyError | Refused | ChannelsExhausted,
) -> TopologyError | Refused | ChannelsExhausted:
    """The error for one of those that it is raised to, with a traceback of its own."""
    if isinstance(error, ChannelsExhausted):
        return ChannelsExhausted(f"{error}; nothing was sent")
    return type(error)(str(error), error.code)


def _succeeded(pending: asyncio.Future[Any]) -> bool:
    return pending.done() and not pending.cancelled() and pending.exception() is None
