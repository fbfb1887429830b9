"""Tracing where OpenTelemetry is not installed."""

import sys

import pytest

from gestalt.core.tracing import provider_is_set


def test_without_opentelemetry_there_is_no_tracer_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_PYTHON_TRACER_PROVIDER", "sdk")
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    assert not provider_is_set()
