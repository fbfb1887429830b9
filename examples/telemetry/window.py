"""The samples of the last minute."""

import time
from collections import defaultdict, deque
from typing import TypeVar, cast

from .messages import Sample

LENGTH = 60.0

S = TypeVar("S", bound=Sample)


class Window:
    """The samples of the last minute, by host and kind.

    Attributes:
        received: samples taken in, each counted once.
        repeated: samples that had been taken in before, sent again after a reconnect.
        gaps: samples that are missing between others of the same agent.
    """

    def __init__(self) -> None:
        self.received = self.repeated = self.gaps = 0
        self._samples: dict[tuple[str, type], deque[Sample]] = defaultdict(deque)
        self._last: dict[str, int] = {}

    def add(self, sample: Sample) -> None:
        last = self._last.get(sample.agent, sample.sequence - 1)
        if sample.sequence <= last:
            self.repeated += 1
            return
        self.gaps += sample.sequence - last - 1
        self._last[sample.agent] = sample.sequence
        self.received += 1
        samples = self._samples[sample.host, type(sample)]
        samples.append(sample)
        while samples[0].time < sample.time - LENGTH:
            samples.popleft()

    def of(self, kind: type[S]) -> dict[str, list[S]]:
        """The samples of one kind by host, the oldest first; without hosts that fell silent."""
        oldest = time.time() - LENGTH
        found = {}
        for (host, of_kind), samples in self._samples.items():
            if of_kind is kind and samples[-1].time >= oldest:
                found[host] = [cast("S", sample) for sample in samples if sample.time >= oldest]
        return found
