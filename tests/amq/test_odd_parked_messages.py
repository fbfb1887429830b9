"""Parked messages that no subscription has parked: they are shown and sent back all the same."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aio_pika
import msgspec
import pytest

from gestalt.amq import BatchError, Bus, PublishError, connect
from gestalt.amq.__main__ import main


@pytest.fixture
async def channel(amqp_url: str) -> AsyncIterator[Any]:
    async with await aio_pika.connect(amqp_url) as connection:
        yield await connection.channel()


@pytest.fixture
async def bus(amqp_url: str) -> AsyncIterator[Bus]:
    async with connect(amqp_url) as bus:
        yield bus


async def park(channel: Any, queue: str, message: aio_pika.Message) -> None:
    parking = await channel.declare_queue(f"{queue}.parked", durable=True)
    await channel.default_exchange.publish(message, parking.name)


async def test_whatever_is_parked_can_be_shown(
    amqp_url: str, channel: Any, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("msgpack")

    async def command(action: str, *arguments: str) -> str:
        line = ["parked", action, unique, *arguments, "--url", amqp_url]
        assert await asyncio.to_thread(main, line) == 0
        return capsys.readouterr().out

    for body, headers in (
        (b"{broken \xff", {}),
        (msgspec.msgpack.encode({b"no text": 1, "x": b"\xff"}), {}),
        (b"\x01", {"x-gestalt-parked-at": 2**62}),
    ):
        kind = "application/json" if body.startswith(b"{") else "application/msgpack"
        message = aio_pika.Message(body, content_type=kind, type="Odd", headers=headers)
        await park(channel, unique, message)
    lines = (await command("list", "--codec", "msgpack")).splitlines()
    first, second, third = lines[0:3], lines[3:6], lines[6:9]
    assert first[0].startswith(f"1  -  (default) {unique}.parked  Odd  id ")
    assert first[2] == f"    {b'{broken ' + bytes([255])!r}"
    assert "no text" in second[2]
    assert (str(2**62) in third[0], third[2]) == (True, "    1")
    told = [json.loads(each) for each in (await command("list", "--json")).splitlines()]
    assert told[0]["body"] == "{broken \\xff"
    told = [
        json.loads(each)
        for each in (await command("list", "--json", "--codec", "msgpack")).splitlines()
    ]
    assert told[0]["undecodable"]
    assert told[0]["parked_at"] is None
    assert "no text" in told[1]["body"]


async def test_what_its_queue_does_not_take_stays_parked_and_all_else_is_sent_back(
    bus: Bus, channel: Any, unique: str
) -> None:
    arguments = {"x-max-length": 2, "x-overflow": "reject-publish"}
    queue = await channel.declare_queue(unique, arguments=arguments)
    for number in range(5):
        await park(channel, unique, aio_pika.Message(b"%d" % number))
    assert await bus.parked(unique).replay(1) == 1
    with pytest.raises(BatchError, match="3 messages could not be sent back") as caught:
        await bus.parked(unique).replay()
    assert [type(each).__name__ for each in caught.value.exceptions] == ["Rejected"] * 3
    found = [await queue.get(no_ack=True) for _ in range(2)]
    assert [message.body for message in found] == [b"0", b"1"]
    assert len(await bus.parked(unique).list()) == 3
    # As any group: a part of it is one, too.
    some, rest = caught.value.split(lambda error: error is caught.value.exceptions[0])
    assert isinstance(some, BatchError)
    assert isinstance(rest, BatchError)
    assert len(rest.exceptions) == 2
    assert all(isinstance(each, PublishError) for each in rest.exceptions)
