"""The errors of datagrams that tell whom they are about; `gestalt.net.errors` shows all errors."""

from gestalt.net.address import Address
from gestalt.net.errors import NetError


class PeerUnreachable(NetError, ConnectionError):
    """A host has answered that nobody receives there; datagrams sent before are lost.

    Attributes:
        source: the address that was sent to.
    """

    def __init__(self, message: str, source: Address) -> None:
        super().__init__(message)
        self.source = source


class DatagramDropped(NetError, ValueError):
    """A received datagram is not a message, and was dropped; the cause says why.

    Attributes:
        source: who sent it.
    """

    def __init__(self, message: str, source: Address) -> None:
        super().__init__(message)
        self.source = source
