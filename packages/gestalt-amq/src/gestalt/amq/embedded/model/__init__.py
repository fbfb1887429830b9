"""The broker model: virtual hosts, exchanges, bindings, queues, consumers and channels.

It does no input or output and knows no asyncio; the time is given to it.
"""

from .broker import BrokerModel
from .channel import Channel, Output
from .exchange import Binding, Exchange
from .limits import ResourceLimits
from .message import Entry, Message
from .policies import Policy, read_policies
from .queue import Queue
from .schedule import Schedule
from .session import Session
from .stream import Stream
from .stream_record import Record
from .versions import DEFAULT_VERSION, VERSIONS, Semantics, semantics_of
from .virtualhost import VirtualHost

__all__ = [
    "DEFAULT_VERSION",
    "VERSIONS",
    "Binding",
    "BrokerModel",
    "Channel",
    "Entry",
    "Exchange",
    "Message",
    "Output",
    "Policy",
    "Queue",
    "Record",
    "ResourceLimits",
    "Schedule",
    "Semantics",
    "Session",
    "Stream",
    "VirtualHost",
    "read_policies",
    "semantics_of",
]
