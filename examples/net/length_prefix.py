"""LengthPrefix: a single type of message, compressed where that makes it smaller."""

import asyncio
from dataclasses import dataclass

from gestalt.codecs import Codec, MessageTypes
from gestalt.net import LengthPrefix, StreamClient, StreamMessage, StreamServer, Wire

types = MessageTypes()


@types.add(1)
@dataclass
class Reading:
    sensor: str
    values: list[float]


WIRE = Wire(LengthPrefix(2), Codec("json", compress="deflate", types=types))


async def smooth(message: StreamMessage[Reading]) -> None:
    values = message.body.values
    await message.reply(Reading(message.body.sensor, [sum(values) / len(values)]))


async def main() -> None:
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=smooth) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        await client.send(Reading("roof", [20.0, 21.0] * 500))
        print((await anext(aiter(client))).body)


if __name__ == "__main__":
    asyncio.run(main())
