"""The broker model: virtual hosts, exchanges, bindings, queues, consumers and channels.

It does no input or output and knows no asyncio; the time is given to it.
"""

from .broker import BrokerModel as BrokerModel
from .channel import Channel as Channel
from .channel import Output as Output
from .exchange import Binding as Binding
from .exchange import Exchange as Exchange
from .limits import ResourceLimits as ResourceLimits
from .message import Entry as Entry
from .message import Message as Message
from .policies import Policy as Policy
from .policies import read_policies as read_policies
from .queue import Queue as Queue
from .schedule import Schedule as Schedule
from .session import Session as Session
from .stream import Stream as Stream
from .stream_record import Record as Record
from .versions import DEFAULT_VERSION as DEFAULT_VERSION
from .versions import VERSIONS as VERSIONS
from .versions import Semantics as Semantics
from .versions import semantics_of as semantics_of
from .virtualhost import VirtualHost as VirtualHost
