"""Reaching a broker: a connection by TCP, and TLS on it, to the host's address that answers."""

import asyncio
import ssl
import time
from typing import Any

from gestalt.core.dial import dial

from .address import BrokerAddress, Certificates

# asyncio would allocate 256 KiB for each read.
READ_SIZE = 65536
# So many are kept in mind.
MAX_FAILED = 1000


class FailedAddresses:
    """Which addresses of a name took connections and led nowhere, the latest last.

    A host that is stuck, or a balancer with nothing behind it, is quicker to connect to than any
    other: without this, each attempt would end there.
    """

    def __init__(self) -> None:
        self._failed: dict[Any, float] = {}

    def rank(self, address: Any) -> float:
        """What to sort addresses by; those that have not failed come first."""
        return self._failed.get(address, 0.0)

    def note(self, address: Any, *, failed: bool) -> None:
        """Remember what became of a connection."""
        self._failed.pop(address, None)
        if failed:
            if len(self._failed) >= MAX_FAILED:  # pragma: no cover - so many addresses
                del self._failed[next(iter(self._failed))]
            self._failed[address] = time.monotonic()


class Dialer:
    """One attempt to reach one broker.

    Args:
        target: the broker.
        tls: for amqps://; by default what the URL says, or the system's certificates.
        failed: which addresses of its name have led nowhere before.
    """

    def __init__(
        self, target: BrokerAddress, tls: ssl.SSLContext | None, failed: FailedAddresses
    ) -> None:
        self._target = target
        self._tls = tls
        self._failed = failed
        self._address: Any = None

    async def open(self, protocol: asyncio.Protocol) -> asyncio.Transport:
        """Connect; when this fails or is cancelled, nothing is left of it.

        Raises:
            OSError: there is no such host, or none of its addresses could be connected to, or
                the handshake of TLS failed, or its files cannot be read.
            ValueError: the host is no name, or a key is encrypted.
        """
        loop = asyncio.get_running_loop()
        target = self._target
        tls = self._tls
        server_name = None
        if target.scheme != "amqps":
            tls = None
        else:
            given = target.certificates or Certificates()
            server_name = given.server_name or target.host
            if tls is None:
                tls = await loop.run_in_executor(None, given.context)
        sock = await dial(loop, target.host, target.port, order=self._failed.rank)
        try:
            self._address = sock.getpeername()
            transport, _ = await loop.create_connection(
                lambda: protocol, sock=sock, ssl=tls, server_hostname=server_name
            )
        except BaseException:
            sock.close()
            raise
        if hasattr(transport, "max_size"):
            transport.max_size = READ_SIZE
        return transport

    def ended(self, *, failed: bool) -> None:
        """What became of the attempt: the next one takes another address, if there is one."""
        if self._address is not None:
            self._failed.note(self._address, failed=failed)
