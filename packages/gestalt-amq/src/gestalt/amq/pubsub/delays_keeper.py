"""The channel by which delayed messages are published, to whatever exchange they are to go."""

import asyncio
from collections.abc import Callable

from gestalt.amq.errors import TopologyError
from gestalt.amq.link.channel_keeper import Spawn
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.preflight import Preflight
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.topology import Exchange, declare_exchange
from gestalt.core import Backoff

from .delays import DUE, DelayTopology, Destination, ladder
from .exchange_keeper import ExchangeKeeper

# So many queues are declared at once, each by a channel.
AT_ONCE = 4


class DelayKeeper(ExchangeKeeper):
    """Declares the ladder of delays on every link, and keeps a channel with confirmations.

    It is made with the first delayed message, so that others declare nothing for that.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        preflight: Preflight,
        spawn: Spawn,
        make_room: Callable[[], bool],
        backoff: Backoff,
    ) -> None:
        self._led: set[Destination] = set()
        self._leading = asyncio.Lock()
        super().__init__(supervisor, Exchange(DUE, "headers"), preflight, spawn, make_room, backoff)

    def start(self) -> None:
        """Take messages; what the bus calls when it starts, in whatever event loop that is."""
        super().start()
        self._led.clear()
        self._leading = asyncio.Lock()

    async def lead_to(self, destination: Destination) -> None:
        """See to it that messages find to a destination, which is looked at once on each link.

        Raises:
            TopologyError: the broker refuses what is declared.
            LinkLost: the connection ended. ChannelsExhausted: it has no channel left.
        """
        if destination in self._led:
            return
        async with self._leading:
            if destination in self._led:
                return
            link = await self.supervisor.wait_link()
            channel = await link.open_channel()
            try:
                if destination.queue is None:
                    await declare_exchange(channel, destination.exchange)
                await _declare(channel, destination.topology)
            finally:
                await channel.close()
            if self.supervisor.link is link:
                self._led.add(destination)

    async def _open_channel(self, link: Link) -> Channel:
        self._led.clear()
        await _declare_ladder(link)
        return await link.open_channel(confirms=True)

    async def _restore(self, link: Link) -> bool:
        self._led.clear()
        await _declare_ladder(link)
        return True


async def _declare_ladder(link: Link) -> None:
    channel = await link.open_channel()
    try:
        await _declare(channel, ladder())
    finally:
        await channel.close()


async def _declare(channel: Channel, topology: DelayTopology) -> None:
    for exchange in topology.exchanges:
        await declare_exchange(channel, exchange)
    for queue in topology.queues:
        try:
            await channel.declare_queue(queue.name, arguments=queue.arguments)
        except TopologyError as error:
            raise TopologyError(f"queue {queue.name!r}: {error}", error.code) from error
    for binding in topology.bindings:
        bind = channel.bind_exchange if binding.to_exchange else channel.bind
        await bind(binding.destination, binding.source, "", binding.arguments)
