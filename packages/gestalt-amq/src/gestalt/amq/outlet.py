"""A channel kept open on every link in turn, and what was sent by it and awaits its answer."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Any

from gestalt.core import Backoff, StateError

from .errors import AmqError, Blocked, NotSent, TopologyError
from .link import Channel, Link
from .supervisor import Supervisor
from .window import Window


class Outlet(ABC):
    """Sends by a channel of its own, and bounds how much awaits an answer, and for how long.

    Args:
        name: how it is called in messages.
        supervisor: the connection.
        timeout: for a message and its answer, in seconds.
        max_pending: how many may await their answer at once; further ones wait to be sent.
        backoff: the waits before a channel is opened again on the same connection.
    """

    def __init__(
        self,
        name: str,
        supervisor: Supervisor,
        *,
        timeout: float,
        max_pending: int,
        backoff: Backoff,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0, got {timeout}")
        self.name = name
        self.supervisor = supervisor
        self._timeout = timeout
        self._delays = backoff.delays()
        self._channel: Channel | None = None
        self._link: Link | None = None
        self._broken: TopologyError | None = None
        self._changed = asyncio.Event()
        self._stopped = False
        self._window = Window(max_pending)
        # What awaits its answer, and until when, by the loop's clock.
        self._pending: dict[asyncio.Future[Any], float] = {}
        self._settled = asyncio.Event()
        self._sweep: asyncio.TimerHandle | None = None
        self._sweep_at = float("inf")

    # What a subclass fills in

    @abstractmethod
    async def _open_channel(self, link: Link) -> Channel:
        """Open a channel, with all that it needs.

        Raises:
            TopologyError: the broker refuses what is declared.
            LinkLost: the connection ended.
        """

    @abstractmethod
    def _expire(self, pending: asyncio.Future[Any]) -> None:
        """End what is pending: its deadline has passed."""

    async def _worn(self, channel: Channel) -> None:
        """Wait until the channel has ended, or had better be replaced."""
        await asyncio.wait({channel.closed})

    # What a subclass uses

    def _deadline(self, timeout: float | None) -> float:
        """When a message that is sent now is given up, by the loop's clock."""
        now = asyncio.get_running_loop().time()
        return now + (self._timeout if timeout is None else timeout)

    async def _ready(self, deadline: float) -> Channel:
        """A channel that takes a message now, and a place among the pending.

        Each place is given up by `_track`, or by `_window.release()` where nothing was sent.

        Raises:
            NotSent: there was none until the deadline; `Blocked` where that was the reason.
            TopologyError: the broker refuses what is declared.
            StateError: the bus is not running.
        """
        if (channel := self._ready_now()) is not None:
            return channel
        acquired = False
        try:
            async with asyncio.timeout_at(deadline):
                await self._window.acquire()
                acquired = True
                while (channel := self._usable()) is None or channel.congested:
                    if channel is None:
                        self._changed.clear()
                        await self._changed.wait()
                    else:
                        await channel.drain()
                return channel
        except BaseException as error:
            if acquired:
                self._window.release()
            if isinstance(error, TimeoutError):
                raise self._not_sent(acquired) from error
            raise

    def _ready_now(self) -> Channel | None:
        """As `_ready`, or None where that would have to wait."""
        channel = self._usable()
        if channel is None or channel.congested or not self._window.take():
            return None
        return channel

    def _track(self, pending: asyncio.Future[Any], deadline: float) -> None:
        """Count it as pending until it is done, or its deadline passes."""
        self._hold(pending, deadline)
        pending.add_done_callback(self._done)

    def _hold(self, pending: asyncio.Future[Any], deadline: float) -> None:
        """As `_track`, for one who calls `_done` when it is done, without a turn of the loop."""
        self._pending[pending] = deadline
        if deadline < self._sweep_at:
            self._sweep_from(deadline)

    @property
    def _blocked(self) -> str | None:
        return self._link.blocked if self._link is not None else None

    # The mechanism

    def _done(self, pending: asyncio.Future[Any]) -> None:
        self._window.release()
        del self._pending[pending]
        if not self._pending:
            self._settled.set()

    def _usable(self) -> Channel | None:
        """The channel, when the broker takes messages on it."""
        if self._stopped:
            raise StateError("the bus is not running: nothing can be sent")
        if self._broken is not None:
            raise TopologyError(str(self._broken), self._broken.code)
        if self._channel is None or self._channel.closed.done() or self._blocked:
            return None
        return self._channel

    def _not_sent(self, acquired: bool) -> NotSent:
        if self._blocked:
            return Blocked(f"the broker blocks publishers: {self._blocked}; nothing was sent")
        if self._channel is None:
            return NotSent("there is no connection to a broker; nothing was sent")
        if not acquired:
            return NotSent("too many messages awaited their answers before it; nothing was sent")
        return NotSent("the connection took no more data; nothing was sent")

    # The deadlines of what is pending: one timer for all of it

    def _sweep_from(self, when: float) -> None:
        if self._sweep is not None:
            self._sweep.cancel()
        self._sweep_at = when
        self._sweep = asyncio.get_running_loop().call_at(when, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        following = float("inf")
        for pending, deadline in self._pending.items():
            if pending.done():
                continue
            if deadline <= now:
                self._expire(pending)
            else:
                following = min(following, deadline)
        self._sweep = None
        self._sweep_at = float("inf")
        if following < self._sweep_at:
            self._sweep_from(following)

    # What the bus drives

    async def run(self) -> None:
        """Keep a channel open, on every link in turn."""
        while True:
            link = await self.supervisor.wait_link()
            try:
                channel = await self._open_channel(link)
            except TopologyError as error:
                self._broken = error
                self._changed.set()
            except AmqError:
                # The link ended meanwhile: the supervisor brings the next one.
                pass
            else:
                self._delays.connected()
                self._broken = None
                self._link = link
                self._channel = channel
                self._changed.set()
                await self._worn(channel)
                self._channel = None
                if not channel.closed.done():
                    await self.drain()
                    with contextlib.suppress(AmqError):
                        await channel.close()
                    continue
            if not link.lost.done():
                # The supervisor sees to the waits between links.
                await asyncio.sleep(self._delays.next())

    def note_change(self) -> None:
        """The broker has begun or ceased to block: let those that wait look again."""
        self._changed.set()

    async def drain(self) -> None:
        """Wait until everything that was sent is answered."""
        while self._pending:
            self._settled.clear()
            await self._settled.wait()

    def start(self) -> None:
        """Take messages; what the bus calls when it starts."""
        self._stopped = False

    def stop(self) -> None:
        """Refuse further messages, and those that wait to be sent."""
        self._stopped = True
        self._channel = None
        self._changed.set()
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        self._sweep_at = float("inf")
