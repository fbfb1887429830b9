"""Who waits for a turn of the event loop, and who leaves before it comes."""

import asyncio

from gestalt.net.pace import Pace


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_is_cancelled_while_it_waits_takes_nobodys_turn() -> None:
    pace = Pace(asyncio.get_running_loop())
    order: list[int] = []

    async def work(number: int) -> None:
        await pace.give_way()
        order.append(number)

    tasks = [asyncio.create_task(work(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await turns(10)
    assert order == [1, 3]
    assert [task.cancelled() for task in tasks] == [True, False, True, False]


async def test_who_is_cancelled_in_the_turn_that_is_its_own_leaves_it_to_the_next() -> None:
    loop = asyncio.get_running_loop()
    pace = Pace(loop)
    order: list[int] = []

    async def work(number: int) -> None:
        await pace.give_way()
        order.append(number)

    # Before the pace is asked for the next turn, so that this comes before it in that one.
    tasks: list[asyncio.Task[None]] = []
    loop.call_soon(lambda: loop.call_soon(lambda: tasks[0].cancel()))
    tasks += [asyncio.create_task(work(number)) for number in range(2)]
    await turns(10)
    assert order == [1]


async def test_newcomers_wait_for_a_turn_that_is_not_spent() -> None:
    pace = Pace(asyncio.get_running_loop())
    begun: list[int] = []

    async def come(number: int) -> None:
        await pace.unspent()
        begun.append(number)
        if number == 1:
            pace.spend()

    tasks = [asyncio.create_task(come(number)) for number in range(3)]
    pace.spend()
    await asyncio.sleep(0)
    assert begun == []
    tasks[0].cancel()
    await turns(10)
    assert begun == [1, 2]
