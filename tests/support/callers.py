"""Both ends of requests: handlers that wait, many callers, and both ends of another make."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aio_pika
import aio_pika.abc

from gestalt.amq import AmqError, Bus, Request

from .proxy import Proxy
from .waiting import until

Incoming = aio_pika.abc.AbstractIncomingMessage


def echo(request: Request[Any]) -> Any:
    return request.body


def through(proxy: Proxy, url: str) -> str:
    """The broker's URL, by way of the proxy."""
    credentials = url.partition("://")[2].rpartition("@")[0] or "guest:guest"
    return f"amqp://{credentials}@127.0.0.1:{proxy.port}/"


class Hanging:
    """A handler that waits until it is told to finish, and notes what became of it."""

    def __init__(self) -> None:
        self.begun: list[Any] = []
        self.cancelled: list[Any] = []
        self.finish = asyncio.Event()

    async def __call__(self, request: Request[Any]) -> Any:
        self.begun.append(request.body)
        try:
            await self.finish.wait()
        except asyncio.CancelledError:
            self.cancelled.append(request.body)
            raise
        return request.body


class Calls:
    """Calls from several tasks, and the account of them.

    Args:
        timeout: for each call, in seconds.
        pause: after a call that was answered, in seconds.
        idempotent: whether it does no harm to work on a call twice.
    """

    def __init__(
        self,
        bus: Bus,
        service: str,
        *,
        timeout: float,
        pause: float = 0.0,
        idempotent: bool = False,
    ) -> None:
        self.requester = bus.requester(service, timeout=timeout)
        self.outcomes: Counter[str] = Counter()
        self.longest = 0.0
        self._timeout = timeout
        self._pause = pause
        self._idempotent = idempotent
        self._number = 0
        self._stop = False

    async def _call(self) -> None:
        while not self._stop:
            number = self._number
            self._number += 1
            begun = time.monotonic()
            try:
                reply = await self.requester.request(number, idempotent=self._idempotent)
            except AmqError as error:
                outcome = type(error).__name__
            else:
                assert reply == [number]
                outcome = "reply"
            self.longest = max(self.longest, time.monotonic() - begun)
            self.outcomes[outcome] += 1
            # Without a responder or a broker, calls would end as fast as they begin.
            await asyncio.sleep(self._pause if outcome == "reply" else 0.02)

    async def through(self, fault: Callable[[], Awaitable[None]], *, tasks: int = 32) -> None:
        """Make calls, one after the other in each task, until the fault is over."""
        async with asyncio.TaskGroup() as group:
            for _ in range(tasks):
                group.create_task(self._call())
            await fault()
            self._stop = True
        assert self.outcomes.total() == self._number
        allowed = {"reply", "NoResponder", "OutcomeUnknown", "DeadlineExceeded", "NotSent"}
        assert self.outcomes.keys() <= allowed, self.outcomes
        assert self.longest < self._timeout + 1
        assert self.requester.pending == 0

    async def answered(self, count: int) -> None:
        """Wait until so many more calls are answered."""
        target = self.outcomes["reply"] + count
        await self._until(lambda: self.outcomes["reply"] >= target)

    async def ended(self, count: int) -> None:
        """Wait until so many calls in all have their outcome."""
        await self._until(lambda: self.outcomes.total() >= count)

    async def _until(self, condition: Callable[[], bool]) -> None:
        try:
            await until(condition, 40)
        except TimeoutError:
            raise AssertionError(f"calls do not go on: {self.outcomes}") from None


class Raw:
    """The other end of a service, written with aio-pika alone: any properties, any reply."""

    def __init__(self, channel: aio_pika.abc.AbstractChannel, service: str) -> None:
        self.channel = channel
        self.service = service
        self.replies: asyncio.Queue[Incoming] = asyncio.Queue()
        self.controls: asyncio.Queue[Incoming] = asyncio.Queue()
        self.queue: aio_pika.abc.AbstractQueue

    async def open(self) -> None:
        self.queue = await self.channel.declare_queue(exclusive=True)
        await self.queue.consume(self.replies.put, no_ack=True)

    # As a caller

    async def send(self, body: bytes, **properties: Any) -> None:
        """Send a request; replies come to a queue of ours."""
        properties.setdefault("reply_to", self.queue.name)
        message = aio_pika.Message(body, **properties)
        exchange = await self.channel.get_exchange("gestalt.requests")
        await exchange.publish(message, self.service)

    async def control(self, control: str, **properties: Any) -> None:
        """Tell every instance something; without properties, about no request."""
        exchange = await self.channel.get_exchange("gestalt.instances")
        message = aio_pika.Message(b"", headers={"x-gestalt-control": control}, **properties)
        await exchange.publish(message, self.service)

    async def reply(self) -> Incoming:
        async with asyncio.timeout(5):
            return await self.replies.get()

    # As a responder

    async def declare_requests(self) -> aio_pika.abc.AbstractQueue:
        queue = await self.channel.declare_queue(
            f"{self.service}.requests",
            durable=True,
            auto_delete=True,
            arguments={"x-expires": 30_000},
        )
        exchange = await self.channel.declare_exchange("gestalt.requests", durable=True)
        await queue.bind(exchange, self.service)
        return queue

    async def respond(
        self, reply: Callable[[Incoming], aio_pika.Message | Sequence[aio_pika.Message]]
    ) -> None:
        """Answer each request with what `reply` gives."""

        async def answer(request: Incoming) -> None:
            replies = reply(request)
            for each in [replies] if isinstance(replies, aio_pika.Message) else replies:
                assert request.reply_to is not None
                await self.channel.default_exchange.publish(each, request.reply_to)

        queue = await self.declare_requests()
        await queue.consume(answer, no_ack=True)

    async def watch_controls(self) -> None:
        """Take what is told to every instance of the service."""
        exchange = await self.channel.declare_exchange("gestalt.instances", durable=True)
        queue = await self.channel.declare_queue(exclusive=True)
        await queue.bind(exchange, self.service)
        await queue.consume(self.controls.put, no_ack=True)

    async def next_control(self) -> str:
        async with asyncio.timeout(5):
            message = await self.controls.get()
        return str(message.headers["x-gestalt-control"])
