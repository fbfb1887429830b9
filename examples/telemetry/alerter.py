"""The alerter: subscribes to the topic, and tells when a host is busy or short of memory."""

from typing import Any

from gestalt.amq import AmqError, BusBatch, connect
from gestalt.core import Batch
from gestalt.core.describing import note

from .count import Count
from .messages import (
    BROKER_TIMEOUT,
    EXCHANGE,
    SERVICE,
    Cpu,
    Memory,
    Query,
    Sample,
    Statistics,
    codec,
)

QUEUE = "telemetry.alerter"
GATHERED = Batch(size=100, within=0.2)
HOLD = 1.0
"""How long a value must stay above its limit, in seconds, before that is an alert."""


class Limit:
    """Watches one value of each host.

    Args:
        what: how the value is called.
        limit: in percent.
    """

    def __init__(self, what: str, limit: float) -> None:
        self._what = what
        self._limit = limit
        self._above_since: dict[str, float] = {}
        self._told: set[str] = set()

    def check(self, sample: Sample, percent: float) -> str | None:
        """An alert, when the value has been above the limit for long enough."""
        host = sample.host
        if percent <= self._limit:
            self._above_since.pop(host, None)
            self._told.discard(host)
            return None
        since = self._above_since.setdefault(host, sample.time)
        if host in self._told or sample.time - since < HOLD:
            return None
        self._told.add(host)
        return f"{host}: {self._what} above {self._limit:.0f} % for {sample.time - since:.1f} s"


class Alerter:
    """Subscribes at the broker `amqp`, and asks the collector what led up to an alert.

    Attributes:
        bus: what is to be started and stopped.
        count: what has come of the samples.
        alerts: what there was to tell.
    """

    def __init__(self, amqp: str) -> None:
        self.bus = connect(amqp, codec=codec, name="alerter", start_timeout=BROKER_TIMEOUT)
        self.count = Count()
        self.alerts: list[str] = []
        self._cpu = Limit("CPU", 90.0)
        self._memory = Limit("memory", 90.0)
        self._collector = self.bus.requester(SERVICE, timeout=2.0)
        note(self._collector, sends=[Query], receives=[Statistics])
        # A sample costs next to nothing: they are handled, and acknowledged, by the hundred.
        self.bus.subscription(EXCHANGE, "#", self._check_all, queue=QUEUE, batch=GATHERED)

    def summary(self) -> dict[str, Any]:
        return {**self.count.summary(), "alerts": self.alerts}

    async def _check_all(self, batch: BusBatch[Sample]) -> None:
        for sample in batch.bodies:
            if not self.count.add(sample):
                continue
            if isinstance(sample, Cpu):
                await self._check(sample, self._cpu, sample.percent, "cpu")
            elif isinstance(sample, Memory):
                await self._check(sample, self._memory, 100 * sample.used / sample.total, "memory")

    async def _check(self, sample: Sample, limit: Limit, percent: float, what: str) -> None:
        if alert := limit.check(sample, percent):
            self.alerts.append(f"{alert}{await self._context(sample.host, what)}")

    async def _context(self, host: str, what: str) -> str:
        """What the last half minute was like, as far as the collector can tell."""
        try:
            answer: Statistics = await self._collector.request(Query(what, 30.0), idempotent=True)
        except AmqError as error:
            return f" ({error})"
        return "".join(
            f"; over the last 30 s {each.mean:.0f} {answer.unit}, at most {each.maximum:.0f}"
            for each in answer.hosts
            if each.host == host
        )
