"""The broker on the network: connections, their negotiation, and the ways to run and control it."""

from .broker import EmbeddedBroker as EmbeddedBroker
from .controls import Controls as Controls
from .infos import BindingInfo as BindingInfo
from .infos import ConnectionInfo as ConnectionInfo
from .infos import ConsumerInfo as ConsumerInfo
from .infos import MessageInfo as MessageInfo
from .infos import QueueInfo as QueueInfo
from .settings import Settings as Settings
from .thread import ThreadedBroker as ThreadedBroker
