"""What streams are measured against: asyncio protocols tuned by hand that only frame."""

import asyncio
import time
from struct import Struct
from typing import Any, cast

from benchmarks.harness import Measured, Run, Stopwatch

HEADER = Struct(">II")
BUFFER = 256 * 1024
BATCH = 64 * 1024


class Receiver(asyncio.BufferedProtocol):
    """Cuts the payload and the type of each frame out of one reused buffer, and counts them."""

    def __init__(self) -> None:
        self.count = 0
        self.last: tuple[bytes, int] = b"", 0
        self.watch: Stopwatch | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self._buffer = bytearray(BUFFER)
        self._view = memoryview(self._buffer)
        self._filled = 0

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._view[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        if self.watch is None:
            self.watch = Stopwatch()
        filled = self._filled + nbytes
        # Slices of bytes are faster than those of a memoryview, even with the copy.
        data = bytes(self._view[:filled])
        unpack = HEADER.unpack_from
        position = count = 0
        while True:
            start = position + 8
            if start > filled:
                break
            length, type_id = unpack(data, position)
            end = start + length
            if end > filled:
                break
            self.last = data[start:end], type_id
            count += 1
            position = end
        self.count += count
        self._filled = filled - position
        self._view[: self._filled] = data[position:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)


class Sender(asyncio.Protocol):
    """Gathers the frames of a turn of the event loop; tells whether the transport takes more."""

    def __init__(self) -> None:
        self.resumed: asyncio.Future[None] | None = None
        self.lost = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._frames: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, payload: bytes, type_id: int) -> None:
        """Queue a frame; the caller waits for `resumed` where that is set."""
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(HEADER.pack(len(payload), type_id) + payload)

    def _flush(self) -> None:
        self.transport.write(b"".join(self._frames))
        self._frames.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(None)

    def pause_writing(self) -> None:
        self.resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        if self.resumed is not None:
            self.resumed.set_result(None)
            self.resumed = None


def some_payloads(run: Run) -> list[bytes]:
    """About BATCH bytes of messages, of the size of the case, or of sizes around it."""
    size, mixed = run.options["size"], run.options.get("mixed", 0)
    number = max(1, BATCH // (size + 8))
    # A step that has no divisor in common with the number of sizes meets each of them.
    return [bytes(size - mixed + n * 37 % (2 * mixed + 1)) for n in range(number)]


async def server(run: Run) -> Measured:
    loop = asyncio.get_running_loop()
    connected: asyncio.Queue[Receiver] = asyncio.Queue()

    def accept() -> Receiver:
        receiver = Receiver()
        connected.put_nowait(receiver)
        return receiver

    listening = await loop.create_server(accept, "127.0.0.1", 0)
    run.ready(port=listening.sockets[0].getsockname()[1])
    receiver = await connected.get()
    await receiver.lost
    listening.close()
    return cast("Stopwatch", receiver.watch).stop(receiver.count)


async def client(run: Run) -> None:
    loop = asyncio.get_running_loop()
    transport, sender = await loop.create_connection(Sender, "127.0.0.1", run.partner["port"])
    send = sender.send
    payloads = some_payloads(run)
    end = time.perf_counter() + run.seconds
    while time.perf_counter() < end:
        for payload in payloads:
            send(payload, 7)
        await asyncio.sleep(0)
        if sender.resumed is not None:
            await sender.resumed
    transport.close()
    # What the socket did not take would stay with the transport of a loop that has ended.
    await sender.lost
