"""Send to a multicast group; whoever has joined it receives."""

import asyncio

from gestalt.net import DatagramEndpoint, DatagramOptions, Raw, Wire

GROUP = "239.42.42.42"
wire = Wire(Raw())


async def main() -> None:
    # The interface is left out, or named "eth0" or the like, to reach other hosts.
    options = DatagramOptions(multicast_interface="lo", multicast_ttl=1, reuse_address=True)
    async with DatagramEndpoint("udp://0.0.0.0:0", wire, groups=[GROUP], options=options) as member:
        group = f"udp://{GROUP}:{member.address.port}"
        async with DatagramEndpoint(None, wire, peer=group, options=options) as sender:
            await sender.send(b"to all members")
            async with asyncio.timeout(5):
                message = await anext(aiter(member))
            print(message.body.decode())


if __name__ == "__main__":
    asyncio.run(main())
