"""Spans of streams and datagrams, and that they cost nothing where nobody wants any."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gestalt.codecs import Codec
from gestalt.core import Message
from gestalt.net import DatagramEndpoint, Mti, StreamBatch, StreamClient, StreamServer, Wire
from tests.support.waiting import until

WIRE = Wire(Mti())


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process sets its provider once; a test puts it in the same place.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield exporter
    provider.shutdown()


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [span for span in spans.get_finished_spans() if span.name == name]


async def test_a_stream_has_spans_for_what_is_sent_and_handled(
    spans: InMemorySpanExporter,
) -> None:
    async def handle(message: Message[bytes]) -> None:
        await asyncio.sleep(0)
        if message.body == b"bad":
            raise ValueError("it is bad")
        await message.source.send(b"reply")

    tracer = trace.get_tracer("test")
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handle, name="gate") as server,
        StreamClient(server.address, WIRE, name="vehicle") as client,
    ):
        with tracer.start_as_current_span("caller") as caller:
            await client.send(b"good")
            await client.send(b"bad")
        assert (await anext(aiter(client))).body == b"reply"
        await until(lambda: len(named(spans, "process gate")) == 2)
    good, bad = named(spans, "process gate")
    assert good.kind is SpanKind.CONSUMER
    assert good.parent is bad.parent is None
    assert good.attributes is not None
    assert dict(good.attributes) == {
        "messaging.system": "gestalt.stream",
        "messaging.destination.name": "gate",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "gestalt.message.type": "bytes",
    }
    assert bad.status.status_code is StatusCode.ERROR
    assert bad.events[0].name == "exception"
    sent = named(spans, "send vehicle")
    assert [span.kind for span in sent] == [SpanKind.PRODUCER] * 2
    assert all(span.parent == caller.get_span_context() for span in sent)
    # What a handler sends belongs to what it handles.
    (reply,) = named(spans, "send gate")
    assert reply.parent is not None
    assert reply.parent.span_id == good.context.span_id
    assert good.context.trace_id != bad.context.trace_id


async def test_a_plain_handler_of_datagrams_has_spans_and_what_it_raises_is_one_of_them(
    spans: InMemorySpanExporter,
) -> None:
    wire = Wire(Mti(), Codec("json"))
    seen: list[int] = []

    def handle(message: Message[int]) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)
        if message.body == 2:
            raise LookupError("two")

    async with (
        DatagramEndpoint(
            "udp://127.0.0.1:0", wire, on_message=handle, on_error=lambda _: None, name="in"
        ) as receiver,
        DatagramEndpoint(None, wire, peer=receiver.address, name="out") as sender,
    ):
        await sender.send(1)
        await sender.send(2)
        await sender.send(None)
        await until(lambda: len(named(spans, "process in")) == 3)
    one, two, three = named(spans, "process in")
    assert seen == [one.context.span_id, two.context.span_id, three.context.span_id]
    assert three.attributes is not None
    assert "gestalt.message.type" not in three.attributes
    assert (one.status.status_code, two.status.status_code) == (StatusCode.UNSET, StatusCode.ERROR)
    assert len(named(spans, "send out")) == 3
    assert one.attributes is not None
    assert one.attributes["messaging.system"] == "gestalt.datagram"


async def test_many_messages_have_a_span_each_when_sent_and_one_for_the_batch_when_handled(
    spans: InMemorySpanExporter,
) -> None:
    received: list[bytes] = []

    async def handle(batch: StreamBatch[bytes]) -> None:
        received.extend(batch.bodies)
        await batch.reply_many(batch.bodies)

    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_messages=handle, name="gate") as server,
        StreamClient(server.address, WIRE, name="vehicle") as client,
    ):
        await client.send_many([b"1", b"2", b"3"], 7)
        replies = aiter(client)
        assert [(await anext(replies)).body for _ in range(3)] == received == [b"1", b"2", b"3"]
        await server.broadcast_many([b"4", b"5"])
        await until(lambda: sum(_sizes(spans)) == 3)
    assert len(named(spans, "send vehicle")) == 3
    assert len(named(spans, "send gate")) == 5


def _sizes(spans: InMemorySpanExporter) -> list[int]:
    found = [span.attributes for span in named(spans, "process gate")]
    return [int(str(each["messaging.batch.message_count"])) for each in found if each]


async def calls_of_tracing() -> int:
    """How many functions of tracing are called for messages of a connection that is there."""
    calls = 0
    handled = asyncio.Event()

    def handle(message: Message[bytes]) -> None:
        if message.body == b"2":
            handled.set()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call" and Path(frame.f_code.co_filename).name == "tracing.py"

    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handle) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        await client.wait_connected()
        sys.setprofile(profile)
        try:
            await client.send(b"1")
            await client.send(b"2")
            async with asyncio.timeout(10):
                await handled.wait()
        finally:
            sys.setprofile(None)
    return calls


async def test_no_function_of_tracing_stands_in_the_way_where_no_provider_is_set(
    request: pytest.FixtureRequest,
) -> None:
    assert await calls_of_tracing() == 0
    request.getfixturevalue("spans")
    assert await calls_of_tracing() > 0


async def test_a_provider_that_is_gone_at_the_next_start_is_not_used_any_more(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: asyncio.Queue[bytes] = asyncio.Queue()

    def handle(message: Message[bytes]) -> None:
        handled.put_nowait(message.body)

    server = StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handle, name="gate")
    for number in (1, 2):
        async with server, StreamClient(server.address, WIRE, name="vehicle") as client:
            await client.send(b"x")
            async with asyncio.timeout(10):
                await handled.get()
        assert len(named(spans, "process gate")) == 1, number
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
