"""Endpoints live on one event loop after another, also on one such as that of Windows."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from gestalt.net import DatagramEndpoint, Raw, Wire
from tests.support.completion_loop import CompletionLoop


@pytest.mark.parametrize("peer", [None, "udp://127.0.0.1:9"])
@pytest.mark.parametrize("groups", [(), ("239.1.2.3",)])
def test_an_endpoint_starts_again_on_another_kind_of_event_loop(
    peer: str | None, groups: tuple[str, ...]
) -> None:
    endpoint = DatagramEndpoint("udp://0.0.0.0:0", Wire(Raw()), peer=peer, groups=groups)

    async def main() -> None:
        async with endpoint:
            assert endpoint.address.port

    loops: list[Callable[[], Any]] = [asyncio.SelectorEventLoop, CompletionLoop]
    for loop in (*loops, *loops):
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(main())


async def test_where_the_loop_receives_an_empty_datagram_and_the_largest_arrive() -> None:
    received: list[int] = []
    ended = asyncio.Event()

    def handle(message: Any) -> None:
        received.append(len(message.body))
        if len(received) == 3:
            ended.set()

    async with (
        DatagramEndpoint("udp://127.0.0.1:0", Wire(Raw()), on_message=handle) as server,
        DatagramEndpoint(None, Wire(Raw()), peer=server.address) as client,
    ):
        for size in (0, 65_507, 1):
            await client.send(bytes(size))
        async with asyncio.timeout(10):
            await ended.wait()
    assert received == [0, 65_507, 1]
