"""Topic publish and subscribe, and request and reply, over RabbitMQ.

Begin with `connect`, which makes a `Bus`. What is here, by subject; `help(gestalt.amq.Bus)` tells
all of one name:

- Publish: `Publisher`, `PublishBatch`; what may be told by name: `PublisherOptions`,
  `PublishOptions`, `MessageOptions`
- Subscribe: `Subscription`, `PartitionedSubscription`, `SubscriptionStats`, `Retry`,
  `SubscribeOptions`
- What handlers get: `BusMessage`, `BusBatch`, `Request`, `RawMessage`, `Properties`
- Request: `Requester`, `GatheredReply`, `RequesterOptions`
- Respond: `Responder`, `ResponderStats`, `ServiceInfo`, `RespondOptions`
- Declared before a start: `Declared`, `SubscriptionDeclaration`, `ResponderDeclaration`
- Streams: `Offsets`, `FileOffsets`, `SqliteOffsets`, `OffsetStore`
- What failed for good: `Parking`, `ParkedMessage`
- Exchanges and queues: `Exchange`, `Queue`, `Binding`, `Partitioned`
- What is needed at the broker: `Topology`, `Plan`, `PlannedQueue`, `PlannedBinding`,
  `Permissions`, `Drift`
- Connections: `Credentials`, `LentChannelOptions`
- What a bus tells: `Event`, which is one of `Connected`, `Disconnected`, `ConnectFailed`,
  `LoginRefused`, `SecretUpdateFailed`, `PublishingBlocked`, `PublishingUnblocked`,
  `ChannelReplaced`, `MovingFailed`, `MovingResumed`, `StaleBindings`
- Errors: their tree is in gestalt.amq.errors
"""

from .applying import Topology
from .bus import Bus
from .connect import connect
from .consumers import Declared
from .credentials import Credentials
from .encoding import MessageOptions
from .errors import (
    AccessRefused,
    AmqError,
    BatchError,
    Blocked,
    ChannelsExhausted,
    ConnectError,
    CredentialsError,
    DeadlineExceeded,
    LinkLost,
    NoResponder,
    NotSent,
    OffsetError,
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
from .events import (
    ChannelReplaced,
    Connected,
    ConnectFailed,
    Disconnected,
    Event,
    LoginRefused,
    MovingFailed,
    MovingResumed,
    PublishingBlocked,
    PublishingUnblocked,
    SecretUpdateFailed,
    StaleBindings,
)
from .link.lent_channel import LentChannelOptions
from .message import BusBatch, BusMessage, RawMessage
from .plan import Permissions, Plan, PlannedBinding, PlannedQueue
from .pubsub.declaration import SubscribeOptions, SubscriptionDeclaration
from .pubsub.offsets import FileOffsets, Offsets, OffsetStore, SqliteOffsets
from .pubsub.parked_message import ParkedMessage
from .pubsub.parking import Parking
from .pubsub.partitioned import PartitionedSubscription
from .pubsub.partitions import Partitioned
from .pubsub.publish_batch import PublishBatch
from .pubsub.publish_options import PublishOptions
from .pubsub.publisher import Publisher, PublisherOptions
from .pubsub.retry import Retry
from .pubsub.stats import SubscriptionStats
from .pubsub.subscription import Subscription
from .requests.declaration import ResponderDeclaration, RespondOptions
from .requests.request import Request
from .requests.requester import GatheredReply, Requester, RequesterOptions
from .requests.responder import Responder
from .requests.service import ResponderStats, ServiceInfo
from .topology import Binding, Exchange, Queue
from .verifying import Drift
from .wire import Properties

__all__ = [
    "AccessRefused",
    "AmqError",
    "BatchError",
    "Binding",
    "Blocked",
    "Bus",
    "BusBatch",
    "BusMessage",
    "ChannelReplaced",
    "ChannelsExhausted",
    "ConnectError",
    "ConnectFailed",
    "Connected",
    "Credentials",
    "CredentialsError",
    "DeadlineExceeded",
    "Declared",
    "Disconnected",
    "Drift",
    "Event",
    "Exchange",
    "FileOffsets",
    "GatheredReply",
    "LentChannelOptions",
    "LinkLost",
    "LoginRefused",
    "MessageOptions",
    "MovingFailed",
    "MovingResumed",
    "NoResponder",
    "NotSent",
    "OffsetError",
    "OffsetStore",
    "Offsets",
    "OutcomeUnknown",
    "ParkedMessage",
    "Parking",
    "Partitioned",
    "PartitionedSubscription",
    "Permissions",
    "Plan",
    "PlannedBinding",
    "PlannedQueue",
    "Properties",
    "PublishBatch",
    "PublishError",
    "PublishOptions",
    "Publisher",
    "PublisherOptions",
    "PublishingBlocked",
    "PublishingUnblocked",
    "Queue",
    "RawMessage",
    "Refused",
    "Rejected",
    "RemoteError",
    "Request",
    "RequestError",
    "RequestRefused",
    "Requester",
    "RequesterOptions",
    "RespondOptions",
    "Responder",
    "ResponderDeclaration",
    "ResponderStats",
    "Retry",
    "SecretUpdateFailed",
    "ServiceInfo",
    "SqliteOffsets",
    "StaleBindings",
    "SubscribeOptions",
    "Subscription",
    "SubscriptionDeclaration",
    "SubscriptionStats",
    "Topology",
    "TopologyError",
    "Unroutable",
    "Unsendable",
    "UnsendableType",
    "connect",
]
