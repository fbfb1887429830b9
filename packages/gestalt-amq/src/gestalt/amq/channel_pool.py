"""The channels of a bus: one for each exchange that is published to, one for all requests."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator

from gestalt.core import Backoff, State, StateError
from gestalt.core.details import QueueRow
from gestalt.core.metrics import Metric

from .errors import ConnectError, TopologyError
from .link.channel_keeper import ChannelKeeper
from .link.interface import Channel, Link
from .link.preflight import Preflight, Question
from .link.spawn import Spawn
from .link.supervisor import Supervisor
from .link.surroundings import Surroundings
from .measured import publisher_metrics, requester_metrics
from .plan import Plan, merge
from .pubsub.delays_keeper import DelayKeeper
from .pubsub.exchange_keeper import ExchangeKeeper
from .requests.requests_keeper import RequestsKeeper
from .topology import Exchange

logger = logging.getLogger("gestalt.amq")

# So many channels that nobody uses any more are kept for the next one who does.
MAX_IDLE = 32


class ChannelPool:
    """Shares channels among publishers, and among requesters; gives up those that nobody uses.

    Args:
        publishing, requesting: the connections.
        spawn: runs tasks.
        open_connection: opens a connection, unless it is open already.
        stopping: whether the bus stops.
        backoff: the waits before a channel is opened again on the same connection.
        declare: declare exchanges; otherwise they must exist.
    """

    def __init__(
        self,
        publishing: Supervisor,
        requesting: Supervisor,
        *,
        spawn: Spawn,
        open_connection: Callable[[Supervisor], Awaitable[None]],
        stopping: Callable[[], bool],
        backoff: Backoff,
        declare: bool,
    ) -> None:
        self._spawn = spawn
        self._open_connection = open_connection
        self._stopping = stopping
        self._publishing, self._requesting = (
            Surroundings(connection, Preflight(), spawn, make_room, backoff, declare)
            for connection, make_room in (
                (publishing, lambda: self._dismiss_idle(0)),
                # There is one channel alone.
                (requesting, lambda: False),
            )
        )
        # By exchange, the one that was asked for last at the end.
        self._exchanges: dict[Exchange, ExchangeKeeper] = {}
        self._requests: RequestsKeeper | None = None
        self._admits = False
        self._delays: DelayKeeper | None = None
        self._started = False
        # Those that were given up, and have not ended yet.
        self._ending: list[Channel] = []

    def exchange(self, exchange: Exchange) -> ExchangeKeeper:
        """The channel for publishing to an exchange."""
        keeper = self._exchanges.pop(exchange, None)
        if keeper is None:
            self._dismiss_idle(MAX_IDLE)
            keeper = ExchangeKeeper(exchange, self._publishing)
            self._adopt(keeper)
        self._exchanges[exchange] = keeper
        return keeper

    def requests(self) -> RequestsKeeper:
        """The channel for requests."""
        if self._requests is None:
            self._requests = RequestsKeeper(self._requesting)
            self._adopt(self._requests)
        return self._requests

    def delays(self) -> DelayKeeper:
        """The channel for messages that are to be delivered later."""
        if self._delays is None:
            self._delays = DelayKeeper(self._publishing)
            self._adopt(self._delays)
        return self._delays

    @property
    def trouble(self) -> str | None:
        """Which channel gets no answers, of those that wait for some; None if none."""
        for keeper in self._all:
            if (trouble := keeper.look_for_trouble()) is not None:
                return f"{keeper.supervisor.name}: {trouble}"
        return None

    def metrics(self) -> Iterator[Metric]:
        """What became of all that was published and requested."""
        delayed = [] if self._delays is None else [self._delays]
        yield from publisher_metrics([*self._exchanges.values(), *delayed])
        if self._requests is not None:
            yield from requester_metrics(self._requests)

    def plan(self) -> Plan:
        """What those who publish and make requests need at the broker."""
        single = [each.plan for each in (self._requests, self._delays) if each is not None]
        return merge([*(keeper.plan for keeper in self._exchanges.values()), *single])

    async def refusals(self, link: Link, exchanges: Iterable[str]) -> list[TopologyError]:
        """To which exchanges nothing may be published on the publishing connection, and why.

        Raises:
            LinkLost: the link ended.
        """
        questions = [Question(exchange, "") for exchange in exchanges]
        refused = await self._publishing.preflight.ask(link, questions)
        return [
            TopologyError(f"publishing to exchange {question.exchange!r}: {error}", error.code)
            for question, error in refused.items()
            # What may be published to a topic exchange can depend on the routing key.
            if "to topic" not in str(error)
        ]

    def admit(self) -> None:
        """Take messages, which wait until `start`; what the bus calls when its start begins."""
        self._admits = True
        for each in (self._publishing, self._requesting):
            each.preflight.start()
        for keeper in self._all:
            keeper.start()

    def start(self) -> None:
        """Begin to send."""
        self._started = True
        for keeper in self._all:
            self._begin(keeper)

    async def drain(self) -> None:
        """Wait until everything that was sent is answered."""
        await asyncio.gather(*(each.drain() for each in self._all))

    def stop(self) -> None:
        """Refuse further messages, and those that wait to be sent."""
        self._admits = self._started = False
        for keeper in self._all:
            keeper.stop()

    def queues(self) -> Iterable[QueueRow]:
        """What waits to be sent, and what awaits the broker's answer, by channel."""
        for keeper in self._all:
            yield QueueRow(keeper.name, waiting=keeper.queued, active=len(keeper.pending))

    def note_change(self) -> None:
        """The broker has begun or ceased to block."""
        for keeper in self._all:
            keeper.note_change()

    @property
    def _all(self) -> list[ChannelKeeper]:
        single: tuple[ChannelKeeper | None, ...] = (self._requests, self._delays)
        return [*self._exchanges.values(), *(each for each in single if each is not None)]

    def _adopt(self, keeper: ChannelKeeper) -> None:
        if self._admits:
            keeper.start()
        if self._started:
            self._begin(keeper)

    def _begin(self, keeper: ChannelKeeper) -> None:
        self._spawn(self._run(keeper), name=f"channel of {keeper.name}")

    async def _run(self, keeper: ChannelKeeper) -> None:
        while keeper.supervisor.state is not State.RUNNING:
            try:
                await self._open_connection(keeper.supervisor)
            except ConnectError as error:
                # It has tried for a while; messages wait, up to their deadlines.
                logger.warning("%s: %s", keeper.supervisor.name, error)
            except StateError:
                if self._stopping():
                    return
                raise  # pragma: no cover - only a stop raises it
        await keeper.run()

    def _dismiss_idle(self, most: int) -> bool:
        """Give up channels that nobody uses, but for `most`; whether some are about to end."""
        idle = [
            exchange
            for exchange, keeper in self._exchanges.items()
            if not (keeper.users or keeper.pending)
        ]
        idle = idle[: max(0, len(idle) - most)]
        for exchange in idle:
            if (channel := self._exchanges.pop(exchange).dismiss()) is not None:
                self._ending.append(channel)
        self._ending = [channel for channel in self._ending if not channel.closed.done()]
        return bool(self._ending)
