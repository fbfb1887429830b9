"""Who takes part in a partitioned queue, as far as is known; without I/O."""

# Each says so often that it is there, in seconds.
BEAT = 1.0
# Whoever was silent for so long is looked for; after so much longer it is taken for gone.
SILENT = 2.5
LOST = 15.0


class Members:
    """Those who were heard of: each by its name, with the queue that it is reached by.

    Args:
        name: one's own, who is always among them.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._queues: dict[str, str] = {}
        self._heard: dict[str, float] = {}

    @property
    def names(self) -> frozenset[str]:
        """Who takes part."""
        return frozenset((self._name, *self._queues))

    def hear(self, name: str, queue: str, now: float) -> bool:
        """Somebody says that it is there; whether that is new.

        Args:
            now: the time, in seconds of any clock.
        """
        if name == self._name:
            return False
        new = name not in self._queues
        self._queues[name] = queue
        self._heard[name] = now
        return new

    def leave(self, name: str) -> bool:
        """Somebody says that it goes; whether it was there."""
        self._heard.pop(name, None)
        return self._queues.pop(name, None) is not None

    def gone(self, queue: str) -> bool:
        """There is no such queue any more; whether somebody was reached by it."""
        names = [name for name, reached in self._queues.items() if reached == queue]
        for name in names:
            self.leave(name)
        return bool(names)

    def silent(self, now: float) -> list[str]:
        """The queues of those who said nothing for a while, to see whether they are there."""
        return [self._queues[name] for name, heard in self._heard.items() if now - heard > SILENT]

    def expire(self, now: float) -> bool:
        """Take those for gone who said nothing for long; whether there are any."""
        lost = [name for name, heard in self._heard.items() if now - heard > LOST]
        for name in lost:
            self.leave(name)
        return bool(lost)

    def refresh(self, now: float) -> None:
        """One was away oneself: whether the others are there is seen from now on."""
        self._heard = dict.fromkeys(self._heard, now)

    def forget(self) -> None:
        """Nothing is known of the others any more."""
        self._queues.clear()
        self._heard.clear()
