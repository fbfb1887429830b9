import asyncio
from collections.abc import Callable
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gestalt.amq.link.acks import Acks
from gestalt.amq.link.interface import Channel


class Recorder:
    """A channel that acknowledges as a broker does, and refuses what a broker would refuse."""

    def __init__(self, delivered: int) -> None:
        self.open = set(range(1, delivered + 1))
        self.frames = 0

    def before_flush(self, callback: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(callback)

    def ack(self, tag: int, *, multiple: bool = False) -> None:
        self.frames += 1
        assert tag in self.open, f"{tag} is unknown: RabbitMQ would close the channel"
        self.open -= {each for each in self.open if each <= tag} if multiple else {tag}

    def nack(self, tag: int) -> None:
        assert tag in self.open
        self.open.discard(tag)


@pytest.mark.parametrize("most", [1000, 2, 0])
@given(st.permutations(range(1, 21)), st.sets(st.integers(1, 20)), st.data())
def test_whatever_the_order_exactly_what_was_settled_is_acknowledged(
    most: int, order: list[int], given_back: set[int], data: st.DataObject
) -> None:
    async def run() -> None:
        recorder = Recorder(20)
        acks = Acks(cast(Channel, recorder), most_ahead=most)
        settled: set[int] = set()
        for tag in order:
            (acks.nack if tag in given_back else acks.ack)(tag)
            settled.add(tag)
            if data.draw(st.booleans()):
                acks.flush()
                assert recorder.open == set(range(1, 21)) - settled
        acks.flush()
        assert recorder.open == set()

    asyncio.run(run())


async def test_those_of_one_turn_go_in_one_frame() -> None:
    recorder = Recorder(100)
    acks = Acks(cast(Channel, recorder))
    for tag in range(1, 101):
        acks.ack(tag)
    await asyncio.sleep(0)
    assert recorder.open == set()
    assert recorder.frames == 1


def test_one_that_takes_for_ever_does_not_make_what_is_settled_after_it_add_up() -> None:
    async def run() -> None:
        recorder = Recorder(10_000)
        acks = Acks(cast(Channel, recorder), most_ahead=10)
        for tag in range(2, 10_001):
            acks.ack(tag)
            acks.flush()
            assert acks.remembered < 20
        assert recorder.open == {1}
        acks.ack(1)
        acks.flush()
        assert recorder.open == set()

    asyncio.run(run())
