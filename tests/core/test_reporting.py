import logging

import pytest

from gestalt.core import Reports

logger = logging.getLogger("tests.reports")


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def reports(time: Time) -> Reports:
    return Reports(logger, clock=time)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_error_is_logged_with_its_traceback(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    error = ValueError("odd")
    reports.log("a message failed", error)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.name == "tests.reports"
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_flood_is_logged_five_times_a_second_and_counted_whole(
    reports: Reports, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1000):
        reports.log(f"no. {number}", ValueError())
    assert lines(caplog) == [f"no. {number}" for number in range(5)]
    time.now = 1.0
    reports.log("later", ValueError())
    assert lines(caplog)[5:] == ["later (and 995 more of the kind since the last line)"]
    assert reports.count == 1001


def test_what_was_left_out_at_the_end_is_told_by_flush_and_once(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8):
        reports.log(f"no. {number}", ValueError(), level=logging.WARNING)
    reports.flush()
    reports.flush()
    assert lines(caplog)[5:] == ["no. 7 (the last of 3 that were left out)"]
    assert caplog.records[-1].levelno == logging.WARNING


def test_one_kind_of_error_does_not_hide_another(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(100):
        reports.log("flood", ValueError())
    reports.log("rare", KeyError())
    assert lines(caplog)[-1] == "rare"


def test_a_wrapped_error_is_of_the_kind_of_its_cause(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    def wrapped(cause: Exception) -> Exception:
        error = RuntimeError("wrapped")
        error.__cause__ = cause
        return error

    for _ in range(100):
        reports.log("flood", wrapped(ValueError()))
    reports.log("rare", wrapped(KeyError()))
    assert lines(caplog)[-1] == "rare"


def test_causes_without_number_share_one_bound(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        reports.log("flood", cause=number)
    assert len(caplog.records) < 100


def test_braces_and_percent_signs_of_a_message_stay_as_they_are(
    reports: Reports, caplog: pytest.LogCaptureFixture
) -> None:
    reports.log("%s 100 % {x}", ValueError())
    assert lines(caplog) == ["%s 100 % {x}"]
