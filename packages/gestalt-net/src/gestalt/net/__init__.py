"""TCP, TLS, unix and UDP endpoints that exchange typed messages."""

from .address import Address
from .client import StreamClient
from .datagram import DatagramEndpoint
from .datagram_batch import DatagramBatch
from .datagram_message import DatagramMessage
from .datagram_socket import DatagramOptions
from .datagram_stats import DatagramStats
from .endpoint import StreamStats
from .errors import (
    AcceptFailed,
    AddressError,
    ConnectFailed,
    ConnectionLost,
    DatagramDropped,
    DatagramTooLarge,
    FrameTooLarge,
    FramingError,
    HandlerError,
    HandshakeFailed,
    IncompleteFrame,
    LimitExceeded,
    LoopNotSuitable,
    NetError,
    NotConnected,
    PayloadError,
    PeerUnreachable,
    SendBufferFull,
    SendFailed,
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
    "AcceptFailed",
    "Address",
    "AddressError",
    "ConnectFailed",
    "ConnectionLost",
    "DatagramBatch",
    "DatagramDropped",
    "DatagramEndpoint",
    "DatagramMessage",
    "DatagramOptions",
    "DatagramStats",
    "DatagramTooLarge",
    "Decoder",
    "Delimited",
    "Frame",
    "FrameTooLarge",
    "Framing",
    "FramingError",
    "HandlerError",
    "HandshakeFailed",
    "IncompleteFrame",
    "LengthPrefix",
    "LimitExceeded",
    "Limits",
    "LoopNotSuitable",
    "Mti",
    "NetError",
    "Netstring",
    "NotConnected",
    "PayloadError",
    "Peer",
    "PeerUnreachable",
    "Raw",
    "SendBufferFull",
    "SendFailed",
    "StreamClient",
    "StreamMessage",
    "StreamServer",
    "StreamStats",
    "Tls",
    "TlsDetails",
    "UnknownPeer",
    "Wire",
]
