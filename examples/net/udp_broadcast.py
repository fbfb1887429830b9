"""Ask all hosts of the local network who is there, and take their answers."""

import asyncio

from gestalt.net import DatagramEndpoint, DatagramMessage, DatagramOptions, Raw, Wire

wire = Wire(Raw())


async def here(message: DatagramMessage[bytes]) -> None:
    await message.reply(b"here")


async def main() -> None:
    allowed = DatagramOptions(broadcast=True)
    # On a network of your own: "udp://0.0.0.0:9000" and "udp://255.255.255.255:9000".
    async with DatagramEndpoint("udp://0.0.0.0:0", wire, on_message=here) as server:
        everybody = f"udp://127.255.255.255:{server.address.port}"
        async with DatagramEndpoint(None, wire, peer=everybody, options=allowed) as client:
            await client.send(b"anybody?")
            try:
                async with asyncio.timeout(0.5):
                    async for message in client:
                        print(message.body.decode(), "from", message.source.host)
            except TimeoutError:
                print("that was all")


if __name__ == "__main__":
    asyncio.run(main())
