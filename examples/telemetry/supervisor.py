"""The whole demo: a collector and an agent in processes of their own, and a summary at the end."""

import asyncio
import time

from .part import Part

INTERVAL = 0.1


class Demo:
    """Runs the parts until it is cancelled, or for `seconds`.

    Attributes:
        complete: whether it is certain that no sample was lost.
    """

    def __init__(self, seconds: float | None) -> None:
        self.complete = False
        self._seconds = seconds
        self._collector = Part("collector", "--listen", "tcp://127.0.0.1:0")
        self._agent = Part("agent")

    async def run(self) -> None:
        started = time.monotonic()
        try:
            async with self._collector as collector:
                url = collector.ready["url"]
                # One that is started again serves at the same address.
                collector.arguments = ["collector", "--listen", url]
                self._agent.arguments += ["--collector", url, "--interval", str(INTERVAL)]
                async with self._agent:
                    await asyncio.sleep(self._seconds or 1e9)
        finally:
            self._summarize(time.monotonic() - started)

    def _summarize(self, seconds: float) -> None:
        agent, collector = self._agent.report, self._collector.report
        if not agent:
            print("The agent left no report: what it sent is unknown.")
            return
        self.complete = agent["lost"] == 0 and collector.get("gaps") == 0 and not self._agent.deaths
        print(
            f"sent {agent['sent']}, received {agent['acknowledged']}, lost {agent['lost']} samples "
            f"in {seconds:.1f} s: {agent['acknowledged'] / seconds:.1f} per second"
        )
        if self._collector.deaths:
            print(
                f"The collector died {self._collector.deaths} times: the agent connected "
                f"{agent['connects']} times and sent {agent['resent']} samples again."
            )
        if self._agent.deaths:
            print(f"The agent died {self._agent.deaths} times: what it had sent is not counted.")
