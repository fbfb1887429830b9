"""The parts of the model against plain reference implementations."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gestalt.amq.embedded.model.headers import headers_match
from gestalt.amq.embedded.model.message import Entry, Message
from gestalt.amq.embedded.model.ready import ReadyMessages
from gestalt.amq.embedded.model.schedule import Schedule
from gestalt.amq.embedded.model.topics import TopicPatterns
from gestalt.amq.wire import Properties, content_header

words = st.sampled_from(["a", "b", "", "*", "#"])
keys = st.lists(st.sampled_from(["a", "b", ""]), max_size=5).map(".".join)
patterns = st.lists(words, max_size=5).map(".".join)


def matches(pattern: str, key: str) -> bool:
    """The words of a key against those of a pattern, by trying everything."""

    def tail(wanted, given):
        if not wanted:
            return not given
        if wanted[0] == "#":
            return any(tail(wanted[1:], given[skip:]) for skip in range(len(given) + 1))
        return bool(given) and wanted[0] in ("*", given[0]) and tail(wanted[1:], given[1:])

    def split(text):
        return text.split(".") if text else []

    return tail(split(pattern), split(key))


@given(st.lists(patterns, max_size=8), st.lists(patterns, max_size=8), keys)
def test_topics_match_as_a_plain_reading_of_the_rules_does(kept, removed, key):
    topics: TopicPatterns[tuple[int, str]] = TopicPatterns()
    for number, pattern in enumerate(removed):
        topics.add(pattern, (-1 - number, pattern))
    for number, pattern in enumerate(kept):
        topics.add(pattern, (number, pattern))
    for number, pattern in enumerate(removed):
        topics.remove(pattern, (-1 - number, pattern))
    found = set(topics.match(key))
    assert found == {item for item in enumerate(kept) if matches(item[1], key)}


def test_a_pattern_of_many_hashes_takes_no_longer_than_its_size():
    topics: TopicPatterns[str] = TopicPatterns()
    topics.add(".".join(["#", "a"] * 60), "x")
    assert topics.match(".".join(["a"] * 250)) == ["x"]
    assert topics.match(".".join(["a"] * 249 + ["b"])) == []


@pytest.mark.parametrize(
    ("arguments", "headers", "expected"),
    [
        ({}, {}, True),
        ({"x-match": "any"}, {"a": 1}, False),
        ({"a": 1}, {"a": 1, "b": 2}, True),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": 2}, {"a": 1}, True),
        ({"a": None}, {"a": "whatever"}, True),
        ({"a": None}, {}, False),
        ({"x-a": 1}, {}, True),
        ({"x-match": "all-with-x", "x-a": 1}, {}, False),
        ({"x-match": "any-with-x", "x-a": 1}, {"x-a": 1}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": "1"}, {"a": 1}, False),
    ],
)
def test_headers_match(arguments, headers, expected):
    assert headers_match(arguments, headers) is expected


def entry(position: int, priority: int) -> Entry:
    properties = Properties(priority=priority)
    message = Message("", ("key",), content_header(properties, 0), b"", properties)
    return Entry(message, position, None)


# Not lambdas, whose source older versions of hypothesis look up and parse at every step.
def has_ready(machine: "ReadyMachine") -> bool:
    return bool(machine.expected)


def has_taken(machine: "ReadyMachine") -> bool:
    return bool(machine.taken)


class ReadyMachine(RuleBasedStateMachine):
    """Random use of the ready messages, against a sorted list."""

    def __init__(self):
        super().__init__()
        self.ready = ReadyMessages(lambda message: min(message.priority or 0, 2))
        self.expected = []
        self.taken = []
        self.position = 0

    @rule(priority=st.integers(0, 4))
    def append(self, priority):
        self.position += 1
        new = entry(self.position, priority)
        self.ready.append(new)
        self.expected.append(new)

    @precondition(has_ready)
    @rule()
    def take(self):
        first = self.expected.pop(0)
        assert self.ready.first() is first
        assert self.ready.take() is first
        self.taken.append(first)

    @precondition(has_taken)
    @rule(data=st.data())
    def put_back(self, data):
        back = self.taken.pop(data.draw(st.integers(0, len(self.taken) - 1)))
        self.ready.put_back(back)
        self.expected.append(back)

    @invariant()
    def is_ordered_by_priority_then_position(self):
        self.expected.sort(key=lambda item: (-min(item.message.priority, 2), item.position))
        assert list(self.ready) == self.expected
        assert len(self.ready) == len(self.expected)


TestReady = ReadyMachine.TestCase


def test_a_schedule_makes_the_calls_that_are_due_in_order():
    now, calls = [0.0], []
    schedule = Schedule(lambda: now[0])
    schedule.call_at(2, lambda: calls.append("late"))
    schedule.call_at(1, lambda: calls.append("first"))
    schedule.call_at(1, lambda: calls.append("second"))
    assert schedule.next_due == 1
    now[0] = 1.5
    schedule.run_due()
    assert calls == ["first", "second"]
    assert schedule.next_due == 2


def test_a_call_that_schedules_itself_for_now_does_not_run_for_ever():
    schedule = Schedule(lambda: 0.0)
    calls = []

    def again():
        calls.append(1)
        schedule.call_at(0, again)

    schedule.call_at(0, again)
    schedule.run_due()
    assert len(calls) == 1
