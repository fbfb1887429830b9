"""The broker on the network: connections, their negotiation, and the ways to run and control it."""

from .broker import EmbeddedBroker
from .controls import Controls
from .infos import BindingInfo, ConnectionInfo, ConsumerInfo, MessageInfo, QueueInfo
from .settings import Settings
from .thread import ThreadedBroker

__all__ = [
    "BindingInfo",
    "ConnectionInfo",
    "ConsumerInfo",
    "Controls",
    "EmbeddedBroker",
    "MessageInfo",
    "QueueInfo",
    "Settings",
    "ThreadedBroker",
]
