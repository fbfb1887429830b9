"""The demo as one application in one process: `gestalt run examples.telemetry.application:demo`.

The broker lives as long as the application. What uses it is supervised: a part that fails is
started again, where it was, while the others go on.
"""

from gestalt.amq import connect
from gestalt.amq.embedded import EmbeddedBroker
from gestalt.core import Component, Group, Supervisor, Timer

from .agent import Agent
from .alerter import Alerter
from .collector import Collector
from .messages import SERVICE, Query, codec

LISTEN = "tcp://127.0.0.1:0"


def demo() -> Group:
    """Broker, alerter, collector, agent, and somebody who asks the collector now and then."""
    broker = EmbeddedBroker(name="broker")
    parts = Parts(broker)
    supervised = Supervisor(
        parts.alerter, parts.collector, parts.agent, parts.curious, name="supervisor"
    )
    return Group(broker, supervised, name="telemetry")


class Parts:
    """Makes the parts, for each start of theirs: each knows those before it.

    Args:
        broker: the broker, which runs by then.
    """

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._broker = broker
        self._listen = LISTEN
        self._collector: Collector | None = None

    def alerter(self) -> Component:
        return Alerter(self._broker.url).bus

    def collector(self) -> Collector:
        if self._collector is not None:
            # One that is started again serves at the same address.
            self._listen = self._collector.url
        self._collector = Collector(self._listen, self._broker.url)
        return self._collector

    def agent(self) -> Agent:
        assert self._collector is not None
        return Agent(self._collector.url, interval=0.1)

    def curious(self) -> Group:
        """Asks for the mean load of the last half minute, twice a second."""
        bus = connect(self._broker.url, codec=codec, name="questions")
        requester = bus.requester(SERVICE, timeout=2.0)

        async def ask() -> None:
            await requester.request(Query("cpu", 30.0), idempotent=True)

        asking = Timer.every(0.5, ask, on_error="continue", name="asking")
        return Group(bus, asking, name="curious")
