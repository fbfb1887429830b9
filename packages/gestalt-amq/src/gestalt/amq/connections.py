"""The connections of a bus: one for each purpose, each opened with its first user."""

import asyncio
import ssl
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any, NamedTuple

from gestalt.core import Backoff, State, StateError
from gestalt.core.errors import one_of

from .credentials import Login
from .events import Connected, Event
from .link.address import BrokerAddress
from .link.dial import FailedAddresses
from .link.interface import Link
from .link.renewal import keep_fresh
from .link.spawn import Spawn
from .link.supervisor import Supervisor

# What stands on the client library.
LINK = f"{__package__}.link.aio_pika_link"


class Settings(NamedTuple):
    """How a bus reaches its brokers; see the parameters of `connect`."""

    addresses: Sequence[BrokerAddress]
    name: str
    tls: ssl.SSLContext | None
    heartbeat: int
    connect_timeout: float
    start_timeout: float
    silence_timeout: float
    backoff: Backoff
    login: Login | None = None


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
        self._tell = tell
        self.publishing = self._make("publish", self._told)
        self.consuming = self._make("consume", self._told)
        self.requesting = self._make("request", self._told)
        self.lending = self._make("channels", self._told)
        self._opening: asyncio.Lock | None = None

    @property
    def addresses(self) -> Sequence[BrokerAddress]:
        """Where the brokers are."""
        return self._settings.addresses

    @property
    def _all(self) -> tuple[Supervisor, ...]:
        return self.publishing, self.consuming, self.requesting, self.lending

    @property
    def trouble(self) -> str | None:
        """What is wrong with the first one of those in use that does not work; None if nothing."""
        for each in self._all:
            if each.state is State.RUNNING and not each.working:
                return f"{each.name}: {each.trouble}"
        return None

    def one_more(self, purpose: str) -> Supervisor:
        """Make a connection for one call, which tells by itself what happens to it."""
        return self._make(purpose, _ignored)

    async def start(self) -> None:
        """Begin anew, in the event loop that runs now."""
        if LINK not in sys.modules:
            # The client library takes 0.2 s, longer than all of gestalt.amq. Neither is that to be
            # taken for a broker's silence, nor may it hold up what runs already.
            await asyncio.to_thread(import_module, LINK)
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
        for supervisor in self._all:
            supervisor.close_timeout = patience
        await gather_all(each.stop() for each in self._all)

    def _told(self, event: Event) -> None:
        if isinstance(event, Connected):
            for each in self._all:
                each.retry()
        self._tell(event)

    def _make(self, purpose: str, tell: Callable[[Event], None]) -> Supervisor:
        return Supervisor(
            self._settings.addresses,
            lambda address: self._connect(address, purpose, tell),
            name=f"{self._settings.name} {purpose}",
            purpose=purpose,
            backoff=self._settings.backoff,
            start_timeout=self._settings.start_timeout,
            silence_timeout=self._settings.silence_timeout,
            on_event=tell,
        )

    async def _connect(
        self, address: BrokerAddress, purpose: str, tell: Callable[[Event], None]
    ) -> Link:
        from .link.aio_pika_link import connect

        settings = self._settings
        login, credentials = settings.login, None
        if login is not None:
            credentials = await login.obtain()
            address = replace(address, user=credentials.user, password=credentials.password)
        link = await connect(
            address,
            name=f"{address.name or settings.name} {purpose}",
            heartbeat=settings.heartbeat,
            timeout=settings.connect_timeout,
            tls=settings.tls,
            failed_addresses=self._failed_addresses,
        )
        # One of a single call does not live as long.
        lasts = tell is not _ignored
        if lasts and login is not None and credentials is not None and credentials.left is not None:
            name = f"{settings.name} {purpose}"
            renewing = keep_fresh(link, login, credentials, name=name, purpose=purpose, tell=tell)
            self._spawn(renewing, name=f"secret of {name}")
        return link


async def gather_all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await them all, whatever some of them raise; then raise that."""
    results = await asyncio.gather(*calls, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise one_of("several failed to stop", errors)  # pragma: no cover - a stop that fails


def _ignored(event: Event) -> None:
    """What happens to a connection of one call is told by that call."""
