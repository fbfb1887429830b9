"""What the collector answers when it is asked about the last seconds."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import Any

from .messages import Cpu, Disk, HostStatistics, Memory, Network, Query, Sample, Statistics
from .window import Window

Values = Callable[[Sequence[Any]], list[float]]


def rates(samples: Sequence[Sample], counter: Callable[[Any], int]) -> list[float]:
    """How fast a counter of bytes grew from sample to sample, in KiB per second."""
    return [
        (counter(b) - counter(a)) / max(b.time - a.time, 1e-3) / 1024 for a, b in pairwise(samples)
    ]


SUBJECTS: dict[str, tuple[type[Sample], str, Values]] = {
    "cpu": (Cpu, "%", lambda samples: [each.percent for each in samples]),
    "memory": (Memory, "%", lambda samples: [100 * each.used / each.total for each in samples]),
    "received": (Network, "KiB/s", lambda samples: rates(samples, attrgetter("received"))),
    "sent": (Network, "KiB/s", lambda samples: rates(samples, attrgetter("sent"))),
    "read": (Disk, "KiB/s", lambda samples: rates(samples, attrgetter("read"))),
    "written": (Disk, "KiB/s", lambda samples: rates(samples, attrgetter("written"))),
}
"""What may be asked about, with its unit, and how it follows from samples."""


def answer(window: Window, query: Query) -> Statistics:
    """Sum up the samples of one kind, host by host.

    Raises:
        ValueError: the collector knows nothing of it.
    """
    if query.what not in SUBJECTS:
        raise ValueError(f"{query.what!r} is none of {', '.join(SUBJECTS)}")
    kind, unit, values_of = SUBJECTS[query.what]
    hosts = []
    for host, samples in window.of(kind, query.last).items():
        if values := values_of(samples):
            mean = sum(values) / len(values)
            hosts.append(
                HostStatistics(host, len(values), min(values), mean, max(values), values[-1])
            )
    return Statistics(unit, hosts)
