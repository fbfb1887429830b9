"""Topic publish and subscribe, and request and reply, over RabbitMQ.

    async with connect("amqp://localhost") as bus:
        await bus.subscribe("telemetry", "vehicle.*.position", track, queue="tracker")
        await bus.publisher("telemetry").publish({"lat": -34.9}, "vehicle.42.position")

What is here, by subject; `help(gestalt.amq.Bus)` tells all of one name:

- Begin: `connect` makes a `Bus`, which makes nearly all else; `Credentials` may expire, and are
  renewed
- Publish: a `Publisher`, of `Bus.publisher`, returns when the broker has the message; in a
  `PublishBatch`, of `Publisher.batch`, many are confirmed together
- Subscribe: a `Subscription`, of `Bus.subscribe`, has a handler take messages, and `Retry` says how
  often; a `PartitionedSubscription` where the queue is `Partitioned`; `SubscriptionStats`
- What handlers get: `BusMessage`, `BusBatch`, `Request`; beneath them `RawMessage`, `Properties`
- Request: a `Requester`, of `Bus.requester`, gives a reply or an error by a deadline;
  `GatheredReply` is one of many
- Respond: a `Responder`, of `Bus.respond`, has a handler reply; `ResponderStats`, `ServiceInfo`
- Declare before a start: `SubscriptionDeclaration`, `ResponderDeclaration`, and what comes of
  them, `Declared`
- Streams: `Offsets` are kept in `FileOffsets`, `SqliteOffsets` or an `OffsetStore` of your own
- What failed for good: `Parking`, of `Bus.parked`, lists, replays and deletes each `ParkedMessage`
- Exchanges and queues: `Exchange`, `Queue`, `Binding`
- What is needed at the broker: `Topology`, of `Bus.topology`, verifies and applies a `Plan` of
  `PlannedQueue`, `PlannedBinding` and `Permissions`; `Drift` is what differs
- What a bus tells of itself: an `Event`, one of `Connected`, `Disconnected`, `ConnectFailed`,
  `LoginRefused`, `SecretUpdateFailed`, `PublishingBlocked`, `PublishingUnblocked`,
  `ChannelReplaced`, `MovingFailed`, `MovingResumed`, `StaleBindings`
- What may be told by name, for type checkers: `PublisherOptions`, `PublishOptions`,
  `MessageOptions`, `SubscribeOptions`, `RequesterOptions`, `RespondOptions`, `LentChannelOptions`
- Errors: all are here, too; their tree is in gestalt.amq.errors

Beside it: gestalt.amq.testing has messages for tests of handlers, and gestalt.amq.embedded a broker
for tests. `python -m gestalt.amq --help` shows what a terminal can do.
"""

from .applying import Topology as Topology
from .bus import Bus as Bus
from .connect import connect as connect
from .consumers import Declared as Declared
from .credentials import Credentials as Credentials
from .encoding import MessageOptions as MessageOptions
from .errors import AccessRefused as AccessRefused
from .errors import AmqError as AmqError
from .errors import BatchError as BatchError
from .errors import Blocked as Blocked
from .errors import ChannelsExhausted as ChannelsExhausted
from .errors import ConnectError as ConnectError
from .errors import CredentialsError as CredentialsError
from .errors import DeadlineExceeded as DeadlineExceeded
from .errors import LinkLost as LinkLost
from .errors import NoResponder as NoResponder
from .errors import NotSent as NotSent
from .errors import OffsetError as OffsetError
from .errors import OutcomeUnknown as OutcomeUnknown
from .errors import PublishError as PublishError
from .errors import Refused as Refused
from .errors import Rejected as Rejected
from .errors import RemoteError as RemoteError
from .errors import RequestError as RequestError
from .errors import RequestRefused as RequestRefused
from .errors import TopologyError as TopologyError
from .errors import Unroutable as Unroutable
from .errors import Unsendable as Unsendable
from .errors import UnsendableType as UnsendableType
from .events import ChannelReplaced as ChannelReplaced
from .events import Connected as Connected
from .events import ConnectFailed as ConnectFailed
from .events import Disconnected as Disconnected
from .events import Event as Event
from .events import LoginRefused as LoginRefused
from .events import MovingFailed as MovingFailed
from .events import MovingResumed as MovingResumed
from .events import PublishingBlocked as PublishingBlocked
from .events import PublishingUnblocked as PublishingUnblocked
from .events import SecretUpdateFailed as SecretUpdateFailed
from .events import StaleBindings as StaleBindings
from .link.lent_channel import LentChannelOptions as LentChannelOptions
from .message import BusBatch as BusBatch
from .message import BusMessage as BusMessage
from .message import RawMessage as RawMessage
from .plan import Permissions as Permissions
from .plan import Plan as Plan
from .plan import PlannedBinding as PlannedBinding
from .plan import PlannedQueue as PlannedQueue
from .pubsub.declaration import SubscribeOptions as SubscribeOptions
from .pubsub.declaration import SubscriptionDeclaration as SubscriptionDeclaration
from .pubsub.offsets import FileOffsets as FileOffsets
from .pubsub.offsets import Offsets as Offsets
from .pubsub.offsets import OffsetStore as OffsetStore
from .pubsub.offsets import SqliteOffsets as SqliteOffsets
from .pubsub.parked_message import ParkedMessage as ParkedMessage
from .pubsub.parking import Parking as Parking
from .pubsub.partitioned import PartitionedSubscription as PartitionedSubscription
from .pubsub.partitions import Partitioned as Partitioned
from .pubsub.publish_batch import PublishBatch as PublishBatch
from .pubsub.publish_options import PublishOptions as PublishOptions
from .pubsub.publisher import Publisher as Publisher
from .pubsub.publisher import PublisherOptions as PublisherOptions
from .pubsub.retry import Retry as Retry
from .pubsub.stats import SubscriptionStats as SubscriptionStats
from .pubsub.subscription import Subscription as Subscription
from .requests.declaration import ResponderDeclaration as ResponderDeclaration
from .requests.declaration import RespondOptions as RespondOptions
from .requests.request import Request as Request
from .requests.requester import GatheredReply as GatheredReply
from .requests.requester import Requester as Requester
from .requests.requester import RequesterOptions as RequesterOptions
from .requests.responder import Responder as Responder
from .requests.service import ResponderStats as ResponderStats
from .requests.service import ServiceInfo as ServiceInfo
from .topology import Binding as Binding
from .topology import Exchange as Exchange
from .topology import Queue as Queue
from .verifying import Drift as Drift
from .wire import Properties as Properties
