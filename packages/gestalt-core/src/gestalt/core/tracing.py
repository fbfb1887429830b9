"""OpenTelemetry, where an application uses it.

Nothing of it is imported here for an application that does not: one that has set no tracer provider
records nothing, and pays nothing.
"""

import asyncio
import os
import sys
from typing import Any


def provider_is_set() -> bool:
    """Whether the application has set a tracer provider, or the environment names one."""
    if "opentelemetry.trace" not in sys.modules and not os.environ.get(
        "OTEL_PYTHON_TRACER_PROVIDER"
    ):
        return False
    try:
        from opentelemetry import trace
    except ImportError:
        return False
    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def trace_ids() -> tuple[str, str] | None:
    """The identifiers of the present trace and span, in hexadecimal; None where there is none.

    As W3C Trace Context writes them: 32 digits and 16.
    """
    trace: Any = sys.modules.get("opentelemetry.trace")
    if trace is None:
        return None
    context = trace.get_current_span().get_span_context()
    return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None


class Spans:
    """What makes spans, and says whether anybody wants them.

    Args:
        instrument: who makes them, such as "gestalt.net".

    Raises:
        ImportError: opentelemetry-api is not installed.
    """

    def __init__(self, instrument: str) -> None:
        from opentelemetry import trace

        self._tracer = trace.get_tracer(instrument)
        self._producer = trace.SpanKind.PRODUCER
        self._consumer = trace.SpanKind.CONSUMER
        self._current = trace.get_current_span
        self._use = trace.use_span
        self._link = trace.Link
        self._no_span = trace.INVALID_SPAN
        self._looked_in: asyncio.AbstractEventLoop | None = None
        self._has_provider = False

    def idle(self) -> bool:
        """Whether there is nothing to record here, and no trace to pass on.

        So it is while the application has set no tracer provider, which it may do at any time.
        """
        return self._current() is self._no_span and not self._provided()

    def _provided(self) -> bool:
        """Whether there is a tracer provider; looked up once in a turn of the event loop."""
        loop = asyncio.get_running_loop()
        if self._looked_in is not loop:
            # Each look reads the environment, which takes a tenth of what a publish costs.
            self._looked_in = loop
            self._has_provider = provider_is_set()
            loop.call_soon(self._look_again)
        return self._has_provider

    def _look_again(self) -> None:
        self._looked_in = None
