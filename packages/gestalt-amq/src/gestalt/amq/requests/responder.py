"""Works on the requests of a service: each gets one outcome, which its caller is told."""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gestalt.amq.declaring import (
    declare_exchange,
    declare_plan,
    declare_private,
    declare_queue,
)
from gestalt.amq.errors import AmqError, LinkLost, TopologyError
from gestalt.amq.headers import CONTROL_HEADER, WINDOW_HEADER, as_integer
from gestalt.amq.link.consumer import Consumer, Receiver, Timing
from gestalt.amq.link.interface import Channel, Link, channel_aside
from gestalt.amq.link.supervisor import Supervisor
from gestalt.amq.tracing import Tracing
from gestalt.amq.wire import Delivery
from gestalt.codecs import Codec, CodecError
from gestalt.core import Handlers, State
from gestalt.core.details import QueueRow, details
from gestalt.core.metrics import Metric, measures

from . import protocol
from .declaration import ResponderDeclaration
from .departure import Departure
from .given_up import GivenUp
from .plans import plan_service
from .replies import Replies
from .responder_session import ResponderSession
from .runners import Runners
from .service import ResponderStats, ServiceInfo, info_codec, responder_metrics
from .worker import Worker

logger = logging.getLogger("gestalt.amq")

# After so long without a request the broker is asked whether it still answers, in seconds.
SILENCE = 15.0


class Responder(Consumer[ResponderSession]):
    """A handler for the requests of a service; made, started and stopped by `Bus.respond`.

    Attributes:
        service: the name of the service.
        instance: tells this responder from all others.
        stats: what became of its requests.
        plan: what it needs at the broker.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        declaration: ResponderDeclaration,
        codecs: Sequence[Codec],
        *,
        timing: Timing,
        tracing: Tracing | None,
        declare: bool,
    ) -> None:
        service = declaration.service
        super().__init__(f"responder {service}", supervisor, timing, declaration.stop_timeout)
        self.service = service
        self.instance: str = os.urandom(6).hex()
        self.stats: ResponderStats = ResponderStats()
        self.plan = plan_service(service, declare=declare)
        self._declares = declare
        # Whether it has been told what an instance does without that has no queue of its own.
        self._told = False
        self._queue = protocol.request_queue(service)
        self._handler = declaration.handler
        self._options = declaration
        called = f"{supervisor.name}: {self.name}"
        self._replies = Replies(
            self.instance,
            self._channel,
            send_traceback=declaration.send_traceback,
            report=lambda error, text: self._report_error(error, f"{called}: {text}"),
        )
        self._worker = Worker(
            called,
            declaration.handler,
            codecs,
            self._replies,
            self.stats,
            timeout=declaration.timeout,
            expected=declaration.errors,
            tracing=tracing,
        )
        self._started = 0.0
        # What replies leave by.
        self._outgoing: Channel | None = None
        # What was delivered and not begun, each with the channel that it came by.
        self._backlog: deque[tuple[Receiver, Delivery]] = deque()
        self._given_up = GivenUp()
        self._received = 0
        self._runners = Runners(
            self._backlog,
            declaration.concurrency,
            ready=lambda: not self._leaving,
            begin=self._worker.begin,
            finish=self._worker.finish,
            cancelled=self._worker.cancelled,
            spawn=self._spawn,
            name=self.name,
        )
        self._departure = Departure(
            service,
            declaration.concurrency,
            declare,
            self._backlog,
            self._replies,
            take=self._take,
            abandon=self._worker.abandon,
        )

    @property
    def info(self) -> ServiceInfo:
        """What this instance tells of itself."""
        handler = self._handler
        return ServiceInfo(
            service=self.service,
            instance=self.instance,
            version=self._options.version,
            description=self._options.description,
            handlers=list(handler.names)
            if isinstance(handler, Handlers)
            else [getattr(handler, "__qualname__", type(handler).__qualname__)],
            started=self._started,
            running=len(self._runners.running),
            stats=replace(self.stats),
        )

    @measures
    def _responder_metrics(self) -> Iterable[Metric]:
        waiting, worker = len(self._backlog), self._worker
        running = len(self._runners.running)
        return responder_metrics(self.stats, self._received, waiting, running, worker.durations)

    @details
    def _requests(self) -> Iterable[QueueRow]:
        yield QueueRow(
            self._queue,
            waiting=len(self._backlog),
            active=len(self._runners.running),
            bound=self._options.concurrency,
            note=self.trouble or "",
        )

    @property
    def _leaving(self) -> bool:
        return self.state is State.STOPPING

    # Its life

    async def _open(self) -> None:
        self._runners.start()
        self._started = time.time()
        await super()._open()
        self._sustain(self._ask_silent, name="ask silent channels")

    async def _consume(self, link: Link) -> ResponderSession:
        session = ResponderSession(link, self.service, declares=self._declares)
        try:
            # Requests may come, and be replied to, before all of this is done.
            session.requests = await session.open(
                self._take, on_returned=self._departure.take_returned
            )
            self._outgoing = session.requests.channel
            self._replies.note_connected()
            self._forget_lost()
            if not self._declares:
                await declare_plan(link, self.plan.checked())
            await self._consume_instance(session)
            if not self._leaving:
                await self._consume_requests(session)
        except BaseException:
            await session.close()
            raise
        return session

    def _forget_lost(self) -> None:
        """Leave to the broker what came by a connection that was lost."""
        left = [entry for entry in self._backlog if not entry[0].channel.closed.done()]
        self._backlog.clear()
        self._backlog.extend(left)
        self._runners.end_streams()

    async def _consume_instance(self, session: ResponderSession) -> None:
        """Take what every instance gets, and what is said about requests under way."""
        if not self._declares and not (name := await self._own_queue(session.link)):
            await self._consume_direct(session)
            return
        receiver = session.instance = await session.open(self._take)
        channel = receiver.channel
        if self._declares:
            await declare_exchange(channel, protocol.INSTANCES)
            receiver.queue = await declare_private(channel, auto_delete=True)
        else:
            receiver.queue = name
        self._replies.queue = receiver.queue
        await channel.bind(receiver.queue, protocol.INSTANCES.name, self.service)
        if self._declares:
            await declare_exchange(channel, protocol.SERVING)
        # What is said about requests must get past the requests that are worked on.
        await channel.qos(self._options.concurrency + 100)
        receiver.consumer_tag = await channel.consume(receiver.queue)
        session.note_routed()

    async def _own_queue(self, link: Link) -> str:
        """Declare this instance's queue, by a channel aside; "" where the user may not."""
        try:
            async with channel_aside(link) as channel:
                return await declare_private(channel)
        except TopologyError as error:
            if error.code != 403:  # pragma: no cover - the channel ends by something else
                raise
            if not self._told:  # pragma: no branch - told on a former connection
                self._told = True
                logger.warning(
                    "%r: gather, info and cancellations do not reach it, for want of a queue of "
                    "its own (permissions to configure, write and read 'amq.gen-.*'): %s",
                    self,
                    error,
                )
            return ""

    async def _consume_direct(self, session: ResponderSession) -> None:
        """Take what is said about streams as replies are taken: by no queue."""
        receiver = session.instance = await session.open(self._take_direct)
        await receiver.channel.consume(protocol.REPLY_TO, no_ack=True)
        self._outgoing = receiver.channel
        self._replies.queue = protocol.REPLY_TO

    async def _consume_requests(self, session: ResponderSession) -> None:
        """Take requests from the queue that all instances share, and that goes with the last."""
        receiver = session.requests
        channel = receiver.channel
        receiver.queue = self._queue
        if self._declares:
            await declare_exchange(channel, protocol.REQUESTS)
            for queue in self.plan.queues:
                await declare_queue(channel, queue)
        await channel.qos(self._options.concurrency)
        try:
            receiver.consumer_tag = await channel.consume(receiver.queue)
        except TopologyError as error:  # pragma: no cover - two come and go at once
            if error.code != 404 or not self._declares:
                raise
            raise LinkLost("the queue went with the instance that was the last") from error
        # In this order: whoever stops meanwhile, and finds nobody that serves, has not taken the
        # queue or its binding away from this instance.
        if self._declares:
            await channel.bind(session.instance.queue, protocol.SERVING.name, self.service)
        await channel.bind(self._queue, protocol.REQUESTS.name, self.service)
        if self._leaving:  # pragma: no cover - stopped while it began
            await self._departure.leave(session.requests, session.instance)

    async def _ask_silent(self) -> None:
        """Have the broker asked on channels by which nothing comes.

        Where it does not answer, the connection is made again: what it has given to a channel
        that hangs comes back by that alone.
        """
        received = -1
        while True:
            await asyncio.sleep(SILENCE)
            session = self._session
            if session is not None and self._received == received:
                for receiver in (session.requests, session.instance):
                    with contextlib.suppress(AmqError):
                        # As it is for consumers already, and matters for further ones alone.
                        await receiver.channel.qos(self._options.concurrency)
            received = self._received

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
        replies = bool(self._runners.running)
        await self._runners.wait_idle()
        if replies and leaving:
            await asyncio.wait(leaving)

    async def _leave_if_connected(self, session: ResponderSession) -> None:
        # Without a connection everything that is not acknowledged goes to others anyway.
        with contextlib.suppress(AmqError):
            await self._departure.leave(session.requests, session.instance)

    async def _close(self) -> None:
        self._runners.stop()
        self._worker.reports.flush()
        await super()._close()

    # Deliveries

    def _take(self, receiver: Receiver, delivery: Delivery) -> None:
        control = (delivery.properties.headers or {}).get(CONTROL_HEADER)
        if control is not None:
            self._take_control(delivery, control)
            receiver.acks.ack(delivery.tag)
        elif delivery.redelivered and self._runners.resume(receiver, delivery):
            pass
        elif self._leaving and receiver.queue != self._queue:  # pragma: no cover - it is leaving
            self._replies.status(delivery, protocol.UNSERVED)
            receiver.acks.ack(delivery.tag)
        elif self._given_up.since and self._given_up.take(delivery):
            self.stats.cancelled += 1
            receiver.acks.ack(delivery.tag)
        else:
            self._received += 1
            self._backlog.append((receiver, delivery))
            self._runners.schedule(receiver.channel)

    def _take_direct(self, _: Receiver, delivery: Delivery) -> None:
        """Take what needs no acknowledgement, and bears none."""
        control = (delivery.properties.headers or {}).get(CONTROL_HEADER)
        if control is not None:  # pragma: no branch - of somebody who is no requester
            self._take_control(delivery, control)

    def _take_control(self, delivery: Delivery, control: object) -> None:
        properties = delivery.properties
        if control == protocol.PING:
            self._replies.tell(delivery, protocol.NOTHING)
        elif control == protocol.INFO:
            self._tell_info(delivery)
        elif control == protocol.CREDIT:
            credit = as_integer((properties.headers or {}).get(WINDOW_HEADER))
            work = self._runners.find(properties.correlation_id)
            if work is not None and credit is not None:
                work.add_credit(credit)
        elif (
            control == protocol.CANCEL
            and (correlation_id := properties.correlation_id) is not None
            and not self._runners.cancel(correlation_id)
            and not self._forget(correlation_id)
        ):
            # Or another instance has it.
            self._given_up.note(delivery)

    def _tell_info(self, delivery: Delivery) -> None:
        try:
            encoded = info_codec().encode(self.info)
        except CodecError as error:
            self._replies.error(delivery, protocol.FAILED, error)
        else:
            self._replies.tell(delivery, encoded)

    def _forget(self, correlation_id: str) -> bool:
        """Drop a request that was cancelled and is not begun; False when there is none."""
        for entry in self._backlog:
            receiver, delivery = entry
            if delivery.properties.correlation_id == correlation_id:
                self._backlog.remove(entry)
                self.stats.cancelled += 1
                receiver.acks.ack(delivery.tag)
                return True
        return False

    def _channel(self) -> Channel | None:
        """What replies leave by."""
        channel = self._outgoing
        return None if channel is None or channel.closed.done() else channel
