"""Addresses of a host are tried one after another, and each of their failures is told."""

import asyncio
import socket

import pytest

from gestalt.core.dial import race


async def test_what_has_no_address_and_what_is_none_are_refused() -> None:
    loop = asyncio.get_running_loop()
    with pytest.raises(OSError, match="the name has no address"):
        await race(loop, [])
    with pytest.raises(OverflowError, match="0-65535"):
        await race(loop, [(socket.AF_INET, ("127.0.0.1", 70_000))])
