"""The arithmetic of delays, and the topology that it needs: without a broker."""

import datetime
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gestalt.amq import Exchange, Plan, PlannedBinding, Unsendable, UnsendableType
from gestalt.amq.pubsub.delays import (
    DUE,
    LEVELS,
    LONGEST,
    OUT,
    SINK,
    UNROUTABLE,
    Destination,
    Level,
    entry,
    ladder,
    path,
    time_left,
    travel_headers,
)

YEAR = 365 * 86400.0
TELEMETRY = Destination(Exchange("telemetry"))

seconds = st.one_of(
    st.floats(0, 2, allow_subnormal=False),
    st.floats(0, LONGEST, allow_subnormal=False),
    st.integers(0, int(LONGEST)).map(float),
)


def _wanted(binding: PlannedBinding) -> dict[str, Any]:
    return {key: value for key, value in binding.arguments.items() if key != "x-match"}


class SimulatedBroker:
    """Follows a message over exchanges of headers, alternate exchanges and queues."""

    def __init__(self, *topologies: Plan) -> None:
        self.exchanges = {each.name: each for one in topologies for each in one.exchanges}
        self.queues = {each.name: each.arguments for one in topologies for each in one.queues}
        self.bindings = [each for one in topologies for each in one.bindings]

    def route(self, name: str, headers: Mapping[str, Any]) -> set[str]:
        """The queues, or foreign exchanges, that a message gets to."""
        if not name.startswith("gestalt."):
            return {name}
        found = [
            each
            for each in self.bindings
            if each.source == name and _wanted(each).items() <= headers.items()
        ]
        if not found:
            alternate = self.exchanges[name].arguments.get("alternate-exchange")
            return self.route(alternate, headers) if alternate is not None else set()
        return {
            end
            for each in found
            for end in (
                self.route(each.destination, headers) if each.to_exchange else {each.destination}
            )
        }

    def journey(self, start: str, headers: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
        """The queues that a message is in, each with its wait, until it is where it belongs."""
        places = self.route(start, headers)
        while True:
            (queue,) = places - {SINK}
            if queue not in self.queues or "x-dead-letter-exchange" not in self.queues[queue]:
                yield queue, 0
                return
            yield queue, self.queues[queue]["x-message-ttl"]
            places = self.route(self.queues[queue]["x-dead-letter-exchange"], headers)


@given(seconds)
@example(0.01)
@example(0.07)
@example(59.99)
@example(60.0)
@example(YEAR)
@example(LONGEST)
def test_the_waits_add_up_to_the_delay_and_never_to_less(delay: float) -> None:
    waits = sum(level.milliseconds for level in path(delay)) / 1000
    assert delay - 0.000_001 <= waits
    assert waits < delay + (0.010_001 if delay < 60 else 1.001)


@given(seconds)
def test_the_broker_leads_a_message_through_its_levels_and_on_to_its_exchange(delay: float) -> None:
    levels = path(delay)
    headers = travel_headers({"x-own": 1}, levels, TELEMETRY)
    broker = SimulatedBroker(ladder(), TELEMETRY.plan)
    journey = list(broker.journey(entry(levels), headers))
    assert [name for name, _ in journey] == [
        *(level.name for level in levels),
        f"gestalt.delay.{TELEMETRY.name}",
        "telemetry",
    ]
    assert sum(wait for _, wait in journey) == sum(level.milliseconds for level in levels)


def test_a_message_is_in_no_queue_twice() -> None:
    levels = path(LONGEST)
    assert len(set(levels)) == len(levels)
    assert list(levels) == sorted(levels, key=lambda level: level.number, reverse=True)


def test_every_wait_can_be_set_as_a_timer_of_the_broker() -> None:
    assert max(level.milliseconds for level in LEVELS) < 2**32
    assert sum(level.milliseconds for level in LEVELS) >= LONGEST * 1000


def test_the_queues_are_as_many_for_any_delays() -> None:
    assert len(LEVELS) == 36
    plan = ladder()
    assert len(plan.queues) == len(LEVELS) + 2
    assert len(plan.exchanges) == len(LEVELS) + 3
    every = {level for delay in range(0, int(LONGEST), 86_399) for level in path(delay)}
    assert every <= set(LEVELS)


def test_nothing_is_lost_between_two_levels() -> None:
    for queue in (*ladder().queues, *TELEMETRY.plan.queues):
        assert queue.arguments["x-queue-type"] == "quorum"
        if "x-dead-letter-exchange" in queue.arguments:
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"
            assert queue.arguments["x-overflow"] == "reject-publish"


def test_a_message_whose_destination_is_unknown_is_kept() -> None:
    headers = travel_headers({}, (), Destination(Exchange("gone")))
    broker = SimulatedBroker(ladder(), TELEMETRY.plan)
    assert [name for name, _ in broker.journey(DUE, headers)] == [UNROUTABLE]


def test_a_message_whose_exchange_was_deleted_is_kept() -> None:
    # Its bindings vanish with an exchange.
    plan = TELEMETRY.plan
    without = Plan(
        plan.exchanges,
        plan.queues,
        tuple(each for each in plan.bindings if each.destination != "telemetry"),
    )
    broker = SimulatedBroker(ladder(), without)
    headers = travel_headers({}, (), TELEMETRY)
    assert broker.route(OUT, headers) == {UNROUTABLE, SINK}


def test_a_message_of_the_default_exchange_goes_to_its_queue() -> None:
    tracker = Destination(Exchange(""), "tracker")
    broker = SimulatedBroker(ladder(), tracker.plan)
    journey = list(broker.journey(DUE, travel_headers({}, (), tracker)))
    assert journey == [("gestalt.delay.queue.tracker", 0), ("", 0)]


def test_destinations_with_long_names_are_told_apart() -> None:
    names = {
        Destination(Exchange("x" * 255)).name,
        Destination(Exchange("x" * 254)).name,
        Destination(Exchange(""), "x" * 255).name,
        Destination(Exchange("x")).name,
    }
    assert len(names) == 4
    assert all(len(f"gestalt.delay.{name}".encode()) <= 255 for name in names)


def test_the_headers_of_an_earlier_journey_are_left_out() -> None:
    first = travel_headers({"mine": 1}, path(YEAR), TELEMETRY)
    again = travel_headers(
        {**first, "x-death": [{"queue": "gestalt.delay.00"}], "x-first-death-queue": "a"},
        path(0.01),
        TELEMETRY,
    )
    assert again == travel_headers({"mine": 1}, path(0.01), TELEMETRY)


def test_a_bcc_is_refused_because_the_broker_forgets_it() -> None:
    with pytest.raises(Unsendable, match="BCC"):
        travel_headers({"BCC": ["other"]}, (), TELEMETRY)


def test_levels_are_declared_after_what_they_lead_to() -> None:
    names = [each.name for each in ladder().exchanges]
    for above, below in itertools.pairwise(reversed(LEVELS)):
        assert names.index(below.name) < names.index(above.name)
    assert names.index(UNROUTABLE) < names.index(DUE) < names.index(LEVELS[0].name)


def test_each_level_has_names_of_its_own() -> None:
    level = Level(7, 1000)
    assert (level.name, level.header) == ("gestalt.delay.07", "gestalt-delay-07")
    assert len({each.name for each in LEVELS}) == len({each.header for each in LEVELS}) == 36


@pytest.mark.parametrize("delay", [2, 2.0, datetime.timedelta(seconds=2)])
def test_a_delay_is_counted_from_when_it_is_given(delay: float | datetime.timedelta) -> None:
    left = time_left(delay, None)
    assert 1.9 < left() <= 2.0


def test_a_time_is_of_any_zone() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=9, minutes=30))
    left = time_left(None, datetime.datetime.now(zone) + datetime.timedelta(days=365))
    assert YEAR - 1 < left() <= YEAR


class NoOffset(datetime.tzinfo):
    def utcoffset(self, _: datetime.datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("delay", "at", "says"),
    [
        (-1, None, "at least 0"),
        (float("nan"), None, "at least 0"),
        (float("inf"), None, "at most 366 days"),
        (LONGEST + 1, None, "at most 366 days"),
        (True, None, "number of seconds"),
        ("5", None, "number of seconds"),
        (None, datetime.datetime(2030, 1, 1), "time zone"),
        (None, datetime.datetime(2030, 1, 1, tzinfo=NoOffset()), "time zone"),
        (None, 1_900_000_000, "time zone"),
        (None, datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC), "at most 366 days"),
        (1.0, datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC), "not both"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(delay: Any, at: Any, says: str) -> None:
    with pytest.raises(Unsendable, match=says):
        time_left(delay, at)
    if says in ("number of seconds", "time zone"):
        with pytest.raises(UnsendableType):
            time_left(delay, at)
