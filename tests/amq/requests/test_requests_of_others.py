"""Callers and responders of other makes, hostile ones too."""

import asyncio
from typing import Any

import aio_pika
import pytest

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
)
from gestalt.core import ReplyNotPossible
from tests.support.callers import Raw, echo
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def _untraced(untraced: None) -> None:
    """The usual case; test_tracing.py has the other one."""


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
    bus: Bus, unique: str, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(request: Request[Any]) -> None:
        raise ValueError("for nobody")

    responder = await bus.respond(unique, fail)
    await raw.send(b"{no json", reply_to=None)
    await until(lambda: responder.stats.refused == 1)
    assert responder.reported == 0
    await raw.send(b"1", reply_to=None)
    await until(lambda: responder.reported == 1)
    assert "which asks for no reply" in caplog.text
    assert "for nobody" in caplog.text


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
    requests = bus.publisher(Exchange("gestalt.requests", declare=False))
    await requests.publish(
        1,
        unique,
        reply_to=subscription.queue_name or "",
        correlation_id="\udcff\udc80",
        headers={"\udcff": "x", "x-gestalt-control-\udcff": 1},
    )
    async with asyncio.timeout(5):
        reply = await got.get()
    assert (reply.body, reply.properties.correlation_id) == (1, "\udcff\udc80")
    await requests.publish(1, unique, reply_to="\udcff")
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
