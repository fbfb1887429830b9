"""Functions around handlers see the messages of streams and of datagrams."""

import asyncio
from typing import Any

import pytest

from gestalt.core import Call, Handlers, Message
from gestalt.net import DatagramEndpoint, Mti, StreamClient, Wire
from tests.net.fixtures import Serve, Within


@pytest.mark.parametrize("transport", ["stream", "datagram"])
async def test_they_see_every_message_in_order_and_what_its_handler_raises(
    transport: str, serve: Serve, within: Within
) -> None:
    handlers = Handlers()
    seen: asyncio.Queue[Any] = asyncio.Queue()

    @handlers.use
    async def around(message: Message[Any], call: Call) -> Any:
        try:
            await call(message)
        except LookupError as error:
            await message.reply(str(error).encode())
        seen.put_nowait(message.body)

    @handlers.on(1)
    def plain(message: Message[bytes]) -> None:
        if message.body == b"4":
            raise LookupError("no four")

    @handlers.on(2)
    async def slow(message: Message[bytes]) -> None:
        await asyncio.sleep(0)

    endpoint: Any
    if transport == "stream":
        server = await serve(handlers)
        endpoint = StreamClient(server.address, server.wire)
    else:
        server = DatagramEndpoint("udp://127.0.0.1:0", Wire(Mti()), on_message=handlers)
        await server.start()
        endpoint = DatagramEndpoint(None, Wire(Mti()), peer=server.address)
    async with endpoint:
        for number in range(10):
            await endpoint.send(b"%d" % number, 1 + number % 2)
        assert [await within(seen.get()) for _ in range(10)] == [b"%d" % n for n in range(10)]
        assert (await within(anext(aiter(endpoint)))).body == b"no four"
    await server.stop()
