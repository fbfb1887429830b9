"""Consuming from a queue in partitions, which its subscribers share fairly, each part in order."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

from gestalt.amq.declaring import declare_private
from gestalt.amq.errors import AmqError, LinkLost
from gestalt.amq.headers import CONTROL_HEADER, INSTANCE_HEADER, QUEUE_HEADER, as_text
from gestalt.amq.link.consumer import Consumer, Receiver, Session, Timing
from gestalt.amq.link.interface import Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.plan import Plan
from gestalt.amq.wire import Delivery
from gestalt.core import State
from gestalt.core import vocabulary as words
from gestalt.core.metrics import Metric, measures

from .declaration import SubscriptionDeclaration
from .partition_members import BEAT, Members
from .partition_voice import Voice
from .partitions import Partitioned, shares
from .plans import binding_of
from .stats import SubscriptionStats
from .subscription import Subscription

HERE, JOIN, LEAVE = "here", "join", "leave"
# Those who are there answer a newcomer at once; so long it waits for that, in seconds.
SETTLE = 0.3


class MemberSession(Session):
    """How one who takes part hears of the others, on one link.

    Attributes:
        receiver: the channel and the private queue.
    """

    receiver: Receiver


class PartitionedSubscription(Consumer[MemberSession]):
    """A handler on the parts of a queue; made by `Bus.subscribe` with a `Partitioned`.

    Each part is a queue with a single active consumer. Those who take part tell one another of
    themselves; from who is there each computes the same fair shares, gives up the parts that are
    not its own, and consumes from those that are. Whoever consumes from a part is the only one who
    gets its messages until it has handled, or has given back, all that it got.

    Attributes:
        binding: what the queue takes.
        plan: what it needs at the broker.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        publishing: Supervisor,
        declaration: SubscriptionDeclaration,
        queue: Partitioned,
        plan: Plan,
        *,
        declare: Callable[[Link], Awaitable[None]],
        make: Callable[[int], Subscription],
        timing: Timing,
    ) -> None:
        super().__init__(f"subscription {queue.name}", supervisor, timing, declaration.stop_timeout)
        self.binding = binding_of(declaration, queue.exchange)
        self.plan = plan
        self._queue = queue
        self._declare = declare
        self._make = make
        self._instance = os.urandom(16).hex()
        self._members = Members(self._instance)
        self._voice = Voice(
            publishing,
            queue.members.name,
            self._instance,
            gone=lambda reached: self._note(self._members.gone(reached)),
        )
        self._held: dict[int, Subscription] = {}
        # Of the parts that it had, and has no more.
        self._past = SubscriptionStats()
        self._changed = asyncio.Event()
        self._share_failure: Exception | None = None

    @property
    def queue_name(self) -> str:
        """The name of the whole queue."""
        return self._queue.name

    @property
    def partitions(self) -> frozenset[int]:
        """The numbers of the parts that it consumes from now, or will as soon as they are free."""
        return frozenset(self._held)

    @property
    def members(self) -> int:
        """How many take part, as far as it knows, itself included."""
        return len(self._members.names)

    @property
    def stats(self) -> SubscriptionStats:
        """What became of its messages, of all parts that it has, and has had."""
        total = SubscriptionStats()
        for stats in (self._past, *(each.stats for each in self._held.values())):
            total.add(stats)
        return total

    @property
    def trouble(self) -> str | None:
        """What keeps it from its work, though others of the bus may work; None if nothing does."""
        if not self.consuming:
            return "it is not connected to those who share the queue with it"
        if self._share_failure is not None:  # pragma: no cover - as `_keep_share` says
            return str(self._share_failure)
        for number, each in self._held.items():
            if each.trouble is not None and each.state not in (State.STOPPING, State.STOPPED):
                return f"partition {number}: {each.trouble}"
        return None

    @measures
    def _partition_metrics(self) -> Iterable[Metric]:
        # Each part is a component of its own.
        yield words.PARTITIONS("partitioned_subscription", len(self._held))
        yield words.MEMBERS("partitioned_subscription", self.members)
        yield words.UP("partitioned_subscription", int(self.consuming))

    # Its life

    async def _open(self) -> None:
        self._members.forget()
        self._changed = asyncio.Event()
        await self._open_voice()
        await super()._open()
        # What the others answer is there by then, and the first shares are nearly right.
        await asyncio.sleep(SETTLE)
        await self._share()
        self._sustain(self._beat, name="beat")
        self._sustain(self._keep_share, name="share")

    async def _drain(self) -> None:
        if self._session is not None:  # pragma: no branch - stopped without a connection
            # First: so others wait for the parts already when these become free.
            self._voice.say(LEAVE, self._session.receiver.queue)
        await self._release(list(self._held))

    async def _close(self) -> None:
        held, self._held = self._held, {}
        for part in held.values():
            self._past.add(part.stats)  # pragma: no cover - a drain that was cut leaves some
        try:
            await _all(each.stop(timeout=0) for each in held.values())
        finally:
            await self._voice.close()
            await super()._close()

    async def _consume(self, link: Link) -> MemberSession:
        session = MemberSession(link)
        try:
            await self._declare(link)
            receiver = session.receiver = await session.open(
                lambda _, delivery: self._hear(session, delivery)
            )
            channel = receiver.channel
            # One that was left behind would take what is said, and nobody would read it.
            receiver.queue = await declare_private(channel, auto_delete=True)
            await channel.bind(receiver.queue, self._queue.members.name, "")
            receiver.consumer_tag = await channel.consume(receiver.queue, no_ack=True)
            self._members.refresh(asyncio.get_running_loop().time())
            self._voice.say(JOIN, receiver.queue)
        except BaseException:
            await session.close()
            raise
        return session

    # The others

    def _hear(self, session: MemberSession, delivery: Delivery) -> None:
        headers = delivery.properties.headers or {}
        word = as_text(headers.get(CONTROL_HEADER))
        name, queue = as_text(headers.get(INSTANCE_HEADER)), as_text(headers.get(QUEUE_HEADER))
        if name is None or queue is None or name == self._instance:
            return
        if word == LEAVE:
            self._note(self._members.leave(name))
            return
        self._note(self._members.hear(name, queue, asyncio.get_running_loop().time()))
        if word == JOIN and self._alive:
            self._voice.say(HERE, session.receiver.queue, to=queue)

    def _note(self, changed: bool) -> None:
        if changed:
            self._changed.set()

    async def _open_voice(self) -> bool:
        """Be able to say something, if that is possible now; whether it is only since now."""
        try:
            return await self._voice.open()
        except LinkLost:  # pragma: no cover - lost in this turn
            # That is told by the connection.
            return False
        except AmqError as error:  # pragma: no cover - a broker without channels left
            self._report_error(error, f"{self!r} cannot tell others of itself, and tries again")
            return False

    async def _beat(self) -> None:
        """Say now and then that it is there, and look after those who do not."""
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(BEAT)
            session = self._session
            if session is None or session.ended.done() or self.state is not State.RUNNING:
                continue
            reached = session.receiver.queue
            self._voice.say(JOIN if await self._open_voice() else HERE, reached)
            for queue in self._members.silent(now()):
                # One that is gone has no queue any more, and this comes back.
                self._voice.say(HERE, reached, to=queue)
            self._note(self._members.expire(now()))

    # The parts

    async def _keep_share(self) -> None:
        """Have those parts, and no others, that are its share."""
        delays = self._backoff.delays()
        while True:
            await self._changed.wait()
            # Where many come at once, their shares are computed once.
            await asyncio.sleep(SETTLE)
            self._changed.clear()
            try:
                await self._share()
            except LinkLost:  # pragma: no cover - lost while parts begin
                self._changed.set()
            except Exception as error:  # pragma: no cover - a part's queue was changed meanwhile
                if self._share_failure is None or str(self._share_failure) != str(error):
                    self._report_error(error, f"{self!r} cannot consume, and tries again: {error}")
                self._share_failure = error
                self._changed.set()
                await asyncio.sleep(delays.next())
            else:
                self._share_failure = None
                delays.connected()

    async def _share(self) -> None:
        if not self._alive:  # pragma: no cover - stopped before its turn
            return
        mine = shares(self._queue.partitions, self._members.names)[self._instance]
        await self._release([number for number in self._held if number not in mine])
        await _all(self._take(number) for number in sorted(mine) if number not in self._held)

    async def _take(self, number: int) -> None:
        # It may have been stopped while others were given up.
        if not self._alive:
            return
        part = self._make(number)
        await part.start()
        self._held[number] = part
        if not self._alive:  # pragma: no cover - stopped while it began
            await self._release([number])

    async def _release(self, numbers: Iterable[int]) -> None:
        """Give up parts: each when its running handlers are done, and no part waits for another."""

        async def release(number: int, part: Subscription) -> None:
            try:
                await part.stop()
            finally:
                if self._held.pop(number, None) is not None:
                    self._past.add(part.stats)

        await _all(release(number, self._held[number]) for number in numbers)

    @property
    def _alive(self) -> bool:
        return self.state in (State.STARTING, State.RUNNING)


async def _all(calls: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Await them all, whatever some of them raise; then raise the first of that."""
    for outcome in await asyncio.gather(*calls, return_exceptions=True):
        if isinstance(outcome, BaseException):  # pragma: no cover - lost while parts begin or end
            raise outcome
