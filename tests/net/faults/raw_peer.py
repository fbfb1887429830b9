"""A bare socket, for what no framing of ours would send."""

import asyncio
import socket
import struct


class RawPeer:
    """A socket that speaks no framing of its own accord."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def receive(self, size: int) -> bytes:
        """Exactly `size` bytes, or fewer when the stream ends before."""
        data = b""
        while len(data) < size:
            piece = await self._loop.sock_recv(self.socket, size - len(data))
            if not piece:
                break
            data += piece
        return data

    async def ended(self) -> None:
        """Wait until the other end has closed, in whatever way."""
        try:
            while await self._loop.sock_recv(self.socket, 65536):
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Close with a reset, as a process does that is killed with data unread."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
