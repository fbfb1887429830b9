"""The broker on the network: connections, their negotiation, and the ways to run and control it."""

from .broker import EmbeddedBroker
from .controls import Controls, MessageInfo, QueueInfo
from .settings import Settings
from .thread import ThreadedBroker

__all__ = [
    "Controls",
    "EmbeddedBroker",
    "MessageInfo",
    "QueueInfo",
    "Settings",
    "ThreadedBroker",
]
