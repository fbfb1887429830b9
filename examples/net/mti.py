"""Mti: several types of message on one connection, each with its own handler."""

import asyncio
from dataclasses import dataclass

from gestalt.codecs import Codec, MessageTypes
from gestalt.core import Handlers
from gestalt.net import Mti, StreamClient, StreamMessage, StreamServer, Wire

types = MessageTypes()
handlers = Handlers()


@types.add(1)
@dataclass
class Position:
    lat: float
    lon: float


@types.add(2)
@dataclass
class Text:
    text: str


WIRE = Wire(Mti(), Codec("json", types=types))


@handlers.on(Position)
async def antipode(message: StreamMessage[Position]) -> None:
    lat, lon = message.body.lat, message.body.lon
    await message.reply(Position(-lat, lon - 180 if lon > 0 else lon + 180))


@handlers.on(Text)
async def greet(message: StreamMessage[Text]) -> None:
    await message.reply(Text(f"hello, {message.body.text}"))


async def main() -> None:
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=handlers) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        replies = aiter(client)
        for message in (Position(-34.5, 138.5), Text("world")):
            await client.send(message)
            reply = await anext(replies)
            print(reply.type_id, reply.body)


if __name__ == "__main__":
    asyncio.run(main())
