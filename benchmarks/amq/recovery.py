"""How long buses take to be ready again after the broker was away: run by hand, not in CI.

python -m benchmarks.amq.recovery [--buses 20] [--outage 25] [--dead]

A private RabbitMQ is ended by SIGKILL and started again; with --dead, a socket that takes
connections and says nothing stands in its place meanwhile. GESTALT_RABBITMQ names another
installation, as for the tests.
"""

import argparse
import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from gestalt.amq import Bus, BusMessage, Connected, connect
from gestalt.core import dial as core_dial
from tests.support.rabbitmq import RabbitMQNode

logger = logging.getLogger("gestalt.amq")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_RawText)
    parser.add_argument("--buses", type=int, default=20)
    parser.add_argument("--outage", type=float, default=25.0, help="in seconds")
    parser.add_argument("--dead", action="store_true", help="the port accepts, and says nothing")
    given = parser.parse_args()
    # Each line of a connection is of interest in a run of few buses only.
    logging.basicConfig(level=logging.WARNING if given.buses < 4 else logging.ERROR)
    node = RabbitMQNode("recovery")
    node.start()
    try:
        await measure(node, given.buses, given.outage, dead=given.dead)
    finally:
        node.close()


async def measure(node: RabbitMQNode, count: int, outage: float, *, dead: bool) -> None:
    loop = asyncio.get_running_loop()
    attempts: list[float] = []
    connected: list[float] = []

    def note(event: object) -> None:
        if isinstance(event, Connected):
            connected.append(time.monotonic())

    with _attempts_counted(attempts):
        buses = [connect(node.url, name=f"bus{n}", on_event=note) for n in range(count)]
        for number, bus in enumerate(buses):
            await _start(bus, number)
        # Longer than a link has to stay up to count as stable.
        await asyncio.sleep(6)
        attempts.clear()
        connected.clear()
        await loop.run_in_executor(None, node.kill)
        down = time.monotonic()
        with _silent_listener(node.port, wanted=dead):
            await asyncio.sleep(outage)
        starting = loop.run_in_executor(None, node.start)
        await starting
        back = time.monotonic()
        ready = await asyncio.gather(*(_ready_at(bus) for bus in buses))
        for number, bus in enumerate(buses):
            await bus.publisher(f"recovery-{number}", mandatory=True, timeout=10).publish(1, "k")
        during = [each for each in attempts if each < back]
        print(f"{count} buses, {3 * count} connections, away for {back - down:.1f} s")
        print(f"attempts while away: {len(during)}, {len(during) / (back - down):.2f} a second")
        seconds = Counter(int(each - down) for each in during)
        print("  in each second:", [seconds[each] for each in range(int(back - down) + 1)])
        print(f"attempts afterwards: {len(attempts) - len(during)}")
        _show("connections up", connected, back)
        _show("buses ready", ready, back)
        await asyncio.gather(*(bus.stop() for bus in buses))


async def _start(bus: Bus, number: int) -> None:
    async def answer(request: BusMessage[Any]) -> Any:
        return request.body

    await bus.start()
    await bus.subscribe(f"recovery-{number}", "#", answer, queue=f"recovery-{number}")
    await bus.respond(f"recovery-{number}", answer)
    await bus.publisher(f"recovery-{number}").publish(0, "k")


async def _ready_at(bus: Bus) -> float:
    async with asyncio.timeout(120):
        while not bus.ready:  # noqa: ASYNC110 - there is no event of it, and 10 ms are exact enough
            await asyncio.sleep(0.01)
    return time.monotonic()


def _show(what: str, times: list[float], back: float) -> None:
    late = sorted(each - back for each in times)
    if not late:
        print(f"{what}: none")
        return
    half, most = late[len(late) // 2], late[int(0.9 * (len(late) - 1))]
    print(
        f"{what}, in seconds from when the broker was back: {late[0]:.2f} the first, "
        f"{half:.2f} half of them, {most:.2f} nine of ten, {late[-1]:.2f} all {len(late)}"
    )


@contextmanager
def _attempts_counted(attempts: list[float]) -> Iterator[None]:
    original = core_dial.dial

    async def counting(*args: Any, **options: Any) -> socket.socket:
        attempts.append(time.monotonic())
        return await original(*args, **options)

    with mock.patch("gestalt.amq.link.dial.dial", counting):
        yield


@contextmanager
def _silent_listener(port: int, *, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    with socket.create_server(("127.0.0.1", port), backlog=1000):
        yield


class _RawText(argparse.RawDescriptionHelpFormatter):
    pass


if __name__ == "__main__":
    asyncio.run(main())
