"""Every error reaches whoever is to know of it, as what it is."""

import asyncio
import datetime
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any

import aio_pika
import pytest

from gestalt.amq import Bus, NoResponder, RemoteError, Request, RequestRefused, connect
from gestalt.amq.embedded import EmbeddedBroker, Settings
from gestalt.codecs import Codec, DecodeError, EncodeError, MessageTypes
from gestalt.core import Discard, Park, RetryLater
from tests.support.callers import Raw, echo
from tests.support.waiting import Reported

TYPED = Codec("json", types=MessageTypes())


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


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
    bus: Bus, unique: str, error: Exception, reported: Reported
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
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture, reported: Reported
) -> None:
    def fail(request: Request[int]) -> None:
        details = {"object": object()} if request.body == 1 else {"much": "x" * 40_000}
        raise BrokenError("broken", details)

    responder = await bus.respond(unique, fail)
    requester = bus.requester(unique)
    for number, reason in ((1, "carries no object"), (2, "are more than")):
        with pytest.raises(RemoteError, match="broken") as caught:
            await requester.request(number)
        assert caught.value.details == {}
        assert responder.reported == number
        assert f"responder {unique}: the details of BrokenError: broken cannot" in caplog.text
        assert reason in caplog.text
    assert reported == []


@pytest.mark.parametrize("plain", [True, False])
async def test_a_cancellation_that_a_handler_makes_up_is_an_error(
    bus: Bus, unique: str, plain: bool, reported: Reported
) -> None:
    def fail(request: Request[Any]) -> None:
        raise asyncio.CancelledError

    async def fail_later(request: Request[Any]) -> None:
        fail(request)

    await bus.respond(unique, fail if plain else fail_later)
    with pytest.raises(RemoteError) as caught:
        await bus.requester(unique).request(1)
    assert caught.value.remote_type == "CancelledError"
    assert reported == []


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
    exchange = await raw.channel.get_exchange("gestalt.requests")
    await exchange.publish(broken, f"{unique}-2")
    headers = (await raw.reply()).headers
    assert (headers["x-gestalt-status"], headers["x-gestalt-error"]) == ("refused", "Truncated")
    small = Codec("json", max_size=4)
    with pytest.raises(DecodeError):
        await bus.requester(f"{unique}-2", codec=small).request(1)


class _Mapping(Mapping[str, Any]):
    """Details of an application's own make."""

    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("no item")

    def __iter__(self) -> Iterator[str]:
        return iter(["key"])

    def __len__(self) -> int:
        return 1


class UglyError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class SurrogateError(Exception):
    def __str__(self) -> str:
        return "\ud800 boom"


class DetailsError(Exception):
    def __init__(self, details: Any) -> None:
        super().__init__("with details")
        self._details = details

    @property
    def details(self) -> Any:
        if isinstance(self._details, Exception):
            raise self._details
        return self._details


ERRORS: list[tuple[str, Exception]] = [
    ("UglyError", UglyError()),
    ("SurrogateError", SurrogateError()),
    ("ValueError", ValueError("x" * 1_000_000)),
    ("DetailsError", DetailsError(RuntimeError("no details"))),
    ("DetailsError", DetailsError({"a": float("nan")})),
    ("DetailsError", DetailsError({"a": object()})),
    ("DetailsError", DetailsError({"\ud800": 1})),
    ("DetailsError", DetailsError({5: 1})),
    ("DetailsError", DetailsError({"a": datetime.datetime.min})),
    ("DetailsError", DetailsError({"a": "x" * 1_000_000})),
    ("DetailsError", DetailsError(_Mapping())),
    ("LongError" * 20, type("LongError" * 2000, (Exception,), {})("long")),
]


@pytest.mark.parametrize(("name", "error"), ERRORS, ids=range(len(ERRORS)))
@pytest.mark.parametrize("way", ["plain", "async", "stream"])
async def test_whatever_an_error_looks_like_its_caller_is_told_and_nothing_else_ends(
    bus: Bus,
    unique: str,
    name: str,
    error: Exception,
    way: str,
    reported: Reported,
) -> None:
    def plain(request: Request[int]) -> int:
        if request.body:
            raise error
        return 0

    async def later(request: Request[int]) -> int:
        await asyncio.sleep(0)
        return plain(request)

    async def stream(request: Request[int]) -> AsyncIterator[int]:
        yield plain(request)

    handler = {"plain": plain, "async": later, "stream": stream}[way]
    responder = await bus.respond(unique, handler, send_traceback=True)
    requester = bus.requester(unique)

    async def ask(number: int) -> Any:
        if way == "stream":
            return await anext(requester.stream(number))
        return await requester.request(number)

    for _ in range(2):
        with pytest.raises(RemoteError) as caught:
            await ask(1)
        assert caught.value.remote_type.startswith(name[:100])
        assert caught.value.details == {}
    assert await ask(0) == 0
    assert responder.consuming
    assert reported == []


async def test_where_frames_are_small_an_error_is_told_without_its_details(unique: str) -> None:
    async with (
        EmbeddedBroker(settings=Settings(frame_max=8192)) as broker,
        connect(broker.url) as bus,
    ):

        def fail(request: Request[int]) -> None:
            raise DetailsError({"much": "x" * 20_000})

        await bus.respond(unique, fail, send_traceback=True)
        for _ in range(2):
            with pytest.raises(RemoteError, match="with details") as caught:
                await bus.requester(unique).request(1)
            assert caught.value.details == {}


async def test_the_log_of_failures_is_bounded_and_names_the_request(
    bus: Bus, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request[int]) -> None:
        raise ValueError("again")

    await bus.respond(unique, fail)
    requester = bus.requester(unique)
    await asyncio.gather(*(requester.request(1) for _ in range(200)), return_exceptions=True)
    lines = [record for record in caplog.records if record.exc_info and "again" in caplog.text]
    assert 1 <= len(lines) < 50
    assert unique in lines[0].getMessage()
    assert "request " in lines[0].getMessage()


class UnknownVehicleError(LookupError):
    pass


@pytest.mark.parametrize("plain", [True, False])
async def test_an_error_that_belongs_to_the_service_is_a_reply_and_no_failure(
    bus: Bus, unique: str, plain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def locate(request: Request[str]) -> str:
        if request.body == "dropped":
            raise Discard("too old")
        if request.body == "broken":
            raise KeyError(request.body)
        raise UnknownVehicleError(f"no vehicle {request.body}")

    async def locate_later(request: Request[str]) -> str:
        await asyncio.sleep(0)
        return locate(request)

    responder = await bus.respond(
        unique,
        locate if plain else locate_later,
        errors=[UnknownVehicleError],
        send_traceback=True,
    )
    requester = bus.requester(unique)
    with pytest.raises(RemoteError, match="no vehicle 42") as caught:
        await requester.request("42")
    assert caught.value.remote_type == "UnknownVehicleError"
    assert caught.value.remote_traceback is None
    with pytest.raises(RemoteError, match="too old"):
        await requester.request("dropped")
    assert responder.stats.declined == 2
    assert caplog.messages == []
    with pytest.raises(RemoteError, match="broken"):
        await requester.request("broken")
    assert (responder.stats.declined, responder.stats.failed) == (2, 1)
    assert "broken" in caplog.text


@pytest.mark.parametrize("outcome", [Park("look at it"), RetryLater(1, "busy")])
async def test_a_request_can_be_neither_parked_nor_put_off_which_is_a_failure(
    bus: Bus, unique: str, outcome: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Request[str]) -> None:
        raise outcome

    responder = await bus.respond(unique, fail)
    with pytest.raises(RemoteError, match=str(outcome)) as caught:
        await bus.requester(unique).request("a")
    assert caught.value.remote_type == type(outcome).__name__
    assert responder.stats.failed == 1
    assert "failed" in caplog.text


def test_errors_of_a_service_are_classes_of_exceptions() -> None:
    with pytest.raises(TypeError, match="are classes of exceptions, got an object of type str"):
        connect("amqp://127.0.0.1:1").responder("s", errors=["KeyError"])(echo)  # type: ignore[list-item]
