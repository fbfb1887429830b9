"""The channel by which delayed messages are published, to whatever exchange they are to go."""

import asyncio

from gestalt.amq.declaring import declare_plan
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.surroundings import Surroundings
from gestalt.amq.plan import Plan, merge
from gestalt.amq.topology import Exchange

from .delays import DUE, Destination, ladder
from .exchange_keeper import ExchangeKeeper


class DelayKeeper(ExchangeKeeper):
    """Declares the ladder of delays on every link, and keeps a channel with confirmations.

    It is made with the first delayed message, so that others declare nothing for that.

    Args:
        surroundings: as `ChannelKeeper` has them.
    """

    def __init__(self, surroundings: Surroundings) -> None:
        self._declares = surroundings.declare
        self._led: set[Destination] = set()
        self._expected: set[Destination] = set()
        self._leading = asyncio.Lock()
        super().__init__(Exchange(DUE, "headers"), surroundings)
        self.plan = ladder()

    def start(self) -> None:
        """Take messages; what the bus calls when it starts, in whatever event loop that is."""
        super().start()
        self._led.clear()
        self._leading = asyncio.Lock()

    def expect(self, destination: Destination) -> None:
        """Declare what leads to a destination with the ladder, on each link."""
        if destination not in self._expected:
            self._expected.add(destination)
            self.plan = merge([self.plan, destination.plan])

    async def lead_to(self, destination: Destination) -> bool:
        """See to it that messages find to a destination, which is looked at once on each link.

        Returns:
            whether that took any time.

        Raises:
            TopologyError: the broker refuses what is declared.
            LinkLost: the connection ended. ChannelsExhausted: it has no channel left.
        """
        if destination in self._led:
            return False
        async with self._leading:
            if destination in self._led:
                return True
            link = await self.supervisor.wait_link()
            await self._declare(link, destination.plan)
            if self.supervisor.link is link:  # pragma: no branch - the link changed meanwhile
                self._led.add(destination)
            return True

    async def _open_channel(self, link: Link) -> Channel:
        self._led.clear()
        expected = set(self._expected)
        await self._declare(link, self.plan)
        self._led |= expected
        return await link.open_channel(confirms=True)

    async def _restore(self, link: Link) -> bool:  # pragma: no cover - an exchange is deleted
        self._led.clear()
        await self._declare(link, self.plan)
        return True

    async def _declare(self, link: Link, plan: Plan) -> None:
        await declare_plan(link, plan if self._declares else plan.checked())
