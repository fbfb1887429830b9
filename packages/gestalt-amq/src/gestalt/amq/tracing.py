"""Traces across the broker: W3C trace context in the headers, spans for publish and handle.

Span names and attributes: OpenTelemetry, semantic conventions for messaging, RabbitMQ. Header
fields: W3C Trace Context. Needs the extra `otel`; without it no code of this module runs.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from gestalt.core.tracing import Spans

from .message import BusMessage
from .wire import Properties


class Tracing(Spans):
    """Spans for what is published and handled."""

    def __init__(self) -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        super().__init__("gestalt.amq")
        self._propagator = TraceContextTextMapPropagator()

    def idle_for(self, message: BusMessage[Any]) -> bool:
        """Whether a handler's call has nothing to record, and no trace to go on with."""
        headers = message.properties.headers
        return self.idle() and not (headers and "traceparent" in headers)

    def inject(self, properties: Properties) -> Properties:
        """The properties, with the present context in their headers."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier)
        if not carrier:
            return properties
        return replace(properties, headers={**(properties.headers or {}), **carrier})

    @contextmanager
    def publishing(
        self, exchange: str, routing_key: str, properties: Properties
    ) -> Iterator[Properties]:
        """A span for one publish; gives the properties that carry its context."""
        attributes: dict[str, Any] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "publish",
            "messaging.operation.type": "send",
            "messaging.destination.name": exchange or "amq.default",
            "messaging.rabbitmq.destination.routing_key": routing_key,
        }
        if properties.message_id is not None:
            attributes["messaging.message.id"] = properties.message_id
        with self._tracer.start_as_current_span(
            f"publish {exchange or 'amq.default'}", kind=self._producer, attributes=attributes
        ):
            yield self.inject(properties)

    @contextmanager
    def handling(self, message: BusMessage[Any], queue: str) -> Iterator[None]:
        """A span for one call of a handler, below the span that published the message."""
        context = self._context_of(message)
        if not self._provided():
            # In older versions its tracer leaves the present context as it is.
            with self._use(self._current(context)):
                yield
            return
        attributes: dict[str, Any] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": message.exchange or "amq.default",
            "messaging.destination.subscription.name": queue,
            "messaging.rabbitmq.destination.routing_key": message.routing_key,
        }
        if message.properties.message_id is not None:
            attributes["messaging.message.id"] = message.properties.message_id
        with self._tracer.start_as_current_span(
            f"process {queue}",
            context=context,
            kind=self._consumer,
            attributes=attributes,
        ):
            yield

    @contextmanager
    def handling_batch(self, messages: Sequence[BusMessage[Any]], queue: str) -> Iterator[None]:
        """A span for one call of a handler with a batch, linked to the spans of its messages."""
        links = []
        for message in messages:
            if "traceparent" in message.headers:  # pragma: no branch - its sender is not traced
                span = self._current(self._context_of(message)).get_span_context()
                if span.is_valid:  # pragma: no branch - others write what is none
                    links.append(self._link(span))
        with self._tracer.start_as_current_span(
            f"process {queue}",
            kind=self._consumer,
            attributes={
                "messaging.system": "rabbitmq",
                "messaging.operation.name": "process",
                "messaging.operation.type": "process",
                "messaging.destination.subscription.name": queue,
                "messaging.batch.message_count": len(messages),
            },
            links=links,
        ):
            yield

    def _context_of(self, message: BusMessage[Any]) -> Any:
        carrier = {
            key: value
            for key in ("traceparent", "tracestate")
            if isinstance(value := message.headers.get(key), str)
        }
        return self._propagator.extract(carrier)


def load() -> Tracing | None:
    """Tracing, if opentelemetry-api is installed."""
    try:
        import opentelemetry.trace  # noqa: F401 - asks whether it is there
    except ImportError:
        return None
    return Tracing()
