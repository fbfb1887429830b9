"""Works on the requests of a service: each gets one outcome, which its caller is told."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from gestalt.amq.declare import declare_exchange
from gestalt.amq.errors import AmqError, LinkLost, TopologyError
from gestalt.amq.link.consumer import Consumer, Intake, Session
from gestalt.amq.link.interface import Channel, Link
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import TRANSIENT, Delivery, Properties
from gestalt.codecs import Codec, CodecError
from gestalt.core import Backoff, Handler, Handlers, State

from . import protocol
from .replies import NOTHING, Replies
from .service import ResponderStats, ServiceInfo, info_codec
from .worker import Worker, worked_on_before

# How long handlers may follow one another without giving way to the event loop, in seconds.
TURN = 0.005
# A queue that outlived its responders, with a restart of the broker, vanishes after so long.
QUEUE_EXPIRES = 30.0
# How long the last instance takes requests off the queue only to refuse them, in seconds.
EMPTYING = 1.0


@dataclass(frozen=True, slots=True)
class Serving:
    """How a responder serves; the parameters of `Bus.respond`."""

    version: str
    description: str
    concurrency: int
    timeout: float
    send_traceback: bool


class _Session(Session):
    """The requests that all instances share, and what is for this instance alone."""

    requests: Intake
    instance: Intake


class Responder(Consumer[_Session]):
    """A handler for the requests of a service; made, started and stopped by `Bus.respond`.

    Attributes:
        service: the name of the service.
        instance: tells this responder from all others.
        stats: what became of its requests.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        service: str,
        handler: Handler,
        codecs: Sequence[Codec],
        serving: Serving,
        *,
        backoff: Backoff,
        start_timeout: float,
        stop_timeout: float,
        tracing: Tracing | None,
    ) -> None:
        super().__init__(
            f"responder {service}",
            supervisor,
            backoff=backoff,
            start_timeout=start_timeout,
            stop_timeout=stop_timeout,
        )
        self.service = service
        self.instance = uuid.uuid4().hex[:12]
        self.stats = ResponderStats()
        self._queue = protocol.request_queue(service)
        self._handler = handler
        self._serving = serving
        called = f"{supervisor.name}: {self.name}"
        self._replies = Replies(
            self.instance,
            self._channel,
            send_traceback=serving.send_traceback,
            report=lambda error, text: self._report_error(error, f"{called}: {text}"),
        )
        self._worker = Worker(
            called,
            handler,
            codecs,
            self._replies,
            self.stats,
            timeout=serving.timeout,
            spawn=self._spawn,
            on_done=self._done,
            tracing=tracing,
        )
        self._started = 0.0
        # What replies leave by.
        self._outgoing: Channel | None = None
        # What was delivered and not begun, each with the channel that it came by.
        self._backlog: deque[tuple[Intake, Delivery]] = deque()
        self._scheduled = False
        # Whether a probe was returned.
        self._unheard = False
        self._quiet = asyncio.Event()

    @property
    def info(self) -> ServiceInfo:
        """What this instance tells of itself."""
        handler = self._handler
        return ServiceInfo(
            service=self.service,
            instance=self.instance,
            version=self._serving.version,
            description=self._serving.description,
            handlers=list(handler.names)
            if isinstance(handler, Handlers)
            else [getattr(handler, "__qualname__", type(handler).__qualname__)],
            started=self._started,
            running=len(self._worker.running),
            stats=replace(self.stats),
        )

    @property
    def _leaving(self) -> bool:
        return self.state is State.STOPPING

    # Its life

    async def _open(self) -> None:
        self._backlog.clear()
        self._started = time.time()
        await super()._open()

    async def _consume(self, link: Link) -> _Session:
        session = _Session(link)
        try:
            # Requests may come, and be replied to, before all of this is done.
            session.requests = await session.open(self._take, on_returned=self._returned)
            self._outgoing = session.requests.channel
            self._replies.note_connected()
            self._forget_lost()
            await self._consume_instance(session)
            if not self._leaving:
                await self._consume_requests(session)
        except BaseException:
            await session.close()
            raise
        return session

    def _forget_lost(self) -> None:
        """Leave to the broker what came by a connection that was lost."""
        for entry in list(self._backlog):
            if entry[0].channel.closed.done():
                self._backlog.remove(entry)
        self._worker.end_streams()

    async def _consume_instance(self, session: _Session) -> None:
        """Take what every instance gets, and what is said about requests under way."""
        intake = session.instance = await session.open(self._take)
        channel = intake.channel
        await declare_exchange(channel, protocol.INSTANCES)
        intake.queue = await channel.declare_queue(
            "", durable=False, exclusive=True, auto_delete=True
        )
        self._replies.queue = intake.queue
        await channel.bind(intake.queue, protocol.INSTANCES.name, self.service, {})
        await declare_exchange(channel, protocol.SERVING)
        # What is said about requests must get past the requests that are worked on.
        await channel.qos(self._serving.concurrency + 100)
        intake.consumer = await channel.consume(intake.queue)

    async def _consume_requests(self, session: _Session) -> None:
        """Take requests from the queue that all instances share, and that goes with the last."""
        intake = session.requests
        channel = intake.channel
        await declare_exchange(channel, protocol.REQUESTS)
        intake.queue = await channel.declare_queue(
            self._queue,
            auto_delete=True,
            arguments={"x-expires": round(QUEUE_EXPIRES * 1000)},
        )
        await channel.qos(self._serving.concurrency)
        try:
            intake.consumer = await channel.consume(intake.queue)
        except TopologyError as error:
            if error.code != 404:
                raise
            raise LinkLost("the queue went with the instance that was the last") from error
        # In this order: whoever stops meanwhile, and finds nobody that serves, has not taken the
        # queue or its binding away from this instance.
        await channel.bind(session.instance.queue, protocol.SERVING.name, self.service, {})
        await self._bind(channel)
        if self._leaving:
            await self._leave(session)

    async def _drain(self) -> None:
        session = self._session
        leaving: set[asyncio.Task[None]] = set()
        if session is not None:
            leaving.add(self._spawn(self._leave_if_connected(session), name="leave"))
            # A broker that blocks the connection, as when it is short of memory, answers nothing
            # on it; without an answer, what is not acknowledged goes to others by its end.
            await asyncio.wait(
                {*leaving, session.link.blocking}, return_when=asyncio.FIRST_COMPLETED
            )
        # The replies of what runs get through when the broker blocks no more.
        replies = bool(self._worker.running)
        while self._worker.running:
            self._quiet.clear()
            await self._quiet.wait()
        if replies and leaving:
            await asyncio.wait(leaving)

    async def _leave_if_connected(self, session: _Session) -> None:
        # Without a connection everything that is not acknowledged goes to others anyway.
        with contextlib.suppress(AmqError):
            await self._leave(session)

    async def _close(self) -> None:
        self._backlog.clear()
        self._worker.reports.flush()
        await super()._close()

    async def _leave(self, session: _Session) -> None:
        """Take no more requests, and leave those that were not begun to other instances."""
        intake = session.requests
        if not intake.consumer:
            return
        channel = intake.channel
        await channel.unbind(session.instance.queue, protocol.SERVING.name, self.service)
        if await self._alone(channel):
            # What the broker routes to a queue while that ends, it loses.
            await channel.unbind(self._queue, protocol.REQUESTS.name, self.service)
            if await self._alone(channel):
                await self._empty(intake)
            else:
                await self._bind(channel)
        await channel.cancel(intake.consumer)
        self._give_back(session)
        # A round trip: what was given back and is returned comes before its end.
        await channel.qos(1)

    async def _bind(self, channel: Channel) -> None:
        await channel.bind(self._queue, protocol.REQUESTS.name, self.service, {})

    async def _alone(self, channel: Channel) -> bool:
        """Whether no instance serves; however many stop at once, the last finds that none does."""
        self._unheard = False
        probe = Properties(
            headers={protocol.CONTROL_HEADER: protocol.PROBE}, delivery_mode=TRANSIENT
        )
        channel.send(protocol.SERVING.name, self.service, probe, b"", mandatory=True)
        # A round trip: what is returned comes before its end.
        await channel.qos(self._serving.concurrency)
        return self._unheard

    async def _empty(self, intake: Intake) -> None:
        """Take what waits in the queue, which goes with its last consumer."""
        now = asyncio.get_running_loop().time
        until = now() + EMPTYING
        while now() < until and (delivery := await intake.channel.get(self._queue)) is not None:
            self._take(intake, delivery)

    def _give_back(self, session: _Session) -> None:
        """Leave what was not begun to other instances; where there is none, say so."""
        while self._backlog:
            intake, delivery = self._backlog.popleft()
            if intake.channel.closed.done():
                continue
            if intake is session.instance:
                self._replies.status(delivery, protocol.UNSERVED)
            elif worked_on_before(delivery):
                self._worker.abandon(delivery)
            else:
                # Not by nack: the next instance would take it for one that was begun here.
                # Its user is checked by the broker, and is not ours.
                properties = replace(delivery.properties, user_id=None)
                left = protocol.remaining(properties.headers or {})
                if left is not None:
                    left = min(max(0.0, left), protocol.MAX_LEFT)
                    properties = replace(properties, expiration=str(round(left * 1000)))
                intake.channel.send(
                    protocol.REQUESTS.name, self.service, properties, delivery.body, mandatory=True
                )
            intake.acks.ack(delivery.tag)

    def _returned(self, delivery: Delivery) -> None:
        if protocol.CONTROL_HEADER in (delivery.properties.headers or {}):
            self._unheard = True
        else:
            self._replies.status(delivery, protocol.UNSERVED)

    # Deliveries

    def _take(self, intake: Intake, delivery: Delivery) -> None:
        control = (delivery.properties.headers or {}).get(protocol.CONTROL_HEADER)
        if control is not None:
            self._take_control(delivery, control)
            intake.acks.ack(delivery.tag)
        elif delivery.redelivered and self._worker.resume(intake, delivery):
            pass
        elif self._leaving and intake.queue != self._queue:
            self._replies.status(delivery, protocol.UNSERVED)
            intake.acks.ack(delivery.tag)
        else:
            self._backlog.append((intake, delivery))
            self._schedule()

    def _take_control(self, delivery: Delivery, control: object) -> None:
        properties = delivery.properties
        if control == protocol.PING:
            self._replies.tell(delivery, NOTHING)
        elif control == protocol.INFO:
            self._tell_info(delivery)
        elif control == protocol.CREDIT:
            credit = protocol.number((properties.headers or {}).get(protocol.WINDOW_HEADER))
            work = self._worker.find(properties.correlation_id)
            if work is not None and credit is not None:
                work.add_credit(credit)
        elif (
            control == protocol.CANCEL
            and (id_ := properties.correlation_id) is not None
            and not self._worker.cancel(id_)
        ):
            self._forget(id_)

    def _tell_info(self, delivery: Delivery) -> None:
        try:
            encoded = info_codec().encode(self.info)
        except CodecError as error:
            self._replies.error(delivery, protocol.FAILED, error)
        else:
            self._replies.tell(delivery, encoded)

    def _forget(self, id: str) -> None:  # noqa: A002 - the protocol's own word
        """Drop a request that was cancelled and is not begun."""
        for entry in self._backlog:
            intake, delivery = entry
            if delivery.properties.correlation_id == id:
                self._backlog.remove(entry)
                self.stats.cancelled += 1
                intake.acks.ack(delivery.tag)
                return

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._work)

    def _work(self) -> None:
        """Begin what was delivered, as far as it may run at once."""
        self._scheduled = False
        if self._leaving:
            return
        now = asyncio.get_running_loop().time
        until = now() + TURN
        while self._backlog and len(self._worker.running) < self._serving.concurrency:
            self._worker.begin(*self._backlog.popleft())
            if now() > until:
                self._schedule()
                return

    def _done(self) -> None:
        """Note that an asynchronous handler is done."""
        if self._backlog:
            self._schedule()
        if not self._worker.running:
            self._quiet.set()

    def _channel(self) -> Channel | None:
        """What replies leave by."""
        channel = self._outgoing
        return None if channel is None or channel.closed.done() else channel
