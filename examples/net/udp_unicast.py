"""Positions sent as datagrams, each one acknowledged: typed messages over UDP."""

import asyncio
from dataclasses import dataclass

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Handlers
from gestalt.net import DatagramEndpoint, DatagramMessage, Mti, Wire

types = MessageTypes()
handlers = Handlers()
wire = Wire(Mti(), Codec("json", types=types))


@types.add(1)
@dataclass
class Position:
    lat: float
    lon: float


@types.add(2)
@dataclass
class Noted:
    place: str


@handlers.on(Position)
async def note(message: DatagramMessage[Position]) -> None:
    await message.reply(Noted(f"{message.body.lat}, {message.body.lon}"))


async def main() -> None:
    async with (
        DatagramEndpoint("udp://127.0.0.1:0", wire, on_message=handlers) as server,
        DatagramEndpoint(None, wire, peer=server.address) as client,
    ):
        await client.send(Position(-34.9, 138.6))
        # A datagram may be lost: never wait for one without a deadline.
        async with asyncio.timeout(5):
            answer = await anext(aiter(client))
        print(answer.body)
        print(f"received {server.stats.received}, dropped {server.stats.dropped}")


if __name__ == "__main__":
    asyncio.run(main())
