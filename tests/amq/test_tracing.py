import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from gestalt.amq import Bus, BusMessage, tracing


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    return exporter


async def test_a_trace_goes_on_through_the_broker(
    spans: InMemorySpanExporter, broker_url: str, unique: str
) -> None:
    from gestalt.amq import connect

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


async def test_without_opentelemetry_there_is_no_tracing(
    monkeypatch: pytest.MonkeyPatch, bus: Bus
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.trace", None)
    assert tracing.load() is None
