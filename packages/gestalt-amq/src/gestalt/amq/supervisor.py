"""Keeps one connection to the brokers open: failover, backoff, and word of every change."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

from gestalt.core import Backoff, Component

from .errors import AccessRefused, AmqError, ConnectError
from .events import Connected, Disconnected, Event, PublishingBlocked, PublishingUnblocked
from .link import Link

log = logging.getLogger("gestalt.amq")

Connector = Callable[[str], Awaitable[Link]]


class Supervisor(Component):
    """Holds a link to one of several brokers, and replaces it when it is lost.

    Args:
        urls: the brokers, in the order in which they are tried. After a loss the same one is
            tried first, then the others.
        connector: makes a link to a URL.
        name: what the connection is for.
        backoff: the waits between rounds through all brokers.
        start_timeout: how long to try for the first link, in seconds.
        on_event: is told of every change.

    Attributes:
        link: the present link, None while there is none.
        failure: why there is none, as far as that is known.
    """

    def __init__(
        self,
        urls: Sequence[str],
        connector: Connector,
        *,
        name: str,
        backoff: Backoff,
        start_timeout: float,
        on_event: Callable[[Event], None],
    ) -> None:
        super().__init__(name=name)
        self.link: Link | None = None
        self.failure: AmqError | None = None
        self._urls = list(urls)
        self._connector = connector
        self._delays = backoff.delays()
        self._start_timeout = start_timeout
        self._on_event = on_event
        self._at = 0
        self._up = asyncio.Event()

    async def wait_link(self) -> Link:
        """Wait until a link is up, and return it."""
        while (link := self.link) is None or link.lost.done():
            self._up.clear()
            await self._up.wait()
        return link

    async def _open(self) -> None:
        errors: list[AmqError] = []
        try:
            async with asyncio.timeout(self._start_timeout):
                link = await self._connect(errors, give_up_refused=True)
        except TimeoutError as timeout:
            latest = "; ".join(dict.fromkeys(map(str, errors[-len(self._urls) :])))
            raise ConnectError(
                f"no broker within {self._start_timeout} s: {latest or 'no answer'}"
            ) from (errors[-1] if errors else timeout)
        self._adopt(link)
        self._spawn(self._keep(link), name="keep")

    async def _close(self) -> None:
        link, self.link = self.link, None
        self._up.clear()
        if link is not None:
            await link.close()

    async def _keep(self, link: Link) -> None:
        while True:
            reason = await asyncio.shield(link.lost)
            self.link = None
            self.failure = reason
            self._up.clear()
            log.warning("%s connection lost: %s", self.name, reason)
            self._on_event(Disconnected(self.name, reason))
            await asyncio.sleep(self._delays.next())
            link = await self._connect([], give_up_refused=False)
            self._adopt(link)

    def _adopt(self, link: Link) -> None:
        self._delays.connected()
        link.on_blocked = self._blocked
        self.link = link
        self.failure = None
        self._up.set()
        log.info("%s connection to %s is up", self.name, link.address)
        self._on_event(Connected(self.name, link.address))

    def _blocked(self, reason: str | None) -> None:
        if reason is None:
            self._on_event(PublishingUnblocked(self.name))
        else:
            log.warning("%s connection is blocked by the broker: %s", self.name, reason)
            self._on_event(PublishingBlocked(self.name, reason))

    async def _connect(self, errors: list[AmqError], *, give_up_refused: bool) -> Link:
        """Try the brokers in turn until one lets us in."""
        while True:
            refused = 0
            for _ in self._urls:
                try:
                    return await self._connector(self._urls[self._at])
                except ConnectError as error:
                    log.warning("%s: %s", self.name, error)
                    errors.append(error)
                    self.failure = error
                    refused += isinstance(error, AccessRefused)
                    self._at = (self._at + 1) % len(self._urls)
            if give_up_refused and refused == len(self._urls):
                raise errors[-1]
            await asyncio.sleep(self._delays.next())
