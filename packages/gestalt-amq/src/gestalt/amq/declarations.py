"""What an application declares without using it, declared again on every connection."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Generator, Iterable
from dataclasses import replace

from gestalt.core import Backoff, StateError
from gestalt.core.numbers import kind_of

from .bindings_record import reconcile
from .declaring import all_refused, declare_all, declare_plan
from .errors import AmqError, LinkLost, TopologyError
from .events import Event, StaleBindings
from .link.interface import Link
from .link.supervisor import Supervisor
from .plan import Plan, merge, plan_binding, plan_queue
from .topology import Binding, Exchange, Queue

logger = logging.getLogger("gestalt.amq")

# How long a start asks whether it may publish, in seconds.
CHECK_TIMEOUT = 5.0
# How long keeping one record of bindings may take, in seconds.
RECORD_TIMEOUT = 2.0

Declarable = Exchange | Queue | Binding


def plan_items(items: tuple[Declarable, ...]) -> Plan:
    """What a few exchanges, queues and bindings need.

    Raises:
        TypeError: something else is among them.
        ValueError: a binding does not say what is bound.
    """
    plans = []
    for item in items:
        if isinstance(item, Exchange):
            plans.append(Plan((item,)))
        elif isinstance(item, Queue):
            plans.append(plan_queue(item))
        elif not isinstance(item, Binding):
            raise TypeError(f"an Exchange, a Queue or a Binding is declared, got {kind_of(item)}")
        elif item.to is None:
            raise ValueError("a binding that is declared says what is bound, by to=")
        else:
            plans.append(plan_binding(item, recorded=True))
    return merge(plans)


class Declarations:
    """Declares at the start, at once while the bus runs, and on each new connection.

    Args:
        supervisor: the connection.
        declare: declare; otherwise everything must exist.
        backoff: the waits before a refused declaration is tried again.
        refusals: asks to which exchanges nothing may be published, and why.
        named: gives all that the application names by now.
        tell: is told of bindings that are named no more.
        report: tells of a refusal on a later connection.

    Attributes:
        plan: everything that was declared.
        trouble: why something could not be declared on the present connection, None if it could.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        *,
        declare: bool,
        backoff: Backoff,
        refusals: Callable[[Link, Iterable[str]], Awaitable[list[TopologyError]]],
        named: Callable[[], Plan],
        tell: Callable[[Event], None],
        report: Callable[[BaseException, str], None],
    ) -> None:
        self.plan = Plan()
        self.trouble: str | None = None
        self._supervisor = supervisor
        self._declare = declare
        self._backoff = backoff
        self._refusals = refusals
        self._report = report
        self._named = named
        self._tell = tell

    def add(self, items: tuple[Declarable, ...], *, exact: bool, running: bool) -> Awaitable[None]:
        """Have more declared, on each connection; what is returned declares it now.

        Args:
            items: what is declared; errors as those of `plan_items`.
            exact: take away other bindings of the queues that are bound, as far as is known.
            running: there is a connection; otherwise there is nothing to wait for.
        """
        plan = plan_items(items)
        if exact:
            plan = replace(plan, exact=tuple(plan.recorded()))
        self.plan = merge([self.plan, plan])
        return self._add(plan) if running else _Nothing()

    async def start(self, needed: Plan) -> None:
        """Declare what was added; where nothing is declared, see that all that is needed is there.

        Raises:
            TopologyError: the broker refuses; everything that it refuses is named.
            StateError: the bus is not running.
        """
        self.trouble = None
        if self._declare:
            await self._provide(self.plan)
        await self.check(needed)

    async def check(self, needed: Plan) -> None:
        """Where nothing is declared, see that what is needed is there, and may be published to.

        Raises:
            TopologyError, StateError: as `start` does.
        """
        if self._declare:
            return
        plan = needed.checked()
        link = await self._supervisor.wait_link(answering=True)
        refused: list[TopologyError] = []
        await declare_all(link, plan, refused)
        # A broker that is short of memory answers nothing after the first message.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CHECK_TIMEOUT):
                refused += await self._refusals(link, plan.publishes)
        if refused:
            raise all_refused(refused, plan)

    async def run(self) -> None:
        """Declare everything again on each connection that replaces another."""
        # A connection that is not made again tells by itself why.
        with contextlib.suppress(StateError):
            while True:
                link = await self._supervisor.wait_link()
                await asyncio.shield(link.lost)
                await self._replay()

    async def _replay(self) -> None:
        delays = self._backoff.delays()
        while True:
            try:
                await self._provide(self.plan)
            except AmqError as error:
                self.trouble = str(error)
                self._report(error, f"a declaration is refused, and tried again: {error}")
                await asyncio.sleep(delays.next())
            else:
                self.trouble = None
                return

    async def record(self, named: Plan, queues: Iterable[str] | None = None) -> None:
        """Record what queues are bound by, and tell, or take away, what is named no more.

        Args:
            named: all that the application names.
            queues: those that have been bound; by default all of them.
        """
        if not self._declare:
            return
        recorded = named.recorded()
        for queue in recorded if queues is None else queues:
            if queue not in recorded:
                continue  # pragma: no cover - it is named no more
            exact = queue in named.exact
            try:
                # A broker that is short of memory takes nothing.
                async with asyncio.timeout(RECORD_TIMEOUT):
                    link = await self._supervisor.wait_link(answering=True)
                    stale = await reconcile(link, queue, recorded[queue], exact=exact)
            except (AmqError, TimeoutError) as error:
                why = str(error) or "no answer"
                logger.warning("the bindings of queue %r are not recorded: %s", queue, why)
                continue
            if stale:
                self._tell(StaleBindings(queue, tuple(map(str, stale)), exact))
                told = "unbound" if exact else "still bound, and not named any more"
                logger.warning("%s: %s", told, "; ".join(map(str, stale)))

    async def _add(self, plan: Plan) -> None:
        await self._provide(plan)
        await self.record(self._named(), plan.recorded())

    async def _provide(self, plan: Plan) -> None:
        plan = plan if self._declare else plan.checked()
        while plan.exchanges or plan.queues:
            link = await self._supervisor.wait_link(answering=True)
            try:
                await declare_plan(link, plan)
            except LinkLost:
                if not link.lost.done():  # pragma: no cover - the link knows it a turn later
                    raise
            else:
                break


class _Nothing:
    """Is done when it is awaited."""

    def __await__(self) -> Generator[None, None, None]:
        yield from ()
