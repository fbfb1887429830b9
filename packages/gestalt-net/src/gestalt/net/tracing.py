"""Spans for the messages of streams and datagrams.

A socket's wire has no room for the context of a trace, so that none crosses it: each message that
is handled begins a trace of its own. What is sent is a span within that of whoever sends. Span
names and attributes: OpenTelemetry, semantic conventions for messaging. Where there is no tracer
provider when an endpoint starts, nothing here is called again.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from gestalt.core import Handler, MessageBatch
from gestalt.core.calling import is_awaitable
from gestalt.core.tracing import Spans, provider_is_set

from .wire import Wire


def traced(
    system: str, name: str, handler: Handler | None, wire: Wire
) -> tuple[Handler | None, Wire]:
    """The same handler and wire, with spans around them if the application wants any now.

    Args:
        system: what carries the messages: "stream" or "datagram".
        name: of the endpoint.
        handler: takes its messages.
        wire: how they cross the socket.
    """
    if not provider_is_set():
        return handler, wire
    spans = EndpointSpans(system, name)
    return None if handler is None else spans.around_handler(handler), spans.around_wire(wire)


class EndpointSpans(Spans):
    """Spans for what an endpoint handles and sends."""

    def __init__(self, system: str, name: str) -> None:
        from opentelemetry.context import Context

        super().__init__("gestalt.net")
        self._name = name
        # Not below what happened to be the present span when the endpoint was started.
        self._root = Context()
        self._attributes = {
            "messaging.system": f"gestalt.{system}",
            "messaging.destination.name": name,
        }

    def around_handler(self, handler: Handler) -> Handler:
        """A span for each call, which lasts until what the handler returns has been awaited."""
        start = self._tracer.start_span
        title = f"process {self._name}"
        attributes = {
            **self._attributes,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
        }

        def handle(message: Any) -> Any:
            span = start(
                title,
                context=self._root,
                kind=self._consumer,
                attributes=_told(attributes, message),
            )
            try:
                with self._use(span, end_on_exit=False):
                    result = handler(message)
            except BaseException:
                span.end()
                raise
            if is_awaitable(result):
                return self._finish(span, result)
            span.end()
            return result

        return handle

    def around_wire(self, wire: Wire) -> Wire:
        """A span for each message that is made a frame to be sent."""
        encode: Callable[..., bytes] = wire.encode
        title = f"send {self._name}"
        attributes = {
            **self._attributes,
            "messaging.operation.name": "send",
            "messaging.operation.type": "send",
        }

        def encode_traced(value: Any, type_id: int | None = None) -> bytes:
            with self._tracer.start_as_current_span(
                title, kind=self._producer, attributes=attributes
            ) as span:
                frame = encode(value, type_id)
                span.set_attribute("messaging.message.envelope.size", len(frame))
                return frame

        return wire.with_encode(encode_traced)

    async def _finish(self, span: Any, result: Awaitable[Any]) -> Any:
        with self._use(span, end_on_exit=True):
            return await result


def _told(attributes: dict[str, str], message: Any) -> dict[str, str | int]:
    """Attributes with what a message tells of itself: its kind, never what it holds."""
    if isinstance(message, MessageBatch):
        return {**attributes, "messaging.batch.message_count": len(message)}
    body = getattr(message, "body", None)
    if body is None:
        return {**attributes}
    return {**attributes, "gestalt.message.type": type(body).__name__}
