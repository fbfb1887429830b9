"""A TLS client whose every byte and end is in the hands of a test: asyncio's cannot half-close."""

import asyncio
import ssl
from contextlib import suppress
from typing import Self


class TlsPeer:
    """Speaks TLS over a plain connection, and closes the halves of both by itself."""

    def __init__(self, port: int, context: ssl.SSLContext, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def __aenter__(self) -> Self:
        self._reader, self.writer = await asyncio.open_connection(self._host, self._port)
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.flush()
                await self._more()
            else:
                self.flush()
                return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        # The transport closes its socket in the next turn of the loop.
        await asyncio.sleep(0)

    def write(self, data: bytes) -> None:
        """Encrypt data; it waits for `flush`."""
        self.tls.write(data)

    def end(self) -> None:
        """Write close_notify: nothing follows."""
        with suppress(ssl.SSLWantReadError):
            self.tls.unwrap()

    def flush(self) -> None:
        """Send what was written, in one piece."""
        self.writer.write(self._outgoing.read())

    async def read_all(self) -> bytes:
        """What the other end sends until its close_notify.

        Raises:
            EOFError: it ends without one.
        """
        data = b""
        while True:
            try:
                piece = self.tls.read(65536)
            except ssl.SSLWantReadError:
                await self._more()
            except ssl.SSLZeroReturnError:
                return data
            else:
                if not piece:
                    return data
                data += piece

    async def read_tcp(self) -> None:
        """Read encrypted data until there is no more.

        Raises:
            EOFError: the connection has ended.
        """
        while True:
            await self._more()

    async def _more(self) -> None:
        received = await self._reader.read(65536)
        if not received:
            raise EOFError("the connection has ended")
        self._incoming.write(received)
