"""The alerter: subscribes to the topic, and tells when a host is busy or short of memory."""

from typing import Any

from gestalt.amq import connect
from gestalt.core import Component, Handlers, Message

from .count import Count
from .messages import EXCHANGE, Cpu, Memory, Sample, codec

QUEUE = "telemetry.alerter"
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


class Alerter(Component):
    """Subscribes at the broker `amqp`; knows nothing of agents and collectors."""

    def __init__(self, amqp: str) -> None:
        super().__init__()
        self.count = Count()
        self.alerts: list[str] = []
        self._cpu = Limit("CPU", 90.0)
        self._memory = Limit("memory", 90.0)
        self._bus = connect(amqp, codec=codec)
        self._handlers = Handlers()
        self._handlers.on(Cpu)(self._check_cpu)
        self._handlers.on(Memory)(self._check_memory)
        self._handlers.default(self._check_nothing)

    def summary(self) -> dict[str, Any]:
        return {**self.count.summary(), "alerts": self.alerts}

    async def _open(self) -> None:
        await self._bus.start()
        await self._bus.subscribe(EXCHANGE, "#", self._handlers, queue=QUEUE)

    async def _drain(self) -> None:
        await self._bus.stop()

    async def _close(self) -> None:
        await self._bus.stop()

    def _check_cpu(self, message: Message[Cpu]) -> None:
        self._check(message.body, self._cpu, message.body.percent)

    def _check_memory(self, message: Message[Memory]) -> None:
        self._check(message.body, self._memory, 100 * message.body.used / message.body.total)

    def _check_nothing(self, message: Message[Sample]) -> None:
        self.count.add(message.body)

    def _check(self, sample: Sample, limit: Limit, percent: float) -> None:
        if self.count.add(sample) and (alert := limit.check(sample, percent)):
            self.alerts.append(alert)
