import asyncio
from collections.abc import AsyncIterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode

from gestalt.amq import (
    Bus,
    BusBatch,
    BusMessage,
    RemoteError,
    Request,
    RequestRefused,
    connect,
    tracing,
)
from gestalt.core import Batch, Handlers


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    # A process sets its provider once; a test puts it in the same place.
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


async def test_a_trace_goes_on_through_the_broker(
    spans: InMemorySpanExporter, broker_url: str, unique: str
) -> None:
    handled = asyncio.Event()
    seen: list[dict[str, object]] = []

    async def handle(message: BusMessage[int]) -> None:
        seen.append(dict(message.headers))
        handled.set()
        if message.body == 2:
            raise ValueError("bad")

    async with connect(broker_url) as bus:
        subscription = await bus.subscribe(unique, "#", handle, queue=unique, retry=None)
        await bus.publisher(unique).publish(1, "a.key", message_id="m1")
        await bus.publisher(unique).publish(2, "a.key")
        async with asyncio.timeout(5):
            while not subscription.stats.parked:
                await asyncio.sleep(0.01)
    found = {(span.name, span.status.status_code): span for span in spans.get_finished_spans()}
    process = found[f"process {unique}", StatusCode.UNSET]
    parents = [
        span
        for span in spans.get_finished_spans()
        if process.parent is not None and span.context.span_id == process.parent.span_id
    ]
    assert [(span.name, span.kind) for span in parents] == [
        (f"publish {unique}", SpanKind.PRODUCER)
    ]
    assert process.kind is SpanKind.CONSUMER
    assert process.context.trace_id == parents[0].context.trace_id
    assert str(seen[0]["traceparent"]).startswith(f"00-{process.context.trace_id:032x}-")
    assert process.attributes is not None
    assert process.attributes["messaging.system"] == "rabbitmq"
    assert process.attributes["messaging.message.id"] == "m1"
    assert process.attributes["messaging.rabbitmq.destination.routing_key"] == "a.key"
    failed = found[f"process {unique}", StatusCode.ERROR]
    assert failed.events[0].name == "exception"


async def test_a_provider_that_is_set_after_connecting_records_publishes(
    request: pytest.FixtureRequest, bus: Bus, unique: str
) -> None:
    publisher = bus.publisher(unique)
    await publisher.publish(1)
    spans: InMemorySpanExporter = request.getfixturevalue("spans")
    await publisher.publish(2)
    assert [span.name for span in spans.get_finished_spans()] == [f"publish {unique}"]


async def test_a_trace_from_elsewhere_is_passed_on_where_no_provider_is_set(
    bus: Bus, unique: str
) -> None:
    headers: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    def handle(message: BusMessage[int]) -> None:
        headers.put_nowait(dict(message.headers))

    await bus.subscribe(unique, "#", handle)
    publisher = bus.publisher(unique)
    await publisher.publish(1)
    elsewhere = SpanContext(0x12, 0x34, is_remote=True)
    with trace.use_span(NonRecordingSpan(elsewhere)):
        await publisher.publish(2)
    async with asyncio.timeout(5):
        assert "traceparent" not in await headers.get()
        assert (await headers.get())["traceparent"] == f"00-{0x12:032x}-{0x34:016x}-00"


async def test_handlers_go_on_with_a_trace_that_came_where_no_provider_is_set(
    bus: Bus, unique: str
) -> None:
    seen: asyncio.Queue[SpanContext] = asyncio.Queue()

    def handle(message: BusMessage[int]) -> None:
        seen.put_nowait(trace.get_current_span().get_span_context())

    await bus.subscribe(unique, "#", handle)
    await bus.respond(unique, handle)
    publisher, requester = bus.publisher(unique), bus.requester(unique)
    came = {"traceparent": f"00-{0x12:032x}-{0x34:016x}-01"}
    async with asyncio.timeout(5):
        for headers, trace_id in (({}, 0), (came, 0x12), ({}, 0)):
            await publisher.publish(1, headers=headers)
            assert (await seen.get()).trace_id == trace_id
            await requester.request(1, headers=headers)
            assert (await seen.get()).trace_id == trace_id


async def test_without_opentelemetry_there_is_no_tracing(
    monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.trace", None)
    assert tracing.load() is None


async def test_a_trace_goes_on_through_requests_of_every_kind(
    spans: InMemorySpanExporter, broker_url: str, unique: str
) -> None:
    async def count(request: Request[int]) -> AsyncIterator[int]:
        for number in range(request.body):
            yield number

    async def later(request: Request[int]) -> int:
        await asyncio.sleep(0)
        return request.body

    def fail(request: Request[int]) -> None:
        raise LookupError("no such thing")

    tracer = trace.get_tracer("test")
    async with connect(broker_url) as bus:
        for name, handler in (("count", count), ("later", later), ("fail", fail)):
            await bus.respond(f"{unique}-{name}", handler)
        with tracer.start_as_current_span("caller") as caller:
            requester = bus.requester(f"{unique}-later")
            assert await requester.request(1) == 1
            (reply,) = await requester.gather(2, count=1)
            assert reply.body == 2
            stream = bus.requester(f"{unique}-count").stream(2)
            assert [number async for number in stream] == [0, 1]
            with pytest.raises(RemoteError, match="no such thing"):
                await bus.requester(f"{unique}-fail").request(1)
        trace_id = caller.get_span_context().trace_id
    finished = spans.get_finished_spans()
    handled = [span for span in finished if span.kind is SpanKind.CONSUMER]
    assert len(handled) == 4
    assert {span.context.trace_id for span in handled} == {trace_id}
    failed = [span for span in handled if span.status.status_code is StatusCode.ERROR]
    assert [span.name for span in failed] == [f"process {unique}-fail.requests"]


async def test_a_traced_handler_is_cancelled_and_refuses_as_others_do(
    spans: InMemorySpanExporter, broker_url: str, unique: str
) -> None:
    begun = asyncio.Event()
    cancelled = asyncio.Event()

    async def hang(request: Request[int]) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    handlers = Handlers()
    handlers.on(int)(hang)
    async with connect(broker_url) as bus:
        responder = await bus.respond(unique, handlers)
        requester = bus.requester(unique)
        with pytest.raises(RequestRefused):
            await requester.request("text")
        call = asyncio.create_task(requester.request(1))
        async with asyncio.timeout(5):
            await begun.wait()
            call.cancel()
            await cancelled.wait()
        assert responder.stats.refused == 1


async def test_a_batch_has_a_span_that_is_linked_to_those_of_its_messages(
    spans: InMemorySpanExporter, broker_url: str, unique: str
) -> None:
    handled = asyncio.Event()

    async def store(_: BusBatch[int]) -> None:
        handled.set()

    async with connect(broker_url) as bus:
        await bus.subscribe(unique, "#", store, queue=unique, batch=Batch(size=2, within=10))
        for number in range(2):
            await bus.publisher(unique).publish(number)
        async with asyncio.timeout(15):
            await handled.wait()
    finished = spans.get_finished_spans()
    published = {span.context.span_id for span in finished if span.kind is SpanKind.PRODUCER}
    (span,) = [span for span in finished if span.kind is SpanKind.CONSUMER]
    assert span.name == f"process {unique}"
    assert span.attributes is not None
    assert span.attributes["messaging.batch.message_count"] == 2
    assert {link.context.span_id for link in span.links} == published
