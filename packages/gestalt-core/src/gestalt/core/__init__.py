"""The vocabulary of Gestalt: components, timers, backoff, messages and handlers for asyncio.

    async with Timer.every(1.0, sample, times=10) as timer:
        await timer.wait()

What is here, by subject; `help(gestalt.core.Timer)` tells all of one name:

- Components start, run and stop: `Component`, its `State`, and `Readiness`; `Group` has several
  start and stop together, `Supervisor` starts again what fails
- Timers: `Timer`, `CronTimer`, `TimerStats`; a `Clock` for them, and `ManualClock` for tests
- Messages: `Message`, and `TransportMessage` beside it; `MessageBatch`, gathered by a `Batch`
- Handlers: a `Handler` takes a message; `Handlers` finds the one for its type, `handles` marks
  methods for that, and `Around` is run around each `Call`
- What a handler may raise to decide: an `Outcome`, which is `Park`, `RetryLater` or `Discard`
- Trying again: a `Backoff`, and its `Delays`
- Logs: `Reports`, `LimitRepeats`, `TraceIds`
- Threads and processes: `check_thread`, `keep_from_children`
- Errors: all are here, too; their tree is in gestalt.core.errors

Beside it: gestalt.core.metrics counts, gestalt.core.census finds what lives in the process, and
gestalt.core.testing is for tests.
"""

from .around import Around as Around
from .around import Call as Call
from .backoff import Backoff as Backoff
from .backoff import Delays as Delays
from .batch import Batch as Batch
from .batch import MessageBatch as MessageBatch
from .calls import TimerStats as TimerStats
from .clock import Clock as Clock
from .clock import ManualClock as ManualClock
from .component import Component as Component
from .cron import CronTimer as CronTimer
from .cron import ExtraNotInstalled as ExtraNotInstalled
from .errors import GestaltError as GestaltError
from .errors import ReplyNotPossible as ReplyNotPossible
from .errors import StateError as StateError
from .errors import WrongThread as WrongThread
from .forks import keep_from_children as keep_from_children
from .group import Group as Group
from .handlers import Handler as Handler
from .handlers import HandlerNotFound as HandlerNotFound
from .handlers import Handlers as Handlers
from .life import State as State
from .log_filters import LimitRepeats as LimitRepeats
from .log_filters import TraceIds as TraceIds
from .message import Message as Message
from .message import TransportMessage as TransportMessage
from .methods import handles as handles
from .outcomes import Discard as Discard
from .outcomes import Outcome as Outcome
from .outcomes import Park as Park
from .outcomes import RetryLater as RetryLater
from .readiness import Readiness as Readiness
from .reporting import Reports as Reports
from .supervisor import Supervisor as Supervisor
from .supervisor import TooManyRestarts as TooManyRestarts
from .threads import check_thread as check_thread
from .timer import Timer as Timer
