"""The receivers of datagrams that several benchmarks compare: each counts what came."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

PAYLOAD = bytes(64)
HEADER = struct.Struct("!II")
DATAGRAM = HEADER.pack(len(PAYLOAD), 7) + PAYLOAD
RECEIVE_BUFFER = 1024 * 1024

Add = Callable[[int], None]


def bound_socket() -> socket.socket:
    """A socket on loopback with the receive buffer that all receivers have."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", 0))
    return sock


@asynccontextmanager
async def reader_by_hand(add: Add) -> AsyncIterator[int]:
    """Take from a socket until there is nothing more, or 64 were taken; gives the port."""
    loop = asyncio.get_running_loop()
    unpack = HEADER.unpack_from
    with bound_socket() as sock:

        def read() -> None:
            try:
                for _ in range(64):
                    data, _ = sock.recvfrom(65_536)
                    size, _ = unpack(data)
                    if size == len(data) - 8:
                        add(1)
            except BlockingIOError:
                pass

        loop.add_reader(sock, read)
        yield sock.getsockname()[1]
        loop.remove_reader(sock)


@asynccontextmanager
async def gestalt_messages(add: Add) -> AsyncIterator[int]:
    """An endpoint with a plain handler of messages; gives the port."""
    from gestalt.net import DatagramEndpoint, DatagramMessage, DatagramOptions, Mti, Wire

    def on_message(message: DatagramMessage[bytes]) -> None:
        add(1)

    options = DatagramOptions(receive_buffer=RECEIVE_BUFFER)
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), on_message=on_message, options=options
    ) as endpoint:
        yield endpoint.address.port


@asynccontextmanager
async def gestalt_batches(add: Add) -> AsyncIterator[int]:
    """An endpoint with a plain handler of batches; gives the port."""
    from gestalt.net import DatagramEndpoint, DatagramMessageBatch, DatagramOptions, Mti, Wire

    def on_messages(batch: DatagramMessageBatch[bytes]) -> None:
        add(len(batch.bodies))

    options = DatagramOptions(receive_buffer=RECEIVE_BUFFER)
    async with DatagramEndpoint(
        "udp://127.0.0.1:0", Wire(Mti()), on_messages=on_messages, options=options
    ) as endpoint:
        yield endpoint.address.port
