"""TCP, TLS and unix endpoints that exchange typed messages."""

from .address import Address
from .client import StreamClient
from .endpoint import StreamStats
from .errors import (
    AddressError,
    ConnectFailed,
    ConnectionLost,
    FrameTooLarge,
    FramingError,
    HandlerError,
    IncompleteFrame,
    LimitExceeded,
    NetError,
    NotConnected,
    PayloadError,
    SendBufferFull,
    UnknownPeer,
)
from .framings import Decoder, Delimited, Frame, Framing, LengthPrefix, Mti, Netstring, Raw
from .limits import Limits
from .message import StreamMessage
from .peer import Peer
from .server import StreamServer
from .tls import Tls, TlsDetails
from .wire import Wire

__all__ = [
    "Address",
    "AddressError",
    "ConnectFailed",
    "ConnectionLost",
    "Decoder",
    "Delimited",
    "Frame",
    "FrameTooLarge",
    "Framing",
    "FramingError",
    "HandlerError",
    "IncompleteFrame",
    "LengthPrefix",
    "LimitExceeded",
    "Limits",
    "Mti",
    "NetError",
    "Netstring",
    "NotConnected",
    "PayloadError",
    "Peer",
    "Raw",
    "SendBufferFull",
    "StreamClient",
    "StreamMessage",
    "StreamServer",
    "StreamStats",
    "Tls",
    "TlsDetails",
    "UnknownPeer",
    "Wire",
]
