"""The vocabulary of Gestalt: components, timers, backoff, messages and handlers for asyncio."""

from .backoff import Backoff, Delays
from .batch import Batch, MessageBatch
from .clock import Clock, ManualClock
from .component import Component
from .errors import GestaltError, ReplyNotPossible, StateError, WrongThread
from .forks import keep_from_children
from .handlers import Handler, HandlerNotFound, Handlers
from .life import State
from .message import Message
from .outcomes import Discard, Outcome, Park, RetryLater
from .reporting import Reports
from .threads import check_thread
from .timer import Timer, TimerStats

__all__ = [
    "Backoff",
    "Batch",
    "Clock",
    "Component",
    "Delays",
    "Discard",
    "GestaltError",
    "Handler",
    "HandlerNotFound",
    "Handlers",
    "ManualClock",
    "Message",
    "MessageBatch",
    "Outcome",
    "Park",
    "ReplyNotPossible",
    "Reports",
    "RetryLater",
    "State",
    "StateError",
    "Timer",
    "TimerStats",
    "WrongThread",
    "check_thread",
    "keep_from_children",
]
