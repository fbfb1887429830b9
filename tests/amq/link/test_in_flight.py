"""What is in flight is ended at its deadline, and waited for by a drain."""

import asyncio
from typing import Any

import pytest

from gestalt.amq.link.in_flight import InFlight


class Ended(list[asyncio.Future[Any]]):
    """Those whose deadline has passed, in their order."""

    def __call__(self, answer: asyncio.Future[Any]) -> None:
        self.append(answer)
        answer.set_exception(TimeoutError())


async def test_each_is_ended_at_its_own_deadline_by_one_timer() -> None:
    loop = asyncio.get_running_loop()
    ended = Ended()
    in_flight = InFlight(ended)
    late, soon, next_one = (loop.create_future() for _ in range(3))
    in_flight.add(late, loop.time() + 60)
    in_flight.add(soon, loop.time() + 0.01)
    in_flight.add(next_one, loop.time() + 0.02)
    for answer in (soon, next_one):
        with pytest.raises(TimeoutError):
            await answer
    assert ended == [soon, next_one]
    assert not late.done()
    in_flight.stop()


async def test_what_is_answered_is_not_ended() -> None:
    loop = asyncio.get_running_loop()
    ended = Ended()
    in_flight = InFlight(ended)
    answered, other = loop.create_future(), loop.create_future()
    in_flight.add(answered, loop.time() + 0.01)
    in_flight.add(other, loop.time() + 0.02)
    answered.set_result(None)
    with pytest.raises(TimeoutError):
        await other
    assert ended == [other]


async def test_a_drain_waits_until_all_are_answered() -> None:
    loop = asyncio.get_running_loop()
    in_flight = InFlight(Ended())
    first, second = loop.create_future(), loop.create_future()
    for answer in (first, second):
        in_flight.add(answer, loop.time() + 60)
    draining = asyncio.create_task(in_flight.drain())
    await asyncio.sleep(0)
    assert in_flight.remove(first)
    await asyncio.sleep(0)
    assert not draining.done()
    assert in_flight.remove(second)
    await draining
    assert in_flight.empty_since > 0
    in_flight.stop()


async def test_what_is_of_an_earlier_start_is_not_counted() -> None:
    loop = asyncio.get_running_loop()
    in_flight = InFlight(Ended())
    former = loop.create_future()
    in_flight.add(former, loop.time() + 60)
    in_flight.stop()
    in_flight.start()
    assert not in_flight.deadlines
    assert not in_flight.remove(former)
    await in_flight.drain()
