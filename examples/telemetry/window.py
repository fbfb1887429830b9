"""The samples of the last minute."""

import time
from collections import defaultdict, deque
from typing import TypeVar, cast

from .count import Count
from .messages import Sample

LENGTH = 60.0

S = TypeVar("S", bound=Sample)


class Window:
    """The samples of the last minute, by host and kind.

    Args:
        count: counts what comes in.
    """

    def __init__(self, count: Count) -> None:
        self._count = count
        self._samples: dict[tuple[str, type], deque[Sample]] = defaultdict(deque)

    def add(self, sample: Sample) -> None:
        """Take a sample in, unless it was before."""
        if not self._count.add(sample):
            return
        samples = self._samples[sample.host, type(sample)]
        samples.append(sample)
        while samples[0].time < sample.time - LENGTH:
            samples.popleft()

    def of(self, kind: type[S], last: float = LENGTH) -> dict[str, list[S]]:
        """The samples of one kind in the `last` seconds by host, without hosts that fell silent."""
        oldest = time.time() - last
        found = {}
        for (host, of_kind), samples in self._samples.items():
            if of_kind is kind and samples[-1].time >= oldest:
                found[host] = [cast("S", sample) for sample in samples if sample.time >= oldest]
        return found
