"""Delimited: lines of text, here of an instrument that answers to commands.

Try it by hand, too: give the server a port of its own and type into `nc 127.0.0.1 PORT`.
"""

import asyncio

from gestalt.codecs import Codec
from gestalt.net import Delimited, StreamClient, StreamMessage, StreamServer, Wire

WIRE = Wire(Delimited(b"\r\n", max_size=200), Codec("text"))
ANSWERS = {"*IDN?": "Example,Thermometer,1", "MEAS:TEMP?": "21.5"}


async def instrument(message: StreamMessage[str]) -> None:
    await message.reply(ANSWERS.get(message.body, "ERROR"))


async def main() -> None:
    async with (
        StreamServer("tcp://127.0.0.1:0", WIRE, on_message=instrument) as server,
        StreamClient(server.address, WIRE) as client,
    ):
        answers = aiter(client)
        for command in ("*IDN?", "MEAS:TEMP?", "MEAS:WIND?"):
            await client.send(command)
            print(command, (await anext(answers)).body)


if __name__ == "__main__":
    asyncio.run(main())
