"""Addresses of a host are tried one after another, and each of their failures is told."""

import asyncio
import socket
import sys
from contextlib import closing

import pytest

from gestalt.core.dial import race
from tests.core.turning import settle
from tests.support.addresses import refusing_address


async def test_what_has_no_address_and_what_is_none_are_refused() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError, match="the name has no address"):
        await race(loop, [])
    with pytest.raises(OverflowError, match="0-65535"):
        await race(loop, [(socket.AF_INET, ("127.0.0.1", 70_000))])


@pytest.mark.skipif(sys.platform != "linux", reason="where a full queue keeps clients waiting")
async def test_one_that_answers_late_is_waited_for_when_the_others_have_refused() -> None:
    loop = asyncio.get_running_loop()
    with refusing_address() as refusing, socket.socket() as listening, socket.socket() as first:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        late = listening.getsockname()
        first.connect(late)
        racing = asyncio.create_task(
            race(loop, [(socket.AF_INET, late), (socket.AF_INET, refusing)])
        )
        # What has found the queue full comes again a second later.
        await settle()
        listening.accept()[0].close()
        with closing(await racing) as connected:
            assert connected.getpeername() == late
