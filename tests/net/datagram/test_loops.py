"""Event loops that cannot watch sockets, as the default one of Windows cannot."""

import asyncio
import gc
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from gestalt.core import State
from gestalt.net import DatagramEndpoint, LoopNotSuitable, Raw, Wire

DESCRIPTORS = Path("/proc/self/fd")


class Proactor(asyncio.SelectorEventLoop):
    """Refuses to watch sockets, as asyncio.ProactorEventLoop does."""

    def add_reader(self, *_: Any) -> NoReturn:
        raise NotImplementedError

    remove_reader = add_writer = remove_writer = add_reader


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts descriptors in /proc")
@pytest.mark.parametrize("peer", [None, "udp://127.0.0.1:9"])
@pytest.mark.parametrize("groups", [(), ("239.1.2.3",)])
def test_the_error_says_what_to_run_an_endpoint_on_and_nothing_is_left(
    peer: str | None, groups: tuple[str, ...]
) -> None:
    endpoint = DatagramEndpoint("udp://0.0.0.0:0", Wire(Raw()), peer=peer, groups=groups)

    async def main() -> None:
        before = len(list(DESCRIPTORS.iterdir()))
        with pytest.raises(LoopNotSuitable, match=r"Proactor.*asyncio\.SelectorEventLoop"):
            await endpoint.start()
        gc.collect()
        assert len(list(DESCRIPTORS.iterdir())) == before
        assert endpoint.state is State.FAILED

    with asyncio.Runner(loop_factory=Proactor) as runner:
        runner.run(main())
    # Where it is told to, it works.

    async def again() -> None:
        async with endpoint:
            assert endpoint.address.port

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(again())
