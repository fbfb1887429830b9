"""Netstring: payloads of any bytes, here JSON, for programs in any language."""

import asyncio

from gestalt.codecs import Codec
from gestalt.net import Netstring, StreamClient, StreamMessage, StreamServer, Wire

WIRE = Wire(Netstring(max_size=10_000), Codec("json"))


async def add(message: StreamMessage[list[int]]) -> None:
    await message.reply({"sum": sum(message.body)})


async def main() -> None:
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=add) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        await client.send([1, 2, 39])
        print((await anext(aiter(client))).body)


if __name__ == "__main__":
    asyncio.run(main())
