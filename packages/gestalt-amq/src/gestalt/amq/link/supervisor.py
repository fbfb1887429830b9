"""Keeps one connection to the brokers open: failover, backoff, and word of every change."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial

from gestalt.amq.errors import AccessRefused, AmqError, ConnectError
from gestalt.amq.events import (
    ChannelReplaced,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    LoginRefused,
    PublishingBlocked,
    PublishingUnblocked,
)
from gestalt.core import Backoff, Component, State, StateError
from gestalt.core import vocabulary as words
from gestalt.core.attempts import Attempts
from gestalt.core.details import PeerRow, details
from gestalt.core.metrics import Metric, measures

from .address import BrokerAddress
from .interface import Link
from .reach import Reach, reach_of

logger = logging.getLogger("gestalt.amq")

# While it is in one of these, there will be a link.
_ALIVE = (State.STARTING, State.RUNNING)

# The waits after a refusal of the credentials: guessing them is not to look like this, and a broker
# may ask others for each.
REFUSED = Backoff(initial=2.0, maximum=30.0)
# For this part of the longest wait a failure to reach a broker counts for others, too.
SHARED = 0.1

Connector = Callable[[BrokerAddress], Awaitable[Link]]


class Supervisor(Component):
    """Holds a link to one of several brokers, and replaces it when it is lost.

    Supervisors of one event loop that go to the same broker find out together when it is back.

    Args:
        addresses: the brokers, in the order in which they are tried. After a loss the same one
            is tried first, then the others.
        connector: makes a link to a broker.
        name: how it is called in messages.
        purpose: what the connection is for, as events have it.
        backoff: the waits between rounds through all brokers, which end early when one of them is
            found to be back.
        start_timeout: how long to try for the first link, in seconds.
        silence_timeout: how long a channel may answer nothing, in seconds; 0 for ever.
        on_event: is told of every change.

    Attributes:
        silence_timeout: as above.
        link: the present link, None while there is none.
        failure: why there is none, as far as that is known.
        close_timeout: how long a stop waits for the broker to take leave, in seconds.
    """

    def __init__(
        self,
        addresses: Sequence[BrokerAddress],
        connector: Connector,
        *,
        name: str,
        purpose: str,
        backoff: Backoff,
        start_timeout: float,
        silence_timeout: float,
        on_event: Callable[[Event], None],
    ) -> None:
        super().__init__(name=name)
        self.link: Link | None = None
        self.close_timeout = 0.3
        self.silence_timeout = silence_timeout
        self._addresses = list(addresses)
        self._connector = connector
        self._purpose = purpose
        self._backoff = backoff
        self._start_timeout = start_timeout
        self._on_event = on_event
        self._attempts = Attempts(logger, time.monotonic)
        self._connected = 0
        self._reaches: list[tuple[Reach, Callable[[], None]]] = []
        self._reset()

    def _reset(self) -> None:
        # An event belongs to one loop, and a start may be in another one.
        self._changed = asyncio.Event()
        self._back = asyncio.Event()
        self._delays = self._backoff.delays()
        self._refused_delays = REFUSED.delays()
        self._up_since = 0.0
        self._at = 0
        # Which broker was found to be back.
        self._found: int | None = None
        self.failure: AmqError | None = None

    @property
    def working(self) -> bool:
        """Whether there is a link, and the broker does not block it."""
        return self.link is not None and not self.link.blocked

    @property
    def trouble(self) -> str:
        """Why nothing can be sent now; what is wrong with the connection, as far as is known."""
        if self.link is not None and self.link.blocked:
            return f"the broker blocks publishers: {self.link.blocked}"
        latest = f": {self.failure}" if self.failure is not None else ""
        return f"there is no connection to a broker{latest}"

    @measures
    def _connection_metrics(self) -> Iterable[Metric]:
        link = self.link
        yield words.UP("connection", int(link is not None))
        yield words.BLOCKED("connection", int(link is not None and link.blocked is not None))
        yield words.CONNECTED("connection", self._connected)

    @details
    def _connection(self) -> Iterable[PeerRow]:
        if self.link is not None:
            age = asyncio.get_running_loop().time() - self._up_since
            note = "" if self.working else self.trouble
            yield PeerRow(self._addresses[self._at].place, age=age, note=note)

    async def wait_link(self, *, answering: bool = False) -> Link:
        """Wait until a link is up, and return it.

        Args:
            answering: wait also until the broker does not block it: what is blocked gets no
                answers.

        Raises:
            StateError: it is not running.
        """
        while (
            (link := self.link) is None
            or link.lost.done()
            or (answering and link.blocked is not None)
        ):
            if self.state not in _ALIVE:
                raise StateError("the bus is not running: there is no connection")
            self._changed.clear()
            await self._changed.wait()
        return link

    def retry(self) -> None:
        """Try again now, if the credentials were refused: others were let in."""
        if isinstance(self.failure, AccessRefused):
            self._back.set()

    def note_silence(self, channel: str, seconds: float, waiting: int) -> None:
        """A channel is replaced, since the broker has answered nothing on it.

        Args:
            channel: what it is for.
            seconds: for how long.
            waiting: how many messages await their answers.
        """
        logger.warning(
            "%s: %s: nothing was answered for %.1f s, and %d messages await their answers: the "
            "channel is replaced",
            self.name,
            channel,
            seconds,
            waiting,
        )
        self._on_event(ChannelReplaced(self._purpose, channel, seconds, waiting))

    async def _open(self) -> None:
        self._reset()
        for index, address in enumerate(self._addresses):
            reach, listener = reach_of(address.place), partial(self._came_back, index)
            self._reaches.append((reach, listener))
            reach.listeners.add(listener)
        errors: list[AmqError] = []
        try:
            async with asyncio.timeout(self._start_timeout):
                link = await self._connect(errors, give_up_refused=True)
        except TimeoutError as timeout:
            latest = "; ".join(dict.fromkeys(map(str, errors[-len(self._addresses) :])))
            raise ConnectError(
                f"no broker within {self._start_timeout:g} s: {latest or 'no answer'}"
            ) from (errors[-1] if errors else timeout)
        self._adopt(link)
        self._spawn(self._keep(link), name="keep")

    async def _close(self) -> None:
        link, self.link = self.link, None
        # Whoever waits for a link is told that there will be none.
        self._changed.set()
        for reach, listener in self._reaches:
            reach.listeners.discard(listener)
        self._reaches.clear()
        if link is not None:
            await link.close(self.close_timeout)

    async def _keep(self, link: Link) -> None:
        try:
            while True:
                reason = await asyncio.shield(link.lost)
                self.link = None
                self.failure = reason
                logger.warning(
                    "%s: the connection to %s is lost: %s", self.name, link.place, reason
                )
                self._on_event(Disconnected(self._purpose, reason))
                self._note_loss(reason)
                self._back.clear()
                self._found = None
                await self._pause(self._delays.next())
                link = await self._connect([], give_up_refused=False)
                self._adopt(link)
        except asyncio.CancelledError:
            if self.state in _ALIVE:
                # Nobody would connect again, and nobody would know.
                raise StateError(f"{self!r}: its task was cancelled from outside") from None
            raise

    def _note_loss(self, reason: AmqError) -> None:
        lasted = asyncio.get_running_loop().time() - self._up_since
        reach, _ = self._reaches[self._at]
        reach.note_loss(reason, self, lasted=lasted >= self._backoff.stable_after)

    def _adopt(self, link: Link) -> None:
        self._connected += 1
        self._delays.connected()
        self._refused_delays.connected()
        self._up_since = asyncio.get_running_loop().time()
        link.on_blocked = self._blocked
        self.link = link
        self.failure = None
        self._changed.set()
        self._attempts.succeeded(f"{self.name}: the connection to {link.place} is up", always=True)
        self._on_event(Connected(self._purpose, link.address))

    def _blocked(self, reason: str | None) -> None:
        if reason is None:
            self._changed.set()
            logger.info("%s: the broker blocks the connection no more", self.name)
            self._on_event(PublishingUnblocked(self._purpose))
        else:
            logger.warning("%s: the broker blocks the connection: %s", self.name, reason)
            self._on_event(PublishingBlocked(self._purpose, reason))

    async def _connect(self, errors: list[AmqError], *, give_up_refused: bool) -> Link:
        """Try the brokers in turn until one lets us in."""
        count = len(self._addresses)
        gap = SHARED * self._backoff.maximum
        while True:
            refused = 0
            self._back.clear()
            self._found = None
            for _ in range(count):
                address = self._addresses[self._at]
                reach, _ = self._reaches[self._at]

                async def connect(address: BrokerAddress = address) -> Link:
                    try:
                        return await self._connector(address)
                    except ConnectError as error:
                        self._note_failed(address, error)
                        raise

                try:
                    return await reach.attempt(connect, who=self, gap=gap)
                except ConnectError as error:
                    self.failure = error
                    errors.append(error)
                    del errors[:-count]
                    refused += isinstance(error, AccessRefused)
                    self._at = (self._at + 1) % count
            if refused < count:
                await self._pause(self._delays.next())
            elif give_up_refused:
                raise errors[-1]
            else:
                await self._pause(self._refused_delays.next())

    def _note_failed(self, address: BrokerAddress, error: ConnectError) -> None:
        refused = isinstance(error, AccessRefused)
        ends = refused and self.state is State.STARTING and len(self._addresses) == 1
        # Its text names the host and the port.
        self._attempts.failed(f"{self.name}: {error}", again=not ends)
        cls = LoginRefused if refused else ConnectFailed
        self._on_event(cls(self._purpose, str(address), error))

    async def _pause(self, seconds: float) -> None:
        """Wait before the next round, until there is reason to hope for more of it."""
        try:
            async with asyncio.timeout(seconds):
                await self._back.wait()
        except TimeoutError:
            return
        if self._found is not None:
            self._at = self._found

    def _came_back(self, index: int) -> None:
        """A broker that was away was reached by another supervisor."""
        if self.link is None and not isinstance(self.failure, AccessRefused):
            self._found = index
            self._back.set()
