"""The vocabulary of Gestalt: components, timers, backoff, messages and handlers for asyncio.

What is here, by subject; `help(gestalt.core.Timer)` tells all of one name:

- Components: `Component`, `State`, `Readiness`, `Group`, `Supervisor`
- Timers: `Timer`, `CronTimer`, `TimerStats`, `Clock`, `ManualClock`
- Messages: `Message`, `TransportMessage`, `MessageBatch`, `Batch`
- Handlers: `Handler`, `Handlers`, `handles`, `Around`, `Call`; what they may raise: `Park`,
  `RetryLater`, `Discard`
- Trying again: `Backoff`, `Delays`
- Logs: `Reports`, `LimitRepeats`, `TraceIds`
- Threads and processes: `check_thread`, `keep_from_children`
- Errors: their tree is in gestalt.core.errors
"""

from .around import Around, Call
from .backoff import Backoff, Delays
from .batch import Batch, MessageBatch
from .calls import TimerStats
from .clock import Clock, ManualClock
from .component import Component
from .cron import CronTimer, ExtraNotInstalled
from .errors import GestaltError, ReplyNotPossible, StateError, WrongThread
from .forks import keep_from_children
from .group import Group
from .handlers import Handler, HandlerNotFound, Handlers
from .life import State
from .log_filters import LimitRepeats, TraceIds
from .message import Message, TransportMessage
from .methods import handles
from .outcomes import Discard, Outcome, Park, RetryLater
from .readiness import Readiness
from .reporting import Reports
from .supervisor import Supervisor, TooManyRestarts
from .threads import check_thread
from .timer import Timer

__all__ = [
    "Around",
    "Backoff",
    "Batch",
    "Call",
    "Clock",
    "Component",
    "CronTimer",
    "Delays",
    "Discard",
    "ExtraNotInstalled",
    "GestaltError",
    "Group",
    "Handler",
    "HandlerNotFound",
    "Handlers",
    "LimitRepeats",
    "ManualClock",
    "Message",
    "MessageBatch",
    "Outcome",
    "Park",
    "Readiness",
    "ReplyNotPossible",
    "Reports",
    "RetryLater",
    "State",
    "StateError",
    "Supervisor",
    "Timer",
    "TimerStats",
    "TooManyRestarts",
    "TraceIds",
    "TransportMessage",
    "WrongThread",
    "check_thread",
    "handles",
    "keep_from_children",
]
