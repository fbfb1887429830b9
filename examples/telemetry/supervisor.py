"""The whole demo: every part in a process of its own, and a summary at the end."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack

from . import rendezvous
from .part import STOP_TIMEOUT, Part, PartFailed
from .screen import Screen

INTERVAL = 0.1

SHUTDOWN_TIMEOUT = 5 * STOP_TIMEOUT
"""How long the end may take when each of the parts hangs, in seconds."""


class Demo:
    """Runs the parts until it is cancelled, or for `seconds`.

    Args:
        seconds: how long to run; None for ever.
        amqp: the broker to use; None for the embedded one, in a process of its own.
        transport: how the agent sends to the collector: "tcp" or "udp".
    """

    def __init__(self, seconds: float | None, amqp: str | None, transport: str) -> None:
        self._seconds = seconds
        self._ran = INTERVAL
        self._amqp = amqp
        self._listen = f"{transport}://127.0.0.1:0"
        self._screen = screen = Screen()
        self._broker = Part("broker", say=screen.say)
        self._alerter = Part("alerter", say=screen.say)
        self._collector = Part("collector", say=screen.say, show=screen.show)
        self._agent = Part("agent", "--interval", str(INTERVAL), say=screen.say)

    async def run(self) -> None:
        """Start the parts, wait, and stop them; exits with a sentence when one does not start."""
        self._screen.open("The parts start ...")
        try:
            # The first to start is the last to stop.
            async with AsyncExitStack() as parts:
                await self._start(parts)
                started = time.monotonic()
                try:
                    async with asyncio.timeout(self._seconds):
                        await self._screen.gone.wait()
                except TimeoutError:
                    return
                finally:
                    self._ran = time.monotonic() - started
                    self._screen.ending()
        except PartFailed as error:
            sys.exit(str(error))
        finally:
            self._screen.close()
            # A collector that was killed has left its announcement.
            rendezvous.find()

    def summarize(self) -> bool:
        """Say what has come of it; whether it is certain that no sample was lost."""
        if not self._agent.was_ready:
            self._screen.say("The demo was ended before it had begun.")
            return True
        agent, collector, alerter = (
            part.report for part in (self._agent, self._collector, self._alerter)
        )
        if not (agent and collector and alerter):
            self._screen.say("A part left no report: what was lost is unknown.")
            return False
        # Also those after the last one that came, which leave no gap in the sequence numbers.
        lost = max(agent["lost"], collector["gaps"]) + alerter["gaps"]
        self._screen.say(
            f"sent {agent['sent']}, received {agent['acknowledged']}, lost {lost} samples in "
            f"{self._ran:.1f} s: {agent['acknowledged'] / self._ran:.1f} per second"
        )
        self._screen.say(f"The alerter got {alerter['received']} of them by the topic.")
        for alert in alerter["alerts"]:
            self._screen.say(f"Alert: {alert}")
        if agent["resent"]:
            self._screen.say(
                f"The agent connected {agent['connects']} times and resent {agent['resent']}."
            )
        for part in (self._broker, self._alerter, self._collector, self._agent):
            if part.deaths:
                died = f"died {part.deaths} times, and was started again"
                self._screen.say(f"The {part.name} {died}.")
        return not lost and not self._agent.deaths and not self._screen.gone.is_set()

    async def _start(self, parts: AsyncExitStack) -> None:
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
