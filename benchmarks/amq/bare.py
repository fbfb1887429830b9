"""The least that a confirmed publish takes: its frames, by hand, on an asyncio protocol."""

import asyncio
import struct
from typing import Any, Self
from urllib.parse import urlsplit

from pamqp import commands, frame, header

FRAME = struct.Struct(">BHI")
METHOD = struct.Struct(">I")
ACK = struct.Struct(">QB")
BASIC_ACK = 60 << 16 | 80
CHANNEL = 1


class BareClient(asyncio.Protocol):
    """Publishes one message, again and again, on one channel with confirms.

    It takes acknowledgements alone: whatever else comes once it has opened is an error.
    """

    def __init__(self, message: bytes) -> None:
        self._message = message
        self._input = b""
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._open = False
        self._transport: asyncio.Transport | None = None
        self._unsent = 0
        self._sequence = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def connect(cls, url: str, exchange: str, key: str, body: bytes) -> Self:
        """Connect, and open a channel with confirms."""
        publish = commands.Basic.Publish(exchange=exchange, routing_key=key)
        properties = commands.Basic.Properties(delivery_mode=2)
        message = b"".join(
            frame.marshal(each, CHANNEL)
            for each in (publish, header.ContentHeader(0, len(body), properties))
        )
        message += FRAME.pack(3, CHANNEL, len(body)) + body + b"\xce"
        to = urlsplit(url)
        assert to.hostname is not None
        assert to.port is not None
        _, self = await asyncio.get_running_loop().create_connection(
            lambda: cls(message), to.hostname, to.port
        )
        assert self._transport is not None
        self._transport.write(b"AMQP\x00\x00\x09\x01")
        await self._answers.get()
        await self._ask(
            0, commands.Connection.StartOk({}, "PLAIN", f"\0{to.username}\0{to.password}", "en_US")
        )
        self._send(0, commands.Connection.TuneOk(CHANNEL, 131072, 0))
        await self._ask(0, commands.Connection.Open("/"))
        await self._ask(CHANNEL, commands.Channel.Open())
        await self._ask(CHANNEL, commands.Confirm.Select())
        self._open = True
        return self

    async def close(self) -> None:
        """Close in order."""
        self._open = False
        await self._ask(0, commands.Connection.Close(200, "", 0, 0))
        assert self._transport is not None
        self._transport.close()

    def publish(self) -> asyncio.Future[None]:
        """Send with whatever else is sent in this turn of the loop; done when confirmed."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent += 1
        self._sequence += 1
        confirm = self._unconfirmed[self._sequence] = self._loop.create_future()
        return confirm

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(self._message * self._unsent)
        self._unsent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        error = ConnectionError(f"the broker ended the connection: {exc}")
        self._answers.put_nowait(error)
        for confirm in self._unconfirmed.values():
            confirm.set_exception(error)

    def data_received(self, data: bytes) -> None:
        data = self._input + data
        position, end = 0, len(data)
        while end - position >= 8:
            _, _, size = FRAME.unpack_from(data, position)
            if position + 8 + size > end:
                break
            if self._open:
                self._take(data, position + 7)
            else:
                self._answers.put_nowait(frame.unmarshal(data[position:])[2])
            position += 8 + size
        self._input = data[position:]

    def _take(self, data: bytes, start: int) -> None:
        (method,) = METHOD.unpack_from(data, start)
        assert method == BASIC_ACK, f"method {method:x} in place of an acknowledgement"
        tag, multiple = ACK.unpack_from(data, start + 4)
        if not multiple:
            self._unconfirmed.pop(tag).set_result(None)
            return
        for each in list(self._unconfirmed):
            if each > tag:
                break
            self._unconfirmed.pop(each).set_result(None)

    def _send(self, channel: int, method: Any) -> None:
        assert self._transport is not None
        self._transport.write(frame.marshal(method, channel))

    async def _ask(self, channel: int, method: Any) -> None:
        self._send(channel, method)
        answer = await self._answers.get()
        if isinstance(answer, ConnectionError):
            raise answer
