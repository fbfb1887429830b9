"""`sys.exit` within what an application gave an endpoint ends the program, as anywhere else."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gestalt.net import DatagramEndpoint, Delimited, Raw, StreamClient, StreamServer, Wire
from tests.net.fixtures import DEADLINE

STATUS = 7
noted: list[Any] = []
LINES = Wire(Delimited())
RAW = Wire(Raw())


def leave(*_: Any) -> None:
    sys.exit(STATUS)


async def leave_at_once(*_: Any) -> None:
    sys.exit(STATUS)


async def leave_later(*_: Any) -> None:
    await asyncio.sleep(0)
    sys.exit(STATUS)


async def leave_at_the_second(message: Any) -> None:
    """Leave a worker behind by the first one, which handles what comes later."""
    await asyncio.sleep(0)
    noted.append(message)
    if b"second" in getattr(message, "bodies", [getattr(message, "body", None)]):
        sys.exit(STATUS)


def fail(*_: Any) -> None:
    raise ValueError("an error to tell")


async def exchange(sender: StreamClient | DatagramEndpoint) -> None:
    """Send a message, and another one, which is handled where the first has not ended all."""
    await sender.send(b"first")
    async with asyncio.timeout(DEADLINE):
        while not noted:
            await asyncio.sleep(0.001)
    await sender.send(b"second")
    await asyncio.sleep(DEADLINE)


async def over_stream(**options: Any) -> None:
    async with (
        StreamServer("tcp://127.0.0.1:0", LINES, **options) as server,
        StreamClient(server.address, LINES) as client,
    ):
        await exchange(client)


async def over_datagrams(**options: Any) -> None:
    async with (
        DatagramEndpoint("udp://127.0.0.1:0", RAW, **options) as receiver,
        DatagramEndpoint(None, RAW, peer=receiver.address) as sender,
    ):
        await exchange(sender)


def nothing(*_: Any) -> None:
    """Handle a message."""


HANDLERS: list[dict[str, Any]] = [
    *({way: leaves} for way in ("on_message", "on_messages") for leaves in (leave, leave_later)),
    {"on_message": leave_at_the_second},
    {"on_messages": leave_at_the_second},
    {"on_message": leave, "concurrency": 2, "key": type},
    {"on_message": leave_at_once, "concurrency": 2, "key": type},
    {"on_message": nothing, "concurrency": 2, "key": leave},
    {"on_message": fail, "on_error": leave},
]
CALLBACKS: list[dict[str, Any]] = [
    {"on_message": nothing, "on_connected": leaves} for leaves in (leave, leave_later)
]


@pytest.mark.parametrize(
    ("way", "options"),
    [
        *((over_stream, options) for options in HANDLERS + CALLBACKS),
        *((over_datagrams, options) for options in HANDLERS),
    ],
)
def test_sys_exit_in_a_handler_ends_the_program(
    way: Callable[..., Awaitable[None]], options: dict[str, Any]
) -> None:
    noted.clear()
    with pytest.raises(SystemExit) as ended:
        asyncio.run(way(**options))
    assert ended.value.code == STATUS
