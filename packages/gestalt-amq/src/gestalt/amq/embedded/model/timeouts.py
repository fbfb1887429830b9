"""Deliveries that a client does not acknowledge in time.

https://www.rabbitmq.com/docs/consumers#acknowledgement-timeout
"""

from collections.abc import Callable

from .schedule import Call, Schedule


class DeliveryTimeouts:
    """The deliveries of one consumer, and when each is to be acknowledged.

    Args:
        schedule: for what has to happen later.
        timeout: how long a delivery may take, in seconds.
        is_open: tells whether the delivery with this tag is not acknowledged.
        expired: called with the tags of those that have taken too long.
    """

    def __init__(
        self,
        schedule: Schedule,
        timeout: float,
        *,
        is_open: Callable[[int], bool],
        expired: Callable[[list[int]], None],
    ) -> None:
        self.timeout = timeout
        self._schedule = schedule
        self._is_open = is_open
        self._expired = expired
        # By tag, ascending; those that were acknowledged are dropped now and then.
        self._due: dict[int, float] = {}
        self._most = 1000
        self._call: Call | None = None

    def add(self, tag: int) -> None:
        """Watch a delivery from now on."""
        self._due[tag] = self._schedule.now() + self.timeout
        if len(self._due) > self._most:
            self._due = {tag: due for tag, due in self._due.items() if self._is_open(tag)}
            self._most = 2 * len(self._due) + 1000
        if self._call is None:
            self._watch()

    def close(self) -> None:
        """Watch no more."""
        self._due = {}
        self._schedule.cancel(self._call)
        self._call = None

    def _watch(self) -> None:
        if self._due:
            due = next(iter(self._due.values()))
            self._call = self._schedule.call_at(due, self._check)

    def _check(self) -> None:
        self._call = None
        now = self._schedule.now()
        late = []
        for tag, due in list(self._due.items()):
            if due > now and self._is_open(tag):
                break
            del self._due[tag]
            if due <= now and self._is_open(tag):
                late.append(tag)
        self._watch()
        if late:
            self._expired(late)
