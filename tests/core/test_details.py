"""What components tell of themselves to those who look into the process."""

import itertools
import logging
from collections.abc import Iterable

import pytest

from gestalt.core import Component, ManualClock, Timer
from gestalt.core.details import PeerRow, QueueRow, Row, TimerRow, details, read


class Part(Component):
    async def _open(self) -> None: ...

    async def _close(self) -> None: ...


class Shop(Part):
    @details
    def _rows(self) -> Iterable[Row]:
        yield PeerRow("10.0.0.1", received=3)


class Bakery(Shop):
    @details
    def _rows(self) -> Iterable[Row]:
        for number in itertools.count():
            yield QueueRow(f"oven {number}", waiting=number)


def test_a_subclass_tells_more_and_takes_nothing_away() -> None:
    assert read(Bakery(), most=2) == [
        PeerRow("10.0.0.1", received=3),
        QueueRow("oven 0", waiting=0),
        QueueRow("oven 1", waiting=1),
    ]


def test_of_a_generator_without_end_no_more_is_read_than_is_asked_for() -> None:
    assert len(read(Bakery(), most=7)) == 8
    assert len(read(Bakery())) == 201


def test_a_component_that_tells_nothing_has_no_rows() -> None:
    assert read(Part()) == []


def test_a_method_that_raises_is_told_of_in_the_log_and_the_others_are_read(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Shop):
        @details
        def _worse(self) -> Iterable[Row]:
            raise RuntimeError("on fire")

    with caplog.at_level(logging.ERROR, "gestalt.core"):
        assert read(Broken()) == [PeerRow("10.0.0.1", received=3)]
    assert "a component of type Broken: its details cannot be read" in caplog.text
    assert "on fire" in caplog.text


async def test_a_timer_tells_when_it_is_due() -> None:
    clock = ManualClock()
    timer = Timer.every(5.0, print, name="sampling", clock=clock)
    async with timer:
        clock.advance(2.0)
        assert read(timer) == [TimerRow("sampling", "every 5 s", due=3.0)]
        timer.pause()
        assert read(timer) == [TimerRow("sampling", "every 5 s", note="paused")]
    once = Timer.after(5.0, print, name="once", clock=clock)
    async with once:
        assert read(once) == [TimerRow("once", "after 5 s", due=5.0)]


async def test_a_timer_by_the_calendar_tells_its_expression_and_when_it_is_due() -> None:
    pytest.importorskip("cronsim")
    # Half a minute before midnight.
    timer = Timer.cron("0 0 * * *", print, name="nightly", zone="UTC", now=lambda: 86_370.0)
    async with timer:
        assert read(timer) == [TimerRow("nightly", "0 0 * * * UTC", due=30.0)]
