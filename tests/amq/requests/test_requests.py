"""Requests and their replies, and the life of both ends."""

import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.amq import Bus, NoResponder, RemoteError, Request, RequestRefused, connect
from gestalt.codecs import Codec, Codecs, EncodeError, MessageTypes
from gestalt.core import Handlers, ReplyNotPossible, StateError
from tests.support.callers import Hanging, echo
from tests.support.waiting import until

types = MessageTypes()


@types.add(1)
@dataclass
class Locate:
    vehicle: str


@types.add(2)
@dataclass
class Position:
    lat: float
    lon: float


@types.add(3)
@dataclass
class Unserved:
    pass


TYPED = Codec("json", types=types)


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


async def echo_later(request: Request[Any]) -> Any:
    await asyncio.sleep(0)
    return request.body


# What a request is, and its reply


@pytest.mark.parametrize("handler", [echo, echo_later], ids=["plain", "async"])
async def test_what_a_handler_returns_is_the_reply(
    bus: Bus, unique: str, handler: Callable[[Request[Any]], Any]
) -> None:
    await bus.respond(unique, handler)
    requester = bus.requester(unique)
    for body in ({"a": [1, None]}, "é", None, 0):
        assert await requester.request(body) == body
    assert requester.pending == 0


async def test_one_service_answers_requests_of_several_types(bus: Bus, unique: str) -> None:
    handlers = Handlers()

    @handlers.on(Locate)
    async def locate(request: Request[Locate]) -> Position:
        return Position(len(request.body.vehicle), 0.5)

    @handlers.on(Position)
    def name(request: Request[Position]) -> Locate:
        return Locate(f"at {request.body.lat}")

    responder = await bus.respond(unique, handlers, codec=TYPED)
    requester = bus.requester(unique, codec=TYPED)
    assert await requester.request(Locate("abc")) == Position(3, 0.5)
    assert await requester.request(Position(1, 2)) == Locate("at 1.0")
    with pytest.raises(RequestRefused, match="no handler for a Unserved") as caught:
        await requester.request(Unserved())
    assert caught.value.remote_type == "HandlerNotFound"
    assert (responder.stats.replied, responder.stats.refused) == (2, 1)


async def test_a_handler_may_reply_before_it_returns_and_only_once(bus: Bus, unique: str) -> None:
    again: list[Exception] = []
    done = asyncio.Event()
    kept: list[Request[int]] = []

    async def early(request: Request[int]) -> str:
        await request.reply("early")
        with pytest.raises(ReplyNotPossible) as caught:
            await request.reply("again")
        again.append(caught.value)
        done.set()
        return "ignored"

    def late(request: Request[int]) -> str:
        kept.append(request)
        return "returned"

    await bus.respond(unique, early)
    await bus.respond(f"{unique}-late", late)
    assert await bus.requester(unique).request(1) == "early"
    await done.wait()
    assert again
    assert await bus.requester(f"{unique}-late").request(1) == "returned"
    with pytest.raises(ReplyNotPossible):
        await kept[0].reply("too late")


async def test_a_reply_that_cannot_be_encoded_is_told_and_may_be_mended(
    bus: Bus, unique: str
) -> None:
    async def handle(request: Request[bool]) -> object:
        if request.body:
            with pytest.raises(EncodeError):
                await request.reply(object())
            return "mended"
        return object()

    await bus.respond(unique, handle)
    requester = bus.requester(unique)
    assert await requester.request(True) == "mended"
    with pytest.raises(RemoteError) as caught:
        await requester.request(False)
    assert caught.value.remote_type == "EncodeError"


async def test_each_caller_is_answered_in_its_own_codec(bus: Bus, unique: str) -> None:
    pytest.importorskip("msgpack")
    seen: list[str | None] = []

    def handle(request: Request[Any]) -> Any:
        seen.append(request.properties.content_type)
        return request.body

    codecs = [Codec("json"), Codec("msgpack", compress="deflate", min_size=64)]
    await bus.respond(unique, handle, codec=codecs)
    for codec in (*codecs, Codec("msgpack", accept=["deflate"])):
        assert await bus.requester(unique, codec=codec).request(["x" * 100]) == ["x" * 100]
    assert seen == ["application/json", *["application/msgpack"] * 2]
    with pytest.raises(RequestRefused, match="text/plain"):
        await bus.requester(unique, codec=Codec("text")).request("?")


async def test_a_bus_of_several_codecs_answers_each_caller_in_its_own(
    broker_url: str, unique: str
) -> None:
    pytest.importorskip("msgpack")
    codecs = Codecs(Codec("json"), Codec("msgpack"))
    async with connect(broker_url, codec=codecs) as bus:
        await bus.respond(unique, lambda request: request.body)
        for codec in codecs:
            assert await bus.requester(unique, codec=codec).request([1]) == [1]
        assert await bus.requester(unique).request([2]) == [2]


async def test_headers_arrive_and_the_deadline_is_an_absolute_time(bus: Bus, unique: str) -> None:
    got: list[Request[int]] = []
    left: list[float] = []

    def handle(request: Request[int]) -> None:
        got.append(request)
        left.append(request.deadline - asyncio.get_running_loop().time())

    await bus.respond(unique, handle)
    await bus.requester(unique).request(1, timeout=7, headers={"tenant": "é"})
    (request,) = got
    assert request.headers["tenant"] == "é"
    assert 6 < request.headers["x-gestalt-deadline"] / 1000 - time.time() <= 7
    assert 6 < left[0] <= 7
    assert request.properties.expiration is not None
    assert 6000 < int(request.properties.expiration) <= 7000
    assert request.properties.delivery_mode == 1
    assert request.source == unique


# Many at once


async def test_each_of_many_requests_gets_its_own_reply(bus: Bus, unique: str) -> None:
    async def shuffle(request: Request[int]) -> int:
        await asyncio.sleep(request.body % 7 / 1000)
        return request.body

    await bus.respond(unique, shuffle)
    await bus.respond(unique, echo)
    requester = bus.requester(unique)
    assert await asyncio.gather(*map(requester.request, range(500))) == list(range(500))
    assert requester.pending == 0


async def test_requests_above_max_pending_wait_up_to_their_deadline(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    await bus.respond(unique, hanging)
    requester = bus.requester(unique, max_pending=2)
    first = [asyncio.create_task(requester.request(number)) for number in range(2)]
    await until(lambda: len(hanging.begun) == 2)
    with pytest.raises(TimeoutError, match="awaited their answers"):
        await requester.request(2, timeout=0.05)
    third = asyncio.create_task(requester.request(3))
    await asyncio.sleep(0)
    assert requester.pending == 2
    hanging.finish.set()
    assert await asyncio.gather(*first, third) == [0, 1, 3]
    assert hanging.begun == [0, 1, 3]


async def test_no_more_handlers_run_at_once_than_told(bus: Bus, unique: str) -> None:
    running: set[int] = set()
    most = 0

    async def handle(request: Request[int]) -> None:
        nonlocal most
        running.add(request.body)
        most = max(most, len(running))
        await asyncio.sleep(0.002)
        running.discard(request.body)

    await bus.respond(unique, handle, concurrency=3)
    await asyncio.gather(*map(bus.requester(unique).request, range(30)))
    assert most == 3


# The life of a requester and of a responder


async def test_a_responder_stops_and_starts_again(bus: Bus, unique: str) -> None:
    responder = await bus.respond(unique, echo)
    requester = bus.requester(unique)
    for _ in range(2):
        assert await requester.request(1) == 1
        await responder.stop()
        await responder.stop()
        with pytest.raises(NoResponder):
            await requester.request(1)
        await responder.start()
    assert await requester.request(2) == 2


async def test_a_handler_may_stop_its_responder(bus: Bus, unique: str) -> None:
    async def stop(request: Request[Any]) -> str:
        await responder.stop()
        return "stopping"

    responder = await bus.respond(unique, stop)
    assert await bus.requester(unique).request(1) == "stopping"
    async with asyncio.timeout(5):
        await responder.wait_stopped()


async def test_handlers_make_requests_of_the_same_bus(bus: Bus, unique: str) -> None:
    inner = bus.requester(f"{unique}-inner")

    async def outer(request: Request[int]) -> int:
        return int(await inner.request(request.body)) + 1

    await bus.respond(f"{unique}-inner", echo_later)
    await bus.respond(unique, outer)
    requester = bus.requester(unique)
    assert await asyncio.gather(*map(requester.request, range(20))) == list(range(1, 21))


async def test_a_bus_that_is_not_running_says_so(broker_url: str, unique: str) -> None:
    bus = connect(broker_url)
    with pytest.raises(StateError):
        await bus.respond(unique, echo)
    requester = bus.requester(unique)
    async with bus:
        with pytest.raises(NoResponder):
            await requester.request(1)
    with pytest.raises(StateError):
        await requester.request(1)


@pytest.mark.parametrize(
    "arguments", [{"concurrency": 0}, {"timeout": 0.0}, {"timeout": float("nan")}], ids=str
)
async def test_arguments_of_a_responder_are_checked(
    bus: Bus, unique: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(arguments))):
        await bus.respond(unique, echo, **arguments)


async def test_arguments_of_a_requester_are_checked(bus: Bus, unique: str) -> None:
    for arguments in ({"timeout": 0}, {"max_pending": 0}):
        with pytest.raises(ValueError, match=next(iter(arguments))):
            bus.requester(unique, **arguments)  # type: ignore[arg-type]
    requester = bus.requester(unique)
    with pytest.raises(ValueError, match="count"):
        await requester.gather(1, count=0)
    with pytest.raises(ValueError, match="buffer"):
        await anext(requester.stream(1, buffer=0))
    with pytest.raises(TypeError, match="header"):
        await requester.request(1, headers={"key": object()})
    assert requester.pending == 0


async def test_any_callable_is_a_handler(bus: Bus, unique: str) -> None:
    def add(number: int, request: Request[int]) -> int:
        return number + request.body

    responder = await bus.respond(unique, functools.partial(add, 2))
    assert await bus.requester(unique).request(3) == 5
    assert responder.info.handlers == ["partial"]
