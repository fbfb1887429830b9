"""Lines that repeat are bounded, and lines know their trace."""

import io
import logging

import pytest
from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext

from gestalt.core import LimitRepeats, TraceIds
from gestalt.core.log_filters import MOST_KINDS


class Log:
    """A logger of the test's own, and what it wrote."""

    def __init__(self, line: str = "%(message)s") -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logging.Formatter(line))
        self.logger = logging.Logger("app")  # noqa: LOG001 - no other test is to see it
        self.logger.addHandler(self.handler)

    @property
    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


@pytest.fixture
def log() -> Log:
    return Log()


def test_lines_that_repeat_are_left_out_and_counted_in_the_next_one(log: Log) -> None:
    now = 0.0
    limit = LimitRepeats(2, 10.0, clock=lambda: now)
    log.logger.addFilter(limit)
    for now in (0.0, 1.0, 2.0, 9.9, 10.0):
        log.logger.warning("the %s is full: %d", "disk", now)
    assert log.lines == [
        "the disk is full: 0",
        "the disk is full: 1",
        "the disk is full: 10 (and 2 more of the kind since the last line)",
    ]
    assert limit.left_out == 2


def test_lines_of_other_places_levels_and_messages_are_not_of_a_kind(log: Log) -> None:
    log.logger.addFilter(LimitRepeats(1, 60.0))
    for _ in range(3):
        log.logger.warning("one")
        log.logger.warning("two")
        log.logger.error("one")
        log.logger.error(LookupError("three"))
    assert log.lines == ["one", "two", "one", "three"]


def test_tracebacks_stay_with_the_lines_that_pass(log: Log) -> None:
    log.logger.addFilter(LimitRepeats(1, 60.0))
    for _ in range(2):
        try:
            raise ValueError("bad")
        except ValueError:
            log.logger.exception("it failed")
    assert log.lines[0] == "it failed"
    assert log.lines[-1] == "ValueError: bad"
    assert log.lines.count("it failed") == 1


def test_a_handler_may_have_it_for_the_lines_of_all_loggers(log: Log) -> None:
    log.handler.addFilter(LimitRepeats(1, 60.0))
    for name in ("one", "other"):
        for _ in range(2):
            log.handler.handle(logging.makeLogRecord({"name": name, "msg": name}))
    assert log.lines == ["one", "other"]


def test_it_remembers_so_many_kinds_and_no_more(log: Log) -> None:
    log.logger.addFilter(LimitRepeats(1, 60.0))
    for number in (*range(MOST_KINDS + 1), 0, MOST_KINDS):
        log.logger.warning(f"message {number}")
    # The first was forgotten for the last, and passes again.
    assert len(log.lines) == MOST_KINDS + 2
    assert log.lines[-1] == "message 0"


@pytest.mark.parametrize(("lines", "interval"), [(0, 1.0), (1, -1.0), (1, float("inf"))])
def test_limits_that_make_no_sense_are_refused(lines: int, interval: float) -> None:
    with pytest.raises(ValueError, match=r"lines|interval"):
        LimitRepeats(lines, interval)


def test_lines_know_the_trace_and_the_span_that_they_are_logged_in() -> None:
    log = Log("%(message)s %(trace_id)s-%(span_id)s")
    log.handler.addFilter(TraceIds())
    log.logger.warning("outside")
    with trace.use_span(NonRecordingSpan(SpanContext(0x12, 0x34, is_remote=True))):
        log.logger.warning("inside")
    assert log.lines == ["outside -", f"inside {0x12:032x}-{0x34:016x}"]
