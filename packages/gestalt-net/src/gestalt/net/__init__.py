"""TCP, TLS, unix and UDP endpoints that exchange typed messages.

    wire = Wire(Mti(), Codec("json", types=types))
    async with StreamClient("tcp://gateway:9000", wire) as client:
        await client.send(Position(-34.9, 138.6))

What is here, by subject; `help(gestalt.net.StreamServer)` tells all of one name:

- Streams: `StreamServer` listens, `StreamClient` connects, and again; a `Peer` is the other end;
  handlers take a `StreamMessage`, or many in a `StreamBatch`; `StreamStats`
- Datagrams: `DatagramEndpoint` sends and receives; handlers take a `DatagramMessage`, or many in a
  `DatagramMessageBatch`; a `DatagramBatch` sends many; `DatagramOptions`, `DatagramStats`
- What is on the wire: a `Wire` is a framing and a codec; `Mti`, `LengthPrefix`, `Delimited`,
  `Netstring` and `Raw` are framings
- A framing of your own: a `Framing`, its `Decoder`, and each `Frame` of it
- Where, and who: `Address`, `Tls`; of a peer, `TlsDetails` and its `CertificateNames`
- What a peer may cost: `Limits`
- Errors: all are here, too; their tree is in gestalt.net.errors

Beside it: gestalt.net.testing has messages and peers for tests of handlers.
"""

from .address import Address as Address
from .certificates import CertificateNames as CertificateNames
from .datagram.batch import DatagramBatch as DatagramBatch
from .datagram.endpoint import DatagramEndpoint as DatagramEndpoint
from .datagram.errors import DatagramDropped as DatagramDropped
from .datagram.errors import PeerUnreachable as PeerUnreachable
from .datagram.message import DatagramMessage as DatagramMessage
from .datagram.message_batch import DatagramMessageBatch as DatagramMessageBatch
from .datagram.socket import DatagramOptions as DatagramOptions
from .datagram.stats import DatagramStats as DatagramStats
from .errors import AcceptFailed as AcceptFailed
from .errors import AddressError as AddressError
from .errors import ConnectFailed as ConnectFailed
from .errors import DatagramTooLarge as DatagramTooLarge
from .errors import FrameTooLarge as FrameTooLarge
from .errors import FramingError as FramingError
from .errors import HandlerError as HandlerError
from .errors import IncompleteFrame as IncompleteFrame
from .errors import LimitExceeded as LimitExceeded
from .errors import NetError as NetError
from .errors import NotConnected as NotConnected
from .errors import PayloadError as PayloadError
from .errors import SendBufferFull as SendBufferFull
from .errors import SendFailed as SendFailed
from .errors import SendIncomplete as SendIncomplete
from .errors import UnknownPeer as UnknownPeer
from .framings import Decoder as Decoder
from .framings import Delimited as Delimited
from .framings import Frame as Frame
from .framings import Framing as Framing
from .framings import LengthPrefix as LengthPrefix
from .framings import Mti as Mti
from .framings import Netstring as Netstring
from .framings import Raw as Raw
from .stream.batch import StreamBatch as StreamBatch
from .stream.client import StreamClient as StreamClient
from .stream.errors import ConnectionLost as ConnectionLost
from .stream.errors import HandshakeFailed as HandshakeFailed
from .stream.limits import Limits as Limits
from .stream.message import StreamMessage as StreamMessage
from .stream.peer import Peer as Peer
from .stream.server import StreamServer as StreamServer
from .stream.stats import StreamStats as StreamStats
from .tls import Tls as Tls
from .tls import TlsDetails as TlsDetails
from .wire import Wire as Wire
