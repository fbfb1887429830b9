"""The time between the request to stop and the stop itself."""

import asyncio


class DrainDelay:
    """Lets the parts of an application go on for a while, when it says already that it stops.

    Whoever sends it work, such as the endpoints of Kubernetes or a load balancer, hears of that
    only after some time, and goes on to send until then.

    Args:
        seconds: how long they go on.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._over = asyncio.Event()
        self._over.set()

    def begin(self) -> None:
        """Have `wait` wait."""
        self._over.clear()

    def end(self) -> None:
        """Have it wait no longer."""
        self._over.set()

    async def wait(self) -> None:
        """Wait until the time is over; at once if it has not begun."""
        if self._seconds > 0:
            try:
                async with asyncio.timeout(self._seconds):
                    await self._over.wait()
            except TimeoutError:
                self._over.set()
