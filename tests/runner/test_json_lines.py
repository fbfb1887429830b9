"""JSON logs: one object a line, with the extra fields, and with exceptions inside."""

import datetime
import json
import logging
import math

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from gestalt.core import TraceIds
from gestalt.runner.json_lines import JsonFormatter


def record_of(message="hello %s", *args, exc_info=None, stack_info=None, **extra):
    record = logging.LogRecord(
        "app.orders", logging.WARNING, "orders.py", 7, message, args, exc_info, sinfo=stack_info
    )
    vars(record).update(extra)
    return record


def line_of(record):
    text = JsonFormatter().format(record)
    assert text.isascii()
    assert "\n" not in text
    return json.loads(text)


def test_a_line_has_time_level_logger_message_and_the_extra_fields_as_they_are():
    extra = {"order": 7, "rate": 1.5, "tags": ["a", "b"], "nested": {"k": None}, "worker": 2}
    record = record_of("hello %s", "wörld\n\u2028", **extra)
    line = line_of(record)
    assert datetime.datetime.fromisoformat(line.pop("time")).timestamp() == pytest.approx(
        record.created, abs=1e-5
    )
    assert line == {
        "level": "warning",
        "logger": "app.orders",
        "message": "hello wörld\n\u2028",
        **extra,
    }


def test_a_line_has_the_trace_and_the_span_that_it_is_logged_in():
    context = SpanContext(0x12, 0x34, is_remote=True)
    ids = {"trace_id": f"{0x12:032x}", "span_id": f"{0x34:016x}"}
    filtered = record_of("within")
    with trace.use_span(NonRecordingSpan(context)):
        within = line_of(record_of("within"))
        TraceIds().filter(filtered)
        assert line_of(filtered).items() >= ids.items()
    assert within.items() >= ids.items()
    # As when another thread writes what was logged within the span.
    assert line_of(filtered).items() >= ids.items()
    outside = record_of("outside")
    TraceIds().filter(outside)
    assert line_of(outside).keys() == {"time", "level", "logger", "message"}


def test_an_exception_and_a_stack_are_within_the_line():
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        line = line_of(record_of("failed", exc_info=(type(error), error, error.__traceback__)))
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: two\nlines")
    assert line_of(record_of("here", stack_info="Stack:\n  here"))["stack"] == "Stack:\n  here"


class Untold:
    def __str__(self):
        raise ValueError("no")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (datetime.date(2024, 1, 2), "2024-01-02"),
        ({1}, "{1}"),
        (b"x", "b'x'"),
        (math.nan, "nan"),
        ([math.inf], "[inf]"),
        ("\udcff", "\udcff"),
        (Untold(), "<Untold, which has no text: ValueError>"),
        ({(1, 2): "dropped", "k": 1}, {"k": 1}),
    ],
)
def test_a_value_that_json_cannot_express_is_its_text(value, told):
    assert line_of(record_of("x", extra=value, other=1)) | {"time": ""} == {
        "time": "",
        "level": "warning",
        "logger": "app.orders",
        "message": "x",
        "extra": told,
        "other": 1,
    }


def test_a_circle_is_a_text():
    circle = []
    circle.append(circle)
    assert line_of(record_of("x", circle=circle))["circle"] == "[[...]]"


def test_extra_fields_replace_none_of_the_formatters_own():
    line = line_of(record_of("x", time="noon", level="high", logger="me"))
    assert (line["_time"], line["_level"], line["_logger"]) == ("noon", "high", "me")
    assert (line["level"], line["logger"]) == ("warning", "app.orders")


APPLICATION = """
import asyncio, logging
async def main():
    logging.getLogger("app").warning("hello", extra={"order": 7})
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.Event().wait()
"""


def test_the_command_writes_json_alone_also_of_the_error_that_ends_it(launch, tmp_path):
    (tmp_path / "app.py").write_text(APPLICATION)
    process = launch("-m", "gestalt.runner", "run", "app:main", "--log-format", "json")
    assert process.end() == 1
    lines = [json.loads(line) for line in process.errors.splitlines()]
    assert [line["logger"] for line in lines] == ["app", "gestalt.runner"]
    assert lines[0]["order"] == 7
    assert "ZeroDivisionError" in lines[1]["exception"]


def test_warnings_and_an_import_that_fails_are_json_too(launch, tmp_path):
    (tmp_path / "app.py").write_text(
        "import warnings\nwarnings.warn('look out', UserWarning)\nimport nowhere\n"
    )
    process = launch("-m", "gestalt.runner", "run", "app:main", "--log-format", "json")
    assert process.end() == 1
    warned, failed = [json.loads(line) for line in process.errors.splitlines()]
    assert warned["message"] == "UserWarning: look out"
    assert (warned["file"], warned["line"]) == (str(tmp_path / "app.py"), 2)
    assert failed["message"] == "the module 'app' cannot be imported"
    assert "ModuleNotFoundError: No module named 'nowhere'" in failed["exception"]
