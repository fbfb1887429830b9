"""OpenTelemetry, where an application uses it.

Nothing of it is imported here for an application that does not: one that has set no tracer provider
records nothing, and pays nothing.
"""

import os
import sys
from time import monotonic
from typing import Any

# For how long it is believed that there is a tracer provider, or none, in seconds: each look reads
# the environment, which takes a tenth of what a publish costs.
BELIEVED = 0.001


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
        from opentelemetry import context, trace

        self._tracer = trace.get_tracer(instrument)
        self._producer = trace.SpanKind.PRODUCER
        self._consumer = trace.SpanKind.CONSUMER
        self._current = trace.get_current_span
        self._use = trace.use_span
        self._link = trace.Link
        self._no_span = trace.INVALID_SPAN
        self._context = context.get_current
        self._look_at = 0.0
        self._has_provider = False

    def idle(self) -> bool:
        """Whether there is nothing to record here, and no trace to pass on.

        So it is while the application has set no tracer provider, which it may do at any time.
        """
        # Without the call of `_provided`, which takes as long as the rest.
        if self._has_provider if monotonic() < self._look_at else self._provided():
            return False
        context = self._context()
        # An empty one holds no span: to ask for that takes longer.
        return not (context and self._current(context) is not self._no_span)

    def _provided(self) -> bool:
        """Whether there is a tracer provider; looked up once in a millisecond."""
        now = monotonic()
        if now >= self._look_at:
            self._look_at = now + BELIEVED
            self._has_provider = provider_is_set()
        return self._has_provider
