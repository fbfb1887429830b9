"""The least that a confirmed publish takes, and a call: frames by hand, on an asyncio protocol."""

import asyncio
import struct
from typing import Any, Self
from urllib.parse import urlsplit

from pamqp import commands, frame, header

FRAME = struct.Struct(">BHI")
METHOD = struct.Struct(">I")
SIZE = struct.Struct(">Q")
ACK = struct.Struct(">QB")
BASIC_ACK = 60 << 16 | 80
BASIC_DELIVER = 60 << 16 | 60
CHANNEL = 1
REPLY_TO = "amq.rabbitmq.reply-to"
# How many requests a responder has at once.
PREFETCH = 100


class BareConnection(asyncio.Protocol):
    """A connection with one channel. What comes once it has opened, a subclass takes."""

    def __init__(self) -> None:
        self._input = b""
        self._answers: asyncio.Queue[Any] = asyncio.Queue()
        self._open = False
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def connect(cls, url: str, *args: Any) -> Self:
        """Connect, open a channel, and prepare it."""
        to = urlsplit(url)
        assert to.hostname is not None
        assert to.port is not None
        _, self = await asyncio.get_running_loop().create_connection(
            lambda: cls(*args), to.hostname, to.port
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
        await self._prepare()
        self._open = True
        return self

    async def _prepare(self) -> None:
        """Ask for what is needed on the channel."""
        raise NotImplementedError

    def _take(self, data: bytes, kind: int, start: int, stop: int) -> None:
        """Take the payload of a frame."""
        raise NotImplementedError

    async def close(self) -> None:
        """Close in order."""
        self._open = False
        await self._ask(0, commands.Connection.Close(200, "", 0, 0))
        assert self._transport is not None
        self._transport.close()

    def _write(self, data: bytes) -> None:
        """Send with whatever else is sent in this turn of the loop."""
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        assert self._transport is not None
        self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._answers.put_nowait(ConnectionError(f"the broker ended the connection: {exc}"))

    def data_received(self, data: bytes) -> None:
        data = self._input + data
        position, end = 0, len(data)
        while end - position >= 8:
            kind, _, size = FRAME.unpack_from(data, position)
            stop = position + 8 + size
            if stop > end:
                break
            if self._open:
                self._take(data, kind, position + 7, stop - 1)
            else:
                self._answers.put_nowait(frame.unmarshal(data[position:])[2])
            position = stop
        self._input = data[position:]

    def _send(self, channel: int, method: Any) -> None:
        assert self._transport is not None
        self._transport.write(frame.marshal(method, channel))

    async def _ask(self, channel: int, method: Any) -> None:
        self._send(channel, method)
        answer = await self._answers.get()
        if isinstance(answer, ConnectionError):
            raise answer


class BareClient(BareConnection):
    """Publishes one message, again and again, on one channel with confirms.

    It takes acknowledgements alone: whatever else comes once it has opened is an error.
    """

    def __init__(self, exchange: str, key: str, body: bytes) -> None:
        super().__init__()
        publish = commands.Basic.Publish(exchange=exchange, routing_key=key)
        properties = commands.Basic.Properties(delivery_mode=2)
        self._message = b"".join(
            frame.marshal(each, CHANNEL)
            for each in (publish, header.ContentHeader(0, len(body), properties))
        )
        self._message += body_frame(body)
        self._sequence = 0
        self._unconfirmed: dict[int, asyncio.Future[None]] = {}

    async def _prepare(self) -> None:
        await self._ask(CHANNEL, commands.Confirm.Select())

    def publish(self) -> asyncio.Future[None]:
        """Send with whatever else is sent in this turn of the loop; done when confirmed."""
        self._write(self._message)
        self._sequence += 1
        confirm = self._unconfirmed[self._sequence] = self._loop.create_future()
        return confirm

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for confirm in self._unconfirmed.values():
            confirm.set_exception(ConnectionError(f"the broker ended the connection: {exc}"))

    def _take(self, data: bytes, kind: int, start: int, stop: int) -> None:
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


class BareCaller(BareConnection):
    """Sends one body to a queue, again and again, and awaits what comes back.

    Its correlation identifiers have ten digits; it takes deliveries alone, each in three frames.
    """

    def __init__(self, queue: str, body: bytes) -> None:
        super().__init__()
        self._publish = frame.marshal(commands.Basic.Publish(routing_key=queue), CHANNEL)
        self._body = body
        self._waiting: dict[bytes, asyncio.Future[bytes]] = {}
        self._number = 0
        self._id = b""

    async def _prepare(self) -> None:
        await self._ask(CHANNEL, commands.Basic.Consume(queue=REPLY_TO, no_ack=True))

    def call(self) -> asyncio.Future[bytes]:
        """Send with whatever else is sent in this turn of the loop; done when replied to."""
        self._number += 1
        number = b"%010d" % self._number
        properties = b"\x06\x00\x0a%b%c%b" % (number, len(REPLY_TO), REPLY_TO.encode())
        self._write(self._publish + content(properties, self._body))
        reply = self._waiting[number] = self._loop.create_future()
        return reply

    def _take(self, data: bytes, kind: int, start: int, stop: int) -> None:
        if kind == 2:
            # After the class, the weight, the size and the flags: the identifier alone is there.
            self._id = data[start + 15 : start + 25]
        elif kind == 3:
            self._waiting.pop(self._id).set_result(data[start:stop])


class BareResponder(BareConnection):
    """Answers each request of a BareCaller by its own body, and acknowledges once in a read."""

    def __init__(self, queue: str) -> None:
        super().__init__()
        self._queue = queue
        self._tag = 0
        self._id = b""
        self._publish = b""

    async def _prepare(self) -> None:
        await self._ask(CHANNEL, commands.Queue.Declare(queue=self._queue, auto_delete=True))
        await self._ask(CHANNEL, commands.Basic.Qos(prefetch_count=PREFETCH))
        await self._ask(CHANNEL, commands.Basic.Consume(queue=self._queue))

    def data_received(self, data: bytes) -> None:
        before = self._tag
        super().data_received(data)
        if self._tag > before:
            self._write(frame.marshal(commands.Basic.Ack(self._tag, multiple=True), CHANNEL))

    def _take(self, data: bytes, kind: int, start: int, stop: int) -> None:
        if kind == 1:
            tag = start + 5 + data[start + 4]
            (self._tag,) = SIZE.unpack_from(data, tag)
        elif kind == 2:
            self._id = data[start + 14 : start + 25]
            reply_to = data[start + 25 : stop]
            payload = METHOD.pack(60 << 16 | 40) + b"\x00\x00\x00%b\x00" % reply_to
            self._publish = FRAME.pack(1, CHANNEL, len(payload)) + payload + b"\xce"
        else:
            self._write(self._publish + content(b"\x04\x00" + self._id, data[start:stop]))


def content(properties: bytes, body: bytes) -> bytes:
    """The frames of a content, by its encoded properties."""
    start = FRAME.pack(2, CHANNEL, 12 + len(properties)) + b"\x00\x3c\x00\x00"
    return b"%b%b%b\xce%b" % (start, SIZE.pack(len(body)), properties, body_frame(body))


def body_frame(body: bytes) -> bytes:
    """The one frame of a small body."""
    return FRAME.pack(3, CHANNEL, len(body)) + body + b"\xce"
