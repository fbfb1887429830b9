"""TCP, TLS, unix and UDP endpoints that exchange typed messages.

Begin with an endpoint, which is given an address and a wire, such as `Wire(Mti(), codec)`. What is
here, by subject; `help(gestalt.net.StreamServer)` tells all of one name:

- Streams: `StreamServer`, `StreamClient`, `Peer`, `StreamMessage`, `StreamBatch`, `StreamStats`
- Datagrams: `DatagramEndpoint`, `DatagramMessage`, `DatagramMessageBatch`, `DatagramBatch`,
  `DatagramOptions`, `DatagramStats`
- What is on the wire: `Wire`, with `Mti`, `LengthPrefix`, `Delimited`, `Netstring` or `Raw`
- A framing of your own: `Framing`, `Decoder`, `Frame`
- Where, and who: `Address`, `Tls`, `TlsDetails`, `CertificateNames`, `Limits`
- Errors: their tree is in gestalt.net.errors
"""

from .address import Address
from .certificates import CertificateNames
from .datagram.batch import DatagramBatch
from .datagram.endpoint import DatagramEndpoint
from .datagram.errors import DatagramDropped, PeerUnreachable
from .datagram.message import DatagramMessage
from .datagram.message_batch import DatagramMessageBatch
from .datagram.socket import DatagramOptions
from .datagram.stats import DatagramStats
from .errors import (
    AcceptFailed,
    AddressError,
    ConnectFailed,
    DatagramTooLarge,
    FrameTooLarge,
    FramingError,
    HandlerError,
    IncompleteFrame,
    LimitExceeded,
    NetError,
    NotConnected,
    PayloadError,
    SendBufferFull,
    SendFailed,
    SendIncomplete,
    UnknownPeer,
)
from .framings import Decoder, Delimited, Frame, Framing, LengthPrefix, Mti, Netstring, Raw
from .stream.batch import StreamBatch
from .stream.client import StreamClient
from .stream.errors import ConnectionLost, HandshakeFailed
from .stream.limits import Limits
from .stream.message import StreamMessage
from .stream.peer import Peer
from .stream.server import StreamServer
from .stream.stats import StreamStats
from .tls import Tls, TlsDetails
from .wire import Wire

__all__ = [
    "AcceptFailed",
    "Address",
    "AddressError",
    "CertificateNames",
    "ConnectFailed",
    "ConnectionLost",
    "DatagramBatch",
    "DatagramDropped",
    "DatagramEndpoint",
    "DatagramMessage",
    "DatagramMessageBatch",
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
    "SendIncomplete",
    "StreamBatch",
    "StreamClient",
    "StreamMessage",
    "StreamServer",
    "StreamStats",
    "Tls",
    "TlsDetails",
    "UnknownPeer",
    "Wire",
]
