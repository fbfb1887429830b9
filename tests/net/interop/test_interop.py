"""Both ends of each framing that others have built, against these others on real sockets."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from gestalt.codecs import Codec
from gestalt.net import (
    Delimited,
    LengthPrefix,
    Mti,
    Netstring,
    Peer,
    StreamClient,
    StreamMessage,
    Wire,
)
from tests.net.fixtures import Serve, Within

# Around what lengths take in one, two or more bytes or digits, and what is read at once.
SIZES = (1, 2, 9, 10, 99, 100, 255, 256, 999, 1000, 9999, 10_000, 16_383, 65_000)


def bodies(*, text: bool = False, empty: bool = True) -> list[bytes]:
    """Many short messages, then longer ones; every byte value, but line ends in text."""
    every = bytes(set(range(256)) - set(b"\r\n")) if text else bytes(range(256))
    short = [b"%d" % number for number in range(500)]
    long = [(every * (size // len(every) + 1))[:size] for size in SIZES]
    return short + long + ([b""] if empty else [])


@dataclass(frozen=True)
class Case:
    """A protocol of another implementation, and what speaks it here."""

    implementation: str
    protocol: str
    wire: Wire
    bodies: list[Any]
    hello: Any = b"hello"
    typed: bool = False

    def type_id(self, number: int) -> int | None:
        """The type identifier of the message of this number: all four bytes matter."""
        return number * 0x01020304 % (1 << 32) if self.typed else None

    def __str__(self) -> str:
        return f"{self.implementation}-{self.protocol}"


CASES = [
    Case("twisted", "netstring", Wire(Netstring()), bodies()),
    Case("twisted", "int32", Wire(LengthPrefix(4)), bodies()),
    Case("twisted", "int16", Wire(LengthPrefix(2)), bodies()),
    Case("twisted", "line", Wire(Delimited(b"\r\n")), bodies(text=True)),
    Case("predecessor", "mti", Wire(Mti("little")), bodies(), typed=True),
    Case(
        "predecessor",
        "mti-json",
        Wire(Mti("little"), Codec("json")),
        [{"number": number, "text": "ünï", "list": [None, 1.5, True]} for number in range(100)],
        hello="hello",
        typed=True,
    ),
    # What it calls a netstring is a length prefix, and an empty one it refuses.
    Case("predecessor", "netstring", Wire(LengthPrefix(4, "little")), bodies(empty=False)),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_a_client_of_ours_exchanges_messages_with_their_server(
    case: Case, request: pytest.FixtureRequest, stack: AsyncExitStack, within: Within
) -> None:
    port = request.getfixturevalue(case.implementation).ports[case.protocol]
    client = StreamClient(f"tcp://127.0.0.1:{port}", case.wire)
    await stack.enter_async_context(client)
    received: list[tuple[Any, int | None]] = []

    async def receive() -> None:
        async for message in client:
            received.append((message.body, message.type_id))
            if len(received) == len(case.bodies):
                return

    receiving = asyncio.create_task(receive())
    for number, body in enumerate(case.bodies):
        await within(client.send(body, case.type_id(number)))
    await within(receiving)
    assert received == [(body, case.type_id(n)) for n, body in enumerate(case.bodies)]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_their_client_exchanges_messages_with_a_server_of_ours(
    case: Case, request: pytest.FixtureRequest, serve: Serve, within: Within
) -> None:
    received: list[tuple[Any, int | None]] = []
    complete = asyncio.Event()

    def note(message: StreamMessage[Any]) -> None:
        received.append((message.body, message.type_id))
        if len(received) == len(case.bodies) + 1:
            complete.set()

    async def send(peer: Peer) -> None:
        for number, body in enumerate(case.bodies):
            await peer.send(body, case.type_id(number))

    server = await serve(note, wire=case.wire, on_connected=send)
    request.getfixturevalue(case.implementation).connect(case.protocol, server.address.port)
    await within(complete.wait())
    assert received[0] == (case.hello, 9 if case.typed else None)
    assert received[1:] == [(body, case.type_id(n)) for n, body in enumerate(case.bodies)]
    assert server.stats.faults == 0
