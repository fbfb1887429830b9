"""What is sent in a turn leaves with its end, in one write."""

import asyncio
from typing import Any, cast

import pytest

from gestalt.amq.link.output import Output


class Written:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)


def make_output() -> tuple[Output, list[bytes]]:
    output, written = Output("a connection", lambda _: None), Written()
    output.open(cast(asyncio.Transport, written))
    return output, written.writes


async def test_a_read_ends_with_one_write_of_all_that_was_sent_in_it() -> None:
    output, writes = make_output()
    output.begin_read()
    output.write([b"a"], 1)
    output.before_flush(lambda: output.write([b"b"], 1))
    output.before_flush(lambda: output.before_flush(lambda: output.write([b"c"], 1)))
    assert writes == []
    output.end_turn()
    assert writes == [b"abc"]


async def test_outside_of_a_read_the_next_turn_ends_it() -> None:
    output, writes = make_output()
    output.before_flush(lambda: output.write([b"b"], 1))
    output.write([b"a"], 1)
    await asyncio.sleep(0)
    assert writes == [b"ab"]
    output.write([b"c"], 1)
    await asyncio.sleep(0)
    assert writes == [b"ab", b"c"]


async def test_what_a_task_sends_before_the_end_of_the_next_turn_leaves_with_it() -> None:
    output, writes = make_output()

    async def reply() -> None:
        output.write([b"b"], 1)

    output.begin_read()
    output.write([b"a"], 1)
    task = asyncio.create_task(reply())
    output.in_next_turn(lambda: output.write([b"c"], 1))
    output.end_turn()
    await asyncio.sleep(0)
    assert writes == [b"a", b"bc"]
    await task


async def test_an_error_at_the_end_of_a_turn_is_told_and_keeps_nothing_back() -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    output, writes = make_output()

    def fail() -> None:
        raise ValueError("bad")

    output.begin_read()
    output.before_flush(fail)
    output.before_flush(lambda: output.write([b"a"], 1))
    output.end_turn()
    assert writes == [b"a"]
    assert [str(each["exception"]) for each in told] == ["bad"]
    output.write([b"b"], 1)
    await asyncio.sleep(0)
    assert writes == [b"a", b"b"]


async def test_what_ends_the_event_loop_keeps_nothing_back_where_that_goes_on() -> None:
    output, writes = make_output()

    def end() -> None:
        raise SystemExit

    output.begin_read()
    output.write([b"a"], 1)
    output.before_flush(end)
    with pytest.raises(SystemExit):
        output.end_turn()
    assert writes == [b"a"]
    output.begin_read()
    output.before_flush(end)
    output.before_flush(lambda: output.write([b"b"], 1))
    with pytest.raises(SystemExit):
        output.end_turn()
    await asyncio.sleep(0)
    assert writes == [b"a", b"b"]
