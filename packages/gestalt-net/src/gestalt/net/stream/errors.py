"""The errors of streams that tell whom they are about; `gestalt.net.errors` shows all errors."""

from gestalt.net.address import Address
from gestalt.net.errors import NetError

from .peer import Peer


class HandshakeFailed(NetError, ConnectionError):
    """A TLS handshake failed: at a server, the connection never came up; at a client, it ended.

    Attributes:
        address: who was at the other end.
    """

    def __init__(self, message: str, address: Address) -> None:
        super().__init__(message)
        self.address = address


class ConnectionLost(NetError, ConnectionError):
    """A connection ended before everything was sent, or by a fault; the cause tells which.

    Attributes:
        peer: whose connection it was.
        unsent: how many messages were accepted for sending and certainly did not leave.
        in_doubt: how many more were being handed to the operating system; none, some or all of
            them may have left. What left earlier is not known to have arrived, either: TCP does
            not tell.
    """

    def __init__(self, message: str, peer: Peer, unsent: int = 0, in_doubt: int = 0) -> None:
        super().__init__(message)
        self.peer = peer
        self.unsent = unsent
        self.in_doubt = in_doubt
