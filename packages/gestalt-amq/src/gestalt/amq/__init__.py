"""Topic publish and subscribe, and request and reply, over RabbitMQ."""

from .batch import Batch
from .bus import Bus
from .connect import connect
from .errors import (
    AccessRefused,
    AmqError,
    BatchError,
    Blocked,
    ChannelsExhausted,
    ConnectError,
    DeadlineExceeded,
    LinkLost,
    NoResponder,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Refused,
    Rejected,
    RemoteError,
    RequestError,
    RequestRefused,
    TopologyError,
    Unroutable,
    Unsendable,
    UnsendableType,
)
from .events import Connected, Disconnected, Event, PublishingBlocked, PublishingUnblocked
from .failures import SubscriptionStats
from .message import BusMessage
from .outgoing import MessageOptions
from .parking import ParkedMessage, Parking
from .properties import Properties
from .publisher import Publisher
from .request import Request
from .requester import GatheredReply, Requester
from .responder import Responder
from .retry import Retry
from .service import ResponderStats, ServiceInfo
from .subscription import Subscription
from .topology import Exchange, Queue

__all__ = [
    "AccessRefused",
    "AmqError",
    "Batch",
    "BatchError",
    "Blocked",
    "Bus",
    "BusMessage",
    "ChannelsExhausted",
    "ConnectError",
    "Connected",
    "DeadlineExceeded",
    "Disconnected",
    "Event",
    "Exchange",
    "GatheredReply",
    "LinkLost",
    "MessageOptions",
    "NoResponder",
    "NotSent",
    "OutcomeUnknown",
    "ParkedMessage",
    "Parking",
    "Properties",
    "PublishError",
    "Publisher",
    "PublishingBlocked",
    "PublishingUnblocked",
    "Queue",
    "Refused",
    "Rejected",
    "RemoteError",
    "Request",
    "RequestError",
    "RequestRefused",
    "Requester",
    "Responder",
    "ResponderStats",
    "Retry",
    "ServiceInfo",
    "Subscription",
    "SubscriptionStats",
    "TopologyError",
    "Unroutable",
    "Unsendable",
    "UnsendableType",
    "connect",
]
