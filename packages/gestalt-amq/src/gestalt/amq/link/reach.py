"""Whether a broker can be reached: asked once, for all that wait for the same one.

While a broker is away, one connection tries for all, and the one that comes up wakes the others.
Each by itself, with a backoff of its own, sixty connections would ask thirty times a second, or
come back a minute after the broker.
"""

import asyncio
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gestalt.amq.errors import AccessRefused, AmqError, ConnectError, CredentialsError

T = TypeVar("T")

# Who has not got an answer for so long, in seconds, does not speak for the others any more.
STUCK = 0.5
# For how long a connection to a broker that has let go of others is to last, in seconds, before
# all come; twice as long each time that it did not.
TRIAL = 1.0
LONGEST_TRIAL = 8.0
NEVER = float("-inf")


class Reach:
    """What is known of one broker, by all supervisors of one event loop that go to it.

    Attributes:
        up: the latest attempt reached it, and no connection to it was lost since.
        listeners: are called when it was away and is back.
    """

    def __init__(self) -> None:
        self.up = False
        # The latest attempt did not reach it: it comes back, which those who wait are told.
        self._away = False
        self._away_since = NEVER
        # How often in a row it has let somebody in, and ended the connection soon.
        self._flaps = 0
        self._trial: asyncio.TimerHandle | None = None
        self.listeners: set[Callable[[], None]] = set()
        self._news = asyncio.Event()
        self._failure: ConnectError | None = None
        self._failed_at = NEVER
        self._failed_by: object = None
        # Attempts that speak for others, each with the time of its beginning.
        self._probes: dict[asyncio.Timeout, float] = {}

    async def attempt(self, connect: Callable[[], Awaitable[T]], *, who: object, gap: float) -> T:
        """Connect; where another has just tried, or does so now, that counts for this one.

        Args:
            connect: makes a connection.
            who: tells those who try apart.
            gap: for how long a failure counts for others, in seconds.

        Raises:
            ConnectError: the broker was not reached, by this attempt or by one of another.
        """
        time = asyncio.get_running_loop().time
        came = time()
        while not self.up:
            now = time()
            recent = now - gap if self._failed_by is not who else now
            if self._failure is not None and self._failed_at > min(came, recent):
                raise ConnectError(str(self._failure)) from self._failure
            wait = max(self._probes.values(), default=NEVER) + STUCK - now
            if wait <= 0:
                break
            await self._wait_for_news(wait)
        while True:
            begun = time()
            probe = not self.up
            try:
                # Its end is set by an attempt that began later, and got through.
                async with asyncio.timeout(None) as limit:
                    if probe:
                        self._probes[limit] = begun
                    made = await connect()
            except TimeoutError:
                if not limit.expired():  # pragma: no cover - a timeout of somebody else's code
                    raise
                continue
            except CredentialsError:
                # It says nothing of the broker.
                raise
            except AccessRefused:
                self._came_up(begun)
                raise
            except ConnectError as error:
                self._fail(error, who)
                raise
            finally:
                if self._probes.pop(limit, None) is not None:
                    self._tell()
            self._came_up(begun)
            return made

    def note_loss(self, reason: AmqError, who: object, *, lasted: bool) -> None:
        """A connection was lost: whether the broker can be reached is not known.

        Args:
            reason: why.
            who: as `attempt` has it.
            lasted: it was up for long. A broker that lets us in and ends the connection is no
                better than one that is away: if everybody came at once, all would, again and again.
        """
        if lasted:
            self.up = False
            self._end_trial()
            self._flaps = 0
            return
        if self.up or self._trial is not None:
            self._flaps += 1
            self._fail(ConnectError(str(reason)), who)
            self._away = False

    def _fail(self, error: ConnectError, who: object) -> None:
        self.up = False
        self._end_trial()
        now = asyncio.get_running_loop().time()
        if not self._away:
            self._away, self._away_since = True, now
        self._failure = error
        self._failed_at = now
        self._failed_by = who
        self._tell()

    def _came_up(self, begun: float) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for limit, at in self._probes.items():
            # One that is being given up already may take a while to end.
            if at <= begun - STUCK and not limit.expired():
                limit.reschedule(now)
        if self._away and now - self._away_since >= TRIAL:
            # It was away for good, whatever it did before.
            self._flaps = 0
        if self._flaps and not self.up:
            # For the others it has failed just now, until it is seen to last.
            self._failed_at, self._failed_by = now, None
            if self._trial is None:
                trial = min(LONGEST_TRIAL, TRIAL * 2.0 ** (self._flaps - 1))
                self._trial = loop.call_later(trial, self._trust)
            self._tell()
        else:
            self._trust(wake=self._away)

    def _trust(self, *, wake: bool = True) -> None:
        self._end_trial()
        self.up = True
        self._away = False
        self._failure = None
        self._tell()
        if wake:
            for listener in list(self.listeners):
                listener()

    def _end_trial(self) -> None:
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _wait_for_news(self, limit: float) -> None:
        try:
            async with asyncio.timeout(limit):
                await self._news.wait()
        except TimeoutError:
            pass


# By event loop and place. Nothing here keeps anything alive: neither a loop that has ended, nor a
# broker that no supervisor goes to any more.
_reaches: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.WeakValueDictionary[str, Reach]
] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def reach_of(place: str) -> Reach:
    """What the present event loop knows of the broker at a place, for as long as it is kept."""
    loop = asyncio.get_running_loop()
    with _lock:
        reaches = _reaches.get(loop)
        if reaches is None:
            reaches = _reaches[loop] = weakref.WeakValueDictionary()
        reach = reaches.get(place)
        if reach is None:
            reach = reaches[place] = Reach()
        return reach
