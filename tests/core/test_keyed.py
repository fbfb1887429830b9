"""Whatever the order of events, messages of one key are given out in order, one at a time."""

from collections import defaultdict, deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gestalt.core.keyed import KeyedQueue, Lane

Item = tuple[int, int]


# With names: older versions of Hypothesis look for the source of lambdas, again and again.


def something_is_ready(machine: "KeyedQueueMachine") -> bool:
    return machine.queue.ready


def something_is_taken(machine: "KeyedQueueMachine") -> bool:
    return bool(machine.taken)


def something_waits(machine: "KeyedQueueMachine") -> bool:
    return any(machine.waiting.values())


class KeyedQueueMachine(RuleBasedStateMachine):
    """Puts, takes, ends, puts back and removes in every order, beside a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: KeyedQueue[Item] = KeyedQueue()
        self.number = 0
        self.waiting: defaultdict[int, deque[Item]] = defaultdict(deque)
        self.lanes: dict[int, Lane[Item]] = {}
        self.taken: dict[int, tuple[Lane[Item], Item]] = {}
        self.passed: defaultdict[int, int] = defaultdict(int)

    @rule(key=st.integers(0, 4))
    def put(self, key: int) -> None:
        item = (key, self.number)
        self.number += 1
        self.lanes[key] = self.queue.put(key, item)
        self.waiting[key].append(item)

    @precondition(something_is_ready)
    @rule()
    def take(self) -> None:
        lane, item = self.queue.take()
        key = item[0]
        assert key not in self.taken
        assert self.waiting[key].popleft() == item
        self.taken[key] = lane, item
        self.passed[key] = 0
        for other, items in self.waiting.items():
            if items and other not in self.taken:
                self.passed[other] += 1

    @precondition(something_is_taken)
    @rule(data=st.data())
    def done(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        lane, _ = self.taken.pop(key)
        self.queue.done(lane)

    @precondition(something_is_taken)
    @rule(data=st.data())
    def put_back(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.taken)))
        lane, item = self.taken.pop(key)
        self.queue.put_back(lane, item)
        self.waiting[key].appendleft(item)

    @precondition(something_waits)
    @rule(data=st.data())
    def drop_first(self, data: st.DataObject) -> None:
        key = data.draw(
            st.sampled_from(sorted(key for key, items in self.waiting.items() if items))
        )
        assert self.queue.drop_first(self.lanes[key]) == self.waiting[key].popleft()

    @rule(divisor=st.integers(1, 3))
    def remove(self, divisor: int) -> None:
        removed = self.queue.remove(lambda item: item[1] % divisor == 0)
        expected = []
        for key, items in self.waiting.items():
            expected += [item for item in items if item[1] % divisor == 0]
            self.waiting[key] = deque(item for item in items if item[1] % divisor)
        assert sorted(removed) == sorted(expected)

    @invariant()
    def nothing_is_lost_and_nobody_starves(self) -> None:
        assert len(self.queue) == sum(map(len, self.waiting.values()))
        may_be_taken = any(self.waiting[key] and key not in self.taken for key in self.waiting)
        assert self.queue.ready == may_be_taken
        firsts = sorted(items[0] for items in self.waiting.values() if items)
        assert sorted(self.queue.firsts()) == firsts
        # Each of the other keys is served at most once before.
        assert max(self.passed.values(), default=0) <= 5

    def teardown(self) -> None:
        while self.taken or self.queue.ready:
            while self.queue.ready:
                self.take()
            for key in sorted(self.taken):
                self.queue.done(self.taken.pop(key)[0])
        assert len(self.queue) == 0
        assert not any(self.waiting.values())


TestKeyedQueue = KeyedQueueMachine.TestCase


def test_a_key_with_many_messages_does_not_keep_others_waiting() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    for number in range(100):
        queue.put("hot", number)
    queue.put("cold", 100)
    lane, _ = queue.take()
    queue.done(lane)
    assert queue.take()[1] == 100


def test_what_cannot_be_a_key_is_refused_and_changes_nothing() -> None:
    queue: KeyedQueue[int] = KeyedQueue()
    with pytest.raises(TypeError):
        queue.put([], 1)  # type: ignore[arg-type]
    assert len(queue) == 0
    assert not queue.ready
