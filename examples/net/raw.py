"""Raw: bytes as they come, here through a server that turns them into capitals.

A message is what one read brought, so its borders mean nothing: the client counts bytes.
"""

import asyncio

from gestalt.net import Raw, StreamClient, StreamMessage, StreamServer, Wire

WIRE = Wire(Raw())


async def capitals(message: StreamMessage[bytes]) -> None:
    await message.reply(message.body.upper())


async def main() -> None:
    text = b"bytes in order, without borders"
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=capitals) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        await client.send(text[:9])
        await client.send(text[9:])
        received = b""
        async for message in client:
            received += message.body
            if len(received) == len(text):
                break
    print(received.decode())


if __name__ == "__main__":
    asyncio.run(main())
