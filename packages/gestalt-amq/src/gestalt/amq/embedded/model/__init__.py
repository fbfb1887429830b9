"""The broker model: virtual hosts, exchanges, bindings, queues, consumers and channels.

It does no input or output and knows no asyncio; the time is given to it.
"""

from .broker import BrokerModel
from .channel import Channel, Output
from .exchange import Binding, Exchange
from .limits import ResourceLimits
from .message import Entry, Message
from .queue import Queue
from .schedule import Schedule
from .session import Session
from .virtualhost import VirtualHost

__all__ = [
    "Binding",
    "BrokerModel",
    "Channel",
    "Entry",
    "Exchange",
    "Message",
    "Output",
    "Queue",
    "ResourceLimits",
    "Schedule",
    "Session",
    "VirtualHost",
]
