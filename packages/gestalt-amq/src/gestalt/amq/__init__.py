"""Topic publish and subscribe over RabbitMQ."""

from .batch import Batch
from .bus import Bus, connect
from .errors import (
    AccessRefused,
    AmqError,
    BatchError,
    Blocked,
    ConnectError,
    LinkLost,
    NotSent,
    OutcomeUnknown,
    PublishError,
    Rejected,
    TopologyError,
    Unroutable,
)
from .events import Connected, Disconnected, Event, PublishingBlocked, PublishingUnblocked
from .message import BusMessage
from .outgoing import MessageOptions
from .parking import ParkedMessage, Parking
from .properties import Properties
from .publisher import Publisher
from .retry import Retry
from .subscription import Subscription, SubscriptionStats
from .topology import Exchange, Queue

__all__ = [
    "AccessRefused",
    "AmqError",
    "Batch",
    "BatchError",
    "Blocked",
    "Bus",
    "BusMessage",
    "ConnectError",
    "Connected",
    "Disconnected",
    "Event",
    "Exchange",
    "LinkLost",
    "MessageOptions",
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
    "Rejected",
    "Retry",
    "Subscription",
    "SubscriptionStats",
    "TopologyError",
    "Unroutable",
    "connect",
]
