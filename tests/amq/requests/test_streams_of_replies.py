import asyncio
import contextlib
import gc
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

import aio_pika
import pytest

from gestalt.amq import (
    Bus,
    DeadlineExceeded,
    NoResponder,
    OutcomeUnknown,
    RemoteError,
    Request,
    RequestError,
    RequestRefused,
    connect,
)
from gestalt.codecs import Codec, DecodeError
from gestalt.core import Handlers
from tests.support.callers import Hanging, Incoming, Raw, echo, through
from tests.support.proxy import Proxy
from tests.support.waiting import QUICK, until


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


class Counting:
    """A handler that counts up to what is asked, and notes how far it came and how it ended."""

    def __init__(self) -> None:
        self.produced = 0
        self.closed = 0

    async def count(self, request: Request[int]) -> AsyncIterator[int]:
        try:
            for number in range(request.body):
                self.produced = number + 1
                yield number
        finally:
            self.closed += 1


async def collect(items: AsyncIterator[Any]) -> list[Any]:
    async with asyncio.timeout(10):
        return [item async for item in items]


async def read(items: AsyncIterator[Any], into: list[Any]) -> None:
    """Keep what comes, also where an error follows."""
    async with asyncio.timeout(10):
        async for item in items:
            into.append(item)  # noqa: PERF401 - a comprehension loses what came


@pytest.mark.parametrize("buffer", [1, 2, 3, 100])
@pytest.mark.parametrize("count", [0, 1, 2, 250])
async def test_a_stream_comes_whole_and_in_order(
    bus: Bus, unique: str, buffer: int, count: int
) -> None:
    responder = await bus.respond(unique, Counting().count)
    requester = bus.requester(unique)
    assert await collect(requester.stream(count, buffer=buffer)) == list(range(count))
    await until(lambda: requester.pending == 0)
    await until(lambda: responder.stats.replied == 1)


async def test_many_streams_and_requests_share_a_responder(bus: Bus, unique: str) -> None:
    handlers = Handlers()
    handlers.on(int)(Counting().count)
    handlers.on(str)(echo)
    await bus.respond(unique, handlers)
    requester = bus.requester(unique)
    results = await asyncio.gather(
        *(collect(requester.stream(count, buffer=3)) for count in range(20)),
        *(requester.request(str(number)) for number in range(20)),
    )
    assert results[:20] == [list(range(count)) for count in range(20)]
    assert results[20:] == [str(number) for number in range(20)]


@pytest.mark.parametrize("buffer", [1, 5])
async def test_the_generator_is_never_further_ahead_than_told(
    bus: Bus, unique: str, buffer: int
) -> None:
    counting = Counting()
    await bus.respond(unique, counting.count)
    taken = 0
    requester = bus.requester(unique)
    async for number in requester.stream(40, buffer=buffer):
        assert number == taken
        taken += 1
        # A round trip, in which it would have come further.
        await requester.ping()
        assert counting.produced <= taken + buffer
    assert taken == 40


async def test_leaving_a_stream_closes_its_generator(bus: Bus, unique: str) -> None:
    counting = Counting()
    responder = await bus.respond(unique, counting.count)
    requester = bus.requester(unique)
    async with contextlib.aclosing(requester.stream(10**9, buffer=10)) as numbers:
        async for number in numbers:
            if number == 25:
                break
    await until(lambda: counting.closed == 1)
    assert counting.produced < 50
    assert responder.stats.cancelled == 1
    await until(lambda: requester.pending == 0)


async def test_cancelling_the_reader_closes_the_generator(bus: Bus, unique: str) -> None:
    closed = asyncio.Event()

    async def hang(request: Request[None]) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    await bus.respond(unique, hang)
    first = asyncio.Event()

    async def read() -> None:
        async for _ in bus.requester(unique).stream(None):
            first.set()

    reading = asyncio.create_task(read())
    await first.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    async with asyncio.timeout(5):
        await closed.wait()


async def test_an_error_amid_a_stream_comes_after_what_came_before(bus: Bus, unique: str) -> None:
    async def fail(request: Request[int]) -> AsyncIterator[int]:
        for number in range(request.body):
            yield number
        raise LookupError("no more")

    responder = await bus.respond(unique, fail)
    for count in (0, 3, 30):
        got = []
        with pytest.raises(RemoteError, match="no more") as caught:
            await read(bus.requester(unique).stream(count, buffer=4), got)
        assert got == list(range(count))
        assert caught.value.remote_type == "LookupError"
    assert responder.stats.failed == 3


async def test_an_item_that_cannot_be_encoded_ends_the_stream(bus: Bus, unique: str) -> None:
    async def items(request: Request[None]) -> AsyncIterator[Any]:
        yield 1
        yield object()

    await bus.respond(unique, items)
    with pytest.raises(RemoteError) as caught:
        await collect(bus.requester(unique).stream(None))
    assert caught.value.remote_type == "EncodeError"


async def test_an_item_that_cannot_be_decoded_ends_the_stream_on_both_sides(
    bus: Bus, unique: str
) -> None:
    closed = asyncio.Event()

    async def count(request: Request[int]) -> AsyncIterator[int]:
        try:
            for number in range(1000):
                yield number
        finally:
            closed.set()

    responder = await bus.respond(unique, count)
    got = []
    with pytest.raises(DecodeError):
        # Two digits are too many.
        await read(bus.requester(unique, codec=Codec("json", max_size=1)).stream(0), got)
    assert got == list(range(10))
    async with asyncio.timeout(5):
        await closed.wait()
    assert responder.stats.cancelled == 1


async def test_a_handler_that_returns_streams_one_item(bus: Bus, unique: str) -> None:
    async def early(request: Request[int]) -> None:
        await request.reply(request.body)

    await bus.respond(unique, echo)
    await bus.respond(f"{unique}-early", early)
    assert await collect(bus.requester(unique).stream(5)) == [5]
    assert await collect(bus.requester(f"{unique}-early").stream(6)) == [6]


async def test_a_generator_is_not_for_requests_of_one_reply(bus: Bus, unique: str) -> None:
    await bus.respond(unique, Counting().count)
    with pytest.raises(RequestRefused, match=r"stream\(\)"):
        await bus.requester(unique).request(1)


async def test_a_stream_ends_by_its_deadline_and_so_does_its_generator(
    bus: Bus, unique: str
) -> None:
    closed = asyncio.Event()

    async def slow(request: Request[None]) -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    await bus.respond(unique, slow)
    got = []
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await read(bus.requester(unique).stream(None, timeout=0.2), got)
    assert time.monotonic() - begun < 1.2
    assert got == [1]
    async with asyncio.timeout(5):
        await closed.wait()


async def test_a_reader_that_asks_for_no_more_holds_its_generator_only_until_the_deadline(
    bus: Bus, unique: str
) -> None:
    counting = Counting()
    responder = await bus.respond(unique, counting.count)
    stream = bus.requester(unique).stream(100, buffer=4, timeout=0.3)
    assert await anext(stream) == 0
    await until(lambda: counting.closed)
    assert counting.produced <= 5
    got = []
    with pytest.raises(DeadlineExceeded):
        await read(stream, got)
    assert got == [1, 2, 3]
    await until(lambda: responder.stats.expired + responder.stats.cancelled == 1)


# Connections that are lost


async def test_a_stream_ends_with_its_readers_connection(
    broker_url: str, broker_port: int, unique: str
) -> None:
    counting = Counting()
    async with (
        Proxy(broker_port) as proxy,
        # Its generator waits for the lost reader up to the deadline.
        connect(broker_url, backoff=QUICK, stop_timeout=0.1) as theirs,
        connect(through(proxy, broker_url), backoff=QUICK) as ours,
    ):
        await theirs.respond(unique, counting.count)
        requester = ours.requester(unique)
        stream = requester.stream(1000, buffer=10)
        got = [await anext(stream) for _ in range(6)]
        await proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await read(stream, got)
        # What came before the loss is good.
        assert got == list(range(len(got)))
        assert len(got) >= 6
        assert await collect(requester.stream(3)) == [0, 1, 2]


async def test_a_stream_ends_with_its_responders_connection(
    broker_url: str, broker_port: int, unique: str
) -> None:
    """What the reader asked for meanwhile was asked of a queue that is no more."""
    counting, busy = Counting(), Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK) as theirs,
        connect(broker_url, backoff=QUICK) as ours,
    ):
        responder = await theirs.respond(unique, counting.count)
        stream = ours.requester(unique).stream(1000, buffer=4)
        assert await anext(stream) == 0
        # Another instance, which takes nothing, keeps the requests of the lost one.
        await ours.respond(unique, busy, concurrency=1)
        blocking = asyncio.create_task(ours.requester(unique).request("x"))
        others = asyncio.create_task(ours.requester(unique).request(0, timeout=0.2))
        await asyncio.gather(others, return_exceptions=True)
        await proxy.cut()
        await until(lambda: responder.consuming)
        got = []
        async with asyncio.timeout(5):
            with pytest.raises(OutcomeUnknown):
                await read(stream, got)
        assert got == list(range(1, len(got) + 1))
        await until(lambda: counting.closed)
        busy.finish.set()
        blocking.cancel()
        await asyncio.gather(blocking, return_exceptions=True)


# Responders of another make


def item(request: Incoming, number: Any) -> aio_pika.Message:
    headers = {"x-gestalt-status": "item", "x-gestalt-item": number}
    return aio_pika.Message(
        json.dumps(number).encode(), headers=headers, correlation_id=request.correlation_id
    )


def end(request: Incoming, count: int) -> aio_pika.Message:
    headers = {"x-gestalt-status": "end", "x-gestalt-item": count}
    return aio_pika.Message(b"", headers=headers, correlation_id=request.correlation_id)


async def test_more_than_was_asked_for_is_refused(bus: Bus, raw: Raw) -> None:
    await raw.watch_controls()
    await raw.respond(lambda request: [item(request, number) for number in range(1, 50)])
    requester = bus.requester(raw.service)
    stream = requester.stream(1, buffer=3)
    got = [await anext(stream)]
    # All of it has come, before the reader takes any more.
    await until(lambda: requester.pending == 0)
    with pytest.raises(RequestError, match="more came than the 3"):
        await read(stream, got)
    assert got == [1, 2, 3, 4][: len(got)]
    assert await raw.next_control() == "cancel"


@pytest.mark.parametrize("numbers", [[1, 3], [2], [1, 1], [1, None], [1, "2"]], ids=str)
async def test_a_gap_in_a_stream_is_a_loss(bus: Bus, raw: Raw, numbers: list[Any]) -> None:
    await raw.watch_controls()
    await raw.respond(lambda request: [item(request, number) for number in numbers])
    got = []
    with pytest.raises(OutcomeUnknown, match="lost"):
        await read(bus.requester(raw.service).stream(1), got)
    assert got == [1] * (numbers[0] == 1)
    assert await raw.next_control() == "cancel"


async def test_an_end_that_counts_more_than_came_is_a_loss(bus: Bus, raw: Raw) -> None:
    await raw.respond(lambda request: [item(request, 1), end(request, 2)])
    with pytest.raises(OutcomeUnknown):
        await collect(bus.requester(raw.service).stream(1))


async def test_what_comes_after_the_end_is_dropped(bus: Bus, raw: Raw) -> None:
    await raw.respond(lambda request: [item(request, 1), end(request, 1), item(request, 2)])
    requester = bus.requester(raw.service)
    assert await collect(requester.stream(1)) == [1]
    assert await collect(requester.stream(1)) == [1]


async def test_a_reply_that_is_no_stream_says_so(bus: Bus, raw: Raw) -> None:
    await raw.respond(lambda request: aio_pika.Message(b"1", correlation_id=request.correlation_id))
    with pytest.raises(RequestError, match="status None"):
        await collect(bus.requester(raw.service).stream(1))


@pytest.mark.parametrize("window", [0, -(2**40), 2**62, True, "3"], ids=str)
async def test_nonsense_for_a_window_harms_nobody_else(
    bus: Bus, unique: str, raw: Raw, window: Any
) -> None:
    responder = await bus.respond(unique, Counting().count, concurrency=2, timeout=0.2)
    await raw.send(b"3", headers={"x-gestalt-window": window}, correlation_id="w")
    last = await raw.reply()
    while last.headers["x-gestalt-status"] == "item":
        last = await raw.reply()
    assert last.headers["x-gestalt-status"] in ("end", "late", "refused")
    assert await collect(bus.requester(unique).stream(3)) == [0, 1, 2]
    await until(lambda: responder.info.running == 0)


async def test_a_stream_without_a_responder_says_so_at_once(bus: Bus, unique: str) -> None:
    with pytest.raises(NoResponder):
        await collect(bus.requester(unique).stream(1))


async def test_a_read_that_timed_out_takes_nothing_away(bus: Bus, unique: str) -> None:
    go_on = asyncio.Event()

    async def handler(request: Request[Any]) -> AsyncIterator[int]:
        for number in range(3):
            await go_on.wait()
            go_on.clear()
            yield number

    await bus.respond(unique, handler)
    stream = bus.requester(unique).stream(1)
    for number in range(3):
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(stream), 0.01)
        go_on.set()
        assert await anext(stream) == number
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_what_is_incomplete_never_looks_complete(bus: Bus, unique: str) -> None:
    async def handler(request: Request[Any]) -> AsyncIterator[int]:
        yield 1
        raise ValueError("broken off")

    await bus.respond(unique, handler)
    stream = bus.requester(unique).stream(1)
    assert await anext(stream) == 1
    for _ in range(3):
        with pytest.raises(RemoteError, match="broken off"):
            await anext(stream)


async def test_a_stream_is_an_async_generator(bus: Bus, unique: str) -> None:
    counting = Counting()
    responder = await bus.respond(unique, counting.count)
    requester = bus.requester(unique)
    stream: AsyncGenerator[Any, None] = requester.stream(10**9)
    assert isinstance(stream, AsyncGenerator)
    assert await stream.asend(None) == 0
    await stream.aclose()
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)
    await until(lambda: counting.closed == 1)
    thrown = requester.stream(10**9)
    assert await anext(thrown) == 0
    with pytest.raises(KeyError, match="thrown"):
        await thrown.athrow(KeyError("thrown"))
    await until(lambda: responder.stats.cancelled == 2)


async def test_a_stream_that_is_dropped_is_left(bus: Bus, unique: str) -> None:
    counting = Counting()
    responder = await bus.respond(unique, counting.count)
    stream = bus.requester(unique).stream(10**9)
    assert await anext(stream) == 0
    del stream
    gc.collect()
    await until(lambda: responder.stats.cancelled == 1)


async def test_a_stream_has_one_reader_at_a_time(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    await bus.respond(unique, hanging)
    stream = bus.requester(unique).stream(1)
    first = asyncio.ensure_future(anext(stream))
    await until(lambda: hanging.begun)
    with pytest.raises(RuntimeError, match="one reader"):
        await anext(stream)
    hanging.finish.set()
    await first


async def test_more_than_the_network_takes_at_once_waits_for_it(bus: Bus, unique: str) -> None:
    item = "x" * 4_000_000

    async def serve(_: Request[int]) -> AsyncIterator[str]:
        for _ in range(3):
            yield item

    await bus.respond(unique, serve)
    assert await collect(bus.requester(unique).stream(0)) == [item] * 3
