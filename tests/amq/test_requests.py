import asyncio
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aio_pika
import pytest

from callers import QUICK, Hanging, Raw, echo, through, until
from gestalt.amq import (
    Bus,
    DeadlineExceeded,
    Exchange,
    NoResponder,
    OutcomeUnknown,
    RemoteError,
    Request,
    RequestError,
    RequestRefused,
    connect,
)
from gestalt.codecs import Codec, DecodeError, EncodeError, MessageTypes
from gestalt.core import Handlers, ReplyNotPossible, StateError
from proxy import Proxy

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
    assert request.source == f"{unique}.requests"


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


# Errors


async def test_without_a_responder_that_is_told_at_once(bus: Bus, unique: str) -> None:
    requester = bus.requester(unique)
    begun = time.monotonic()
    for call in (requester.request(1), requester.ping(), requester.gather(1), requester.info()):
        with pytest.raises(NoResponder, match=unique):
            await call
    with pytest.raises(NoResponder):
        async for _ in requester.stream(1):
            pass
    assert time.monotonic() - begun < 5
    responder = await bus.respond(unique, echo)
    assert await requester.request(1) == 1
    await responder.stop()
    with pytest.raises(NoResponder):
        await requester.request(1)
    assert requester.pending == 0


class BrokenError(LookupError):
    def __init__(self, text: str, details: Any = None) -> None:
        super().__init__(text)
        self.details = details


@pytest.mark.parametrize("plain", [True, False])
async def test_an_exception_arrives_with_its_type_text_and_details(
    bus: Bus, unique: str, plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request[Any]) -> None:
        raise BrokenError("no vehicle é", {"vehicle": 42, "known": ["1"]})

    async def fail_later(request: Request[Any]) -> None:
        await asyncio.sleep(0)
        fail(request)

    responder = await bus.respond(unique, fail if plain else fail_later)
    with pytest.raises(RemoteError, match="BrokenError: no vehicle é") as caught:
        await bus.requester(unique).request(1)
    assert not isinstance(caught.value, RequestRefused)
    assert caught.value.remote_type == "BrokenError"
    assert caught.value.details == {"vehicle": 42, "known": ["1"]}
    assert caught.value.remote_traceback is None
    assert "in fail" in caplog.text
    assert responder.stats.failed == 1


async def test_a_traceback_is_sent_on_demand_and_never_too_large(bus: Bus, unique: str) -> None:
    def fail(request: Request[str]) -> None:
        raise ValueError(request.body * 100_000)

    await bus.respond(unique, fail, send_traceback=True)
    requester = bus.requester(unique)
    for character in ("", "x", "💥"):
        with pytest.raises(RemoteError) as caught:
            await requester.request(character)
        trace = caught.value.remote_traceback
        assert trace is not None
        assert trace.endswith(f"{character}\n" if character else "ValueError\n")
    with pytest.raises(RemoteError) as caught:
        await requester.request("")
    assert "in fail" in (caught.value.remote_traceback or "")


class MethodError(Exception):
    def details(self) -> str:
        return "not ours to read"


class PropertyError(Exception):
    @property
    def details(self) -> str:
        raise RuntimeError("no details")


class TextError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize("error", [MethodError(), PropertyError(), TextError()], ids=repr)
async def test_an_exception_of_any_make_reaches_the_caller_and_harms_no_other(
    bus: Bus, unique: str, error: Exception, reported: list[dict[str, Any]]
) -> None:
    async def fail(request: Request[bool]) -> None:
        if request.body:
            raise error

    responder = await bus.respond(unique, fail)
    requester = bus.requester(unique, timeout=3)
    with pytest.raises(RemoteError) as caught:
        await requester.request(True)
    assert caught.value.remote_type == type(error).__name__
    assert await requester.request(False) is None
    assert responder.consuming
    assert reported == []


async def test_details_that_cannot_be_sent_are_reported_at_the_responder(
    bus: Bus, unique: str, reported: list[dict[str, Any]]
) -> None:
    def fail(request: Request[int]) -> None:
        details = {"object": object()} if request.body == 1 else {"much": "x" * 40_000}
        raise BrokenError("broken", details)

    await bus.respond(unique, fail)
    requester = bus.requester(unique)
    for number, reason in ((1, TypeError), (2, ValueError)):
        with pytest.raises(RemoteError, match="broken") as caught:
            await requester.request(number)
        assert caught.value.details == {}
        assert isinstance(reported.pop()["exception"], reason)


async def test_a_cancellation_that_a_handler_makes_up_is_an_error(bus: Bus, unique: str) -> None:
    async def fail(request: Request[Any]) -> None:
        raise asyncio.CancelledError

    await bus.respond(unique, fail)
    with pytest.raises(RemoteError) as caught:
        await bus.requester(unique).request(1)
    assert caught.value.remote_type == "CancelledError"


async def test_what_cannot_be_decoded_is_told_on_either_side(
    bus: Bus, unique: str, raw: Raw
) -> None:
    responder = await bus.respond(unique, lambda request: "text", codec=TYPED)
    with pytest.raises(RequestRefused) as caught:
        await bus.requester(unique).request({"x": 1})
    assert caught.value.remote_type == "UnknownType"
    assert responder.stats.refused == 1
    with pytest.raises(EncodeError):
        await bus.requester(unique, codec=TYPED).request("not registered")
    await bus.respond(f"{unique}-2", lambda request: "text", codec=Codec("json"))
    broken = aio_pika.Message(b"{", reply_to=raw.queue.name)
    await raw.channel.default_exchange.publish(broken, f"{unique}-2.requests")
    headers = (await raw.reply()).headers
    assert (headers["x-gestalt-status"], headers["x-gestalt-error"]) == ("refused", "Truncated")
    small = Codec("json", max_size=4)
    with pytest.raises(DecodeError):
        await bus.requester(f"{unique}-2", codec=small).request(1)


# Deadlines


async def test_a_request_ends_by_its_deadline_and_so_does_its_handler(
    bus: Bus, unique: str
) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    requester = bus.requester(unique, timeout=0.2)
    begun = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await requester.request(1)
    assert 0.15 < time.monotonic() - begun < 1.2
    await until(lambda: hanging.cancelled == [1])
    await until(lambda: responder.stats.expired == 1)
    assert requester.pending == 0


async def test_a_responder_has_a_time_limit_of_its_own(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, timeout=0.05)
    with pytest.raises(DeadlineExceeded, match="responder gave up"):
        await bus.requester(unique).request(1)
    assert hanging.cancelled == [1]
    assert responder.stats.expired == 1


async def test_a_timeout_that_a_handler_raises_is_its_own(bus: Bus, unique: str) -> None:
    async def fail(request: Request[Any]) -> None:
        raise TimeoutError("of a database")

    await bus.respond(unique, fail)
    with pytest.raises(RemoteError, match="of a database"):
        await bus.requester(unique).request(1)


async def test_an_expired_request_is_never_worked_on(bus: Bus, unique: str, raw: Raw) -> None:
    got: list[int] = []
    responder = await bus.respond(unique, lambda request: got.append(request.body))
    past = int((time.time() - 1) * 1000)
    await raw.send(b"1", headers={"x-gestalt-deadline": past}, correlation_id="c")
    reply = await raw.reply()
    assert (reply.headers["x-gestalt-status"], reply.correlation_id) == ("late", "c")
    assert await bus.requester(unique).request(2) is None
    assert got == [2]
    assert responder.stats.expired == 1


@pytest.mark.parametrize("timeout", [1e10, float("inf")])
async def test_a_deadline_far_away_harms_nobody(bus: Bus, unique: str, timeout: float) -> None:
    await bus.respond(unique, echo)
    requester = bus.requester(unique)
    assert await requester.request(1, timeout=timeout) == 1
    assert await requester.request(2) == 2


async def test_deadlines_hold_after_the_bus_was_started_again(broker_url: str, raw: Raw) -> None:
    bus = connect(broker_url, backoff=QUICK)
    requester = bus.requester(raw.service)
    async with bus:
        await bus.respond(raw.service, echo)
        assert await requester.request(1, timeout=0.5) == 1
    await raw.respond(lambda request: [])
    async with bus, asyncio.timeout(3):
        with pytest.raises(DeadlineExceeded, match="no reply came"):
            await requester.request(2, timeout=0.7)


# Cancellation


async def test_a_cancelled_request_cancels_its_handler(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    requester = bus.requester(unique)
    calls = [asyncio.create_task(requester.request(number)) for number in range(2)]
    await until(lambda: len(hanging.begun) == 2)
    calls[0].cancel()
    await until(lambda: hanging.cancelled == [0])
    with pytest.raises(asyncio.CancelledError):
        await calls[0]
    assert requester.pending == 1
    assert responder.stats.cancelled == 1
    hanging.finish.set()
    assert await calls[1] == 1


async def test_a_cancellation_may_arrive_together_with_its_request(
    broker_url: str, broker_port: int, unique: str
) -> None:
    """The handler's task is cancelled before its first step."""
    hanging = Hanging()
    async with (
        Proxy(broker_port) as proxy,
        connect(through(proxy, broker_url), backoff=QUICK, heartbeat=0) as theirs,
        connect(broker_url, backoff=QUICK) as ours,
    ):
        responder = await theirs.respond(unique, hanging)
        requester = ours.requester(unique)
        hanging.finish.set()
        assert await requester.request(0) == 0
        hanging.finish.clear()
        hanging.begun.clear()
        proxy.freeze()
        for number in range(5):
            call = asyncio.create_task(requester.request(number))
            await until(lambda: requester.pending)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
        with pytest.raises(NoResponder):
            await ours.requester("nobody").request(1)
        await asyncio.sleep(0.05)  # until the proxy holds all of it
        proxy.thaw()
        await until(lambda: responder.stats.cancelled == 5)
        assert hanging.begun == hanging.cancelled
        hanging.finish.set()
        assert await requester.request(6) == 6


async def test_a_cancelled_request_that_waits_is_never_begun(bus: Bus, unique: str) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging, concurrency=1)
    requester = bus.requester(unique)
    first = asyncio.create_task(requester.gather(1, count=1))
    await until(lambda: hanging.begun)
    second = asyncio.create_task(requester.gather(2, count=1))
    await until(lambda: requester.pending == 2)
    second.cancel()
    await until(lambda: responder.stats.cancelled == 1)
    hanging.finish.set()
    assert [reply.body for reply in await first] == [1]
    assert await requester.request(3) == 3
    assert hanging.begun == [1, 3]


async def test_a_cancellation_that_names_no_request_cancels_none(
    bus: Bus, unique: str, raw: Raw
) -> None:
    hanging = Hanging()
    responder = await bus.respond(unique, hanging)
    await raw.send(b"1")
    await until(lambda: hanging.begun)
    await raw.control("cancel")
    await raw.control("nonsense")
    await bus.requester(unique).info(count=1)
    assert hanging.cancelled == []
    hanging.finish.set()
    assert (await raw.reply()).body == b"1"
    assert responder.stats.cancelled == 0


async def test_a_request_that_was_not_sent_is_not_cancelled_remotely(
    bus: Bus, unique: str, raw: Raw
) -> None:
    hanging = Hanging()
    await bus.respond(unique, hanging)
    await raw.watch_controls()
    requester = bus.requester(unique, max_pending=1)
    first = asyncio.create_task(requester.request(1))
    await until(lambda: hanging.begun)
    second = asyncio.create_task(requester.request(2))
    await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    first.cancel()
    assert await raw.next_control() == "cancel"
    await until(lambda: hanging.cancelled == [1])
    assert raw.controls.empty()


# Callers of other makes, and hostile ones


async def test_a_request_may_come_without_id_deadline_or_address(
    bus: Bus, unique: str, raw: Raw
) -> None:
    got: list[Request[Any]] = []

    def handle(request: Request[Any]) -> Any:
        got.append(request)
        return request.body

    await bus.respond(unique, handle)
    await raw.send(b"1")
    reply = await raw.reply()
    assert (reply.body, reply.correlation_id, reply.content_type) == (
        b"1",
        None,
        "application/json",
    )
    await raw.send(b"2", reply_to=None)
    await raw.send(b"3", correlation_id="abc")
    reply = await raw.reply()
    assert (reply.body, reply.correlation_id) == (b"3", "abc")
    assert [request.body for request in got] == [1, 2, 3]
    with pytest.raises(ReplyNotPossible):
        await got[1].reply("nowhere to")


async def test_an_error_that_has_no_caller_is_reported_but_not_what_is_refused(
    bus: Bus, unique: str, raw: Raw, reported: list[dict[str, Any]]
) -> None:
    def fail(request: Request[Any]) -> None:
        raise ValueError("for nobody")

    responder = await bus.respond(unique, fail)
    await raw.send(b"{no json", reply_to=None)
    await until(lambda: responder.stats.refused == 1)
    assert reported == []
    await raw.send(b"1", reply_to=None)
    await until(lambda: reported)
    assert str(reported[0]["exception"]) == "for nobody"


@pytest.mark.parametrize(
    "headers",
    [
        {"x-gestalt-deadline": "soon"},
        {"x-gestalt-deadline": True},
        {"x-gestalt-deadline": 2**62},
        {"x-gestalt-deadline": bytearray(b"\xff")},
        {"x-gestalt-idempotent": "yes", "x-gestalt-window": "wide"},
        {"x-gestalt-exchange": 5, "x-gestalt-routing-key": [1], "x-gestalt-attempts": -(2**40)},
        {"x-type-id": 99, "compression": 4, "traceparent": {"a": 1}},
    ],
    ids=str,
)
async def test_nonsense_in_headers_counts_as_nothing(
    bus: Bus, unique: str, raw: Raw, headers: dict[str, Any]
) -> None:
    await bus.respond(unique, echo)
    await raw.send(b"1", headers=headers)
    reply = await raw.reply()
    assert (reply.body, reply.headers) == (b"1", {})


async def test_what_is_not_utf8_comes_back_as_it_was(
    bus: Bus, unique: str, raw: Raw, broker_url: str
) -> None:
    """Surrogates stand for bytes that are no UTF-8."""
    got: asyncio.Queue[Any] = asyncio.Queue()
    exchange = Exchange(f"{unique}-replies", type="fanout", durable=False, auto_delete=True)
    subscription = await bus.subscribe(exchange, "", got.put_nowait)
    await bus.respond(unique, echo)
    await bus.publisher(Exchange("")).publish(
        1,
        f"{unique}.requests",
        reply_to=subscription.queue_name or "",
        correlation_id="\udcff\udc80",
        headers={"\udcff": "x", "x-gestalt-control-\udcff": 1},
    )
    async with asyncio.timeout(5):
        reply = await got.get()
    assert (reply.body, reply.properties.correlation_id) == (1, "\udcff\udc80")
    await bus.publisher(Exchange("")).publish(1, f"{unique}.requests", reply_to="\udcff")
    assert await bus.requester(unique).request(2) == 2


@pytest.mark.parametrize(
    ("headers", "error", "match"),
    [
        ({"x-gestalt-status": "unserved"}, NoResponder, "stopped"),
        ({"x-gestalt-status": "late"}, DeadlineExceeded, "gave up"),
        ({"x-gestalt-status": "abandoned"}, OutcomeUnknown, "did not finish"),
        ({"x-gestalt-status": "failed"}, RemoteError, "no reason"),
        ({"x-gestalt-status": "refused", "x-gestalt-reason": "é"}, RequestRefused, "é"),
        ({"x-gestalt-status": "failed", "x-gestalt-details": 1}, RemoteError, "no reason"),
        ({"x-gestalt-status": "item", "x-gestalt-item": 1}, RequestError, "'item'"),
        ({"x-gestalt-status": None}, RequestError, "None"),
        ({"x-gestalt-status": ["?"]}, RequestError, "not one of its kind"),
    ],
    ids=str,
)
async def test_a_status_is_read_as_what_it_means(
    bus: Bus, raw: Raw, headers: dict[str, Any], error: type[Exception], match: str
) -> None:
    await raw.respond(
        lambda request: aio_pika.Message(
            b"1", headers=headers, correlation_id=request.correlation_id
        )
    )
    with pytest.raises(error, match=match):
        await bus.requester(raw.service).request(1)


async def test_replies_that_nobody_awaits_are_dropped(bus: Bus, raw: Raw) -> None:
    def reply(message: Any) -> list[aio_pika.Message]:
        return [
            aio_pika.Message(b"1", correlation_id=other)
            for other in (None, "", "another", "\N{SNOWMAN}", message.correlation_id)
        ] + [aio_pika.Message(b"2", correlation_id=message.correlation_id)] * 3

    await raw.respond(reply)
    requester = bus.requester(raw.service)
    for _ in range(3):
        assert await requester.request(0) == 1
    assert requester.pending == 0


async def test_requests_that_wait_for_a_responder_are_answered_as_it_starts(
    bus: Bus, unique: str, raw: Raw
) -> None:
    """They are delivered before the start is done."""
    await raw.declare_requests()
    for number in range(20):
        await raw.send(b"%d" % number, correlation_id=str(number))
    responder = await bus.respond(unique, echo)
    replies = [await raw.reply() for _ in range(20)]
    assert [int(reply.body) for reply in replies] == list(range(20))
    assert responder.stats.replied == 20


async def test_the_same_queue_with_other_arguments_is_a_clear_error(
    bus: Bus, unique: str, raw: Raw
) -> None:
    await raw.channel.declare_queue(f"{unique}.requests", exclusive=False, auto_delete=True)
    with pytest.raises(ValueError, match="requests"):
        await bus.respond(unique, echo)


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
