"""The whole demo: every part in a process of its own, and a summary at the end."""

import asyncio
import time
from contextlib import AsyncExitStack

from . import rendezvous
from .part import Part

INTERVAL = 0.1


class Demo:
    """Runs the parts until it is cancelled, or for `seconds`.

    Args:
        seconds: how long to run; None for ever.
        amqp: the broker to use; None for the embedded one, in a process of its own.
        transport: how the agent sends to the collector: "tcp" or "udp".

    Attributes:
        complete: whether it is certain that no sample was lost.
    """

    def __init__(self, seconds: float | None, amqp: str | None, transport: str) -> None:
        self.complete = False
        self._seconds = seconds
        self._amqp = amqp
        self._listen = f"{transport}://127.0.0.1:0"
        self._broker = Part("broker")
        self._alerter = Part("alerter")
        self._collector = Part("collector")
        self._agent = Part("agent", "--interval", str(INTERVAL))

    async def run(self) -> None:
        started = time.monotonic()
        try:
            # The first to start is the last to stop.
            async with AsyncExitStack() as parts:
                amqp = self._amqp
                if amqp is None:
                    await parts.enter_async_context(self._broker)
                    amqp = self._broker.ready["url"]
                    self._broker.arguments += ["--port", str(self._broker.ready["port"])]
                self._alerter.arguments += ["--amqp", amqp]
                await parts.enter_async_context(self._alerter)
                self._collector.arguments += ["--amqp", amqp, "--listen", self._listen]
                await parts.enter_async_context(self._collector)
                url = self._collector.ready["url"]
                # One that is started again serves at the same address.
                self._collector.arguments[-1] = url
                self._agent.arguments += ["--collector", url]
                await parts.enter_async_context(self._agent)
                started = time.monotonic()
                parts.enter_context(rendezvous.announced(amqp))
                await asyncio.sleep(self._seconds or 1e9)
        finally:
            self._summarize(time.monotonic() - started)

    def _summarize(self, seconds: float) -> None:
        agent, collector, alerter = (
            part.report for part in (self._agent, self._collector, self._alerter)
        )
        if not (agent and collector and alerter):
            print("A part left no report: what was lost is unknown.")
            return
        # Also those after the last one that came, which leave no gap in the sequence numbers.
        lost = max(agent["lost"], collector["gaps"]) + alerter["gaps"]
        self.complete = not lost and not self._agent.deaths
        print(
            f"sent {agent['sent']}, received {agent['acknowledged']}, lost {lost} samples "
            f"in {seconds:.1f} s: {agent['acknowledged'] / seconds:.1f} per second"
        )
        print(f"The alerter got {alerter['received']} of them by the topic.")
        for alert in alerter["alerts"]:
            print(f"Alert: {alert}")
        if agent["resent"]:
            print(f"The agent connected {agent['connects']} times and resent {agent['resent']}.")
        for part in (self._broker, self._alerter, self._collector, self._agent):
            if part.deaths:
                print(f"The {part.name} died {part.deaths} times, and was started again.")
