"""The connections of a bus: one for each purpose, each opened with its first user."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gestalt.core import Backoff, State, StateError

from .events import Event
from .link.address import BrokerAddress
from .link.channel_keeper import Spawn
from .link.dial import FailedAddresses
from .link.interface import Link
from .link.supervisor import Supervisor


@dataclass(frozen=True, slots=True)
class Settings:
    """How a bus reaches its brokers; see the parameters of `connect`."""

    addresses: Sequence[BrokerAddress]
    name: str
    tls: ssl.SSLContext | None
    heartbeat: int
    connect_timeout: float
    start_timeout: float
    backoff: Backoff


class Connections:
    """Publishing, consuming and requests have a connection each.

    A broker that blocks publishers, or a consumer that lags, thereby holds up only its own kind.

    Args:
        settings: how brokers are reached.
        run: awaits a call in a task of the bus.
        spawn: runs tasks of the bus.
        tell: is told of every change.

    Attributes:
        publishing, consuming, requesting: one for each purpose.
        lending: for the channels that an application asks for.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        run: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
        spawn: Spawn,
        tell: Callable[[Event], None],
    ) -> None:
        self._settings = settings
        self._run = run
        self._spawn = spawn
        self._failed_addresses = FailedAddresses()
        self.publishing = self._make("publish", tell)
        self.consuming = self._make("consume", tell)
        self.requesting = self._make("request", tell)
        self.lending = self._make("channels", tell)
        self._opening: asyncio.Lock | None = None

    def one_more(self, purpose: str) -> Supervisor:
        """Make a connection for one call, which tells by itself what happens to it."""
        return self._make(purpose, _ignored)

    def start(self) -> None:
        """Begin anew, in the event loop that runs now."""
        # Here: the client library takes 0.2 s to import, longer than all of gestalt.amq, and that
        # is not to be taken for a broker's silence.
        from .link import aio_pika_link  # noqa: F401

        self._opening = asyncio.Lock()

    async def open(self, supervisor: Supervisor) -> None:
        """Open one of them, unless it is open already.

        Raises:
            ConnectError: no broker could be reached within the start's time.
            StateError: the bus is not running.
        """
        if self._opening is None:
            raise StateError("the bus is not running: it was never started")
        async with self._opening:
            if supervisor.state is not State.RUNNING:
                await self._run(supervisor.start)
                # It does not fail by what a broker does; if it does, so does the bus.
                self._spawn(supervisor.wait_stopped(), name=f"watch {supervisor.name}")

    async def close(self, patience: float) -> None:
        """Close all of them.

        Args:
            patience: how long the brokers may take to answer, in seconds.
        """
        supervisors = self.lending, self.requesting, self.consuming, self.publishing
        for supervisor in supervisors:
            supervisor.close_timeout = patience
        await gather_all(each.stop() for each in supervisors)

    def _make(self, purpose: str, tell: Callable[[Event], None]) -> Supervisor:
        return Supervisor(
            self._settings.addresses,
            lambda address: self._connect(address, purpose),
            name=f"{self._settings.name} {purpose}",
            purpose=purpose,
            backoff=self._settings.backoff,
            start_timeout=self._settings.start_timeout,
            on_event=tell,
        )

    async def _connect(self, address: BrokerAddress, purpose: str) -> Link:
        from .link.aio_pika_link import connect

        settings = self._settings
        return await connect(
            address,
            name=f"{address.name or settings.name} {purpose}",
            heartbeat=settings.heartbeat,
            timeout=settings.connect_timeout,
            tls=settings.tls,
            failed_addresses=self._failed_addresses,
        )


async def gather_all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await them all, whatever some of them raise; then raise that."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if len(errors) > 1:
        raise BaseExceptionGroup("several failed to stop", errors)
    if errors:
        raise errors[0]


def _ignored(event: Event) -> None:
    """What happens to a connection of one call is told by that call."""
