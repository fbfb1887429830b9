import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gestalt.core import ManualClock


@pytest.fixture
async def reported() -> list[dict[str, Any]]:
    """What reaches the event loop's exception handler during the test."""
    contexts: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: contexts.append(context))
    return contexts


@pytest.fixture(autouse=True)
async def no_task_is_left() -> Iterator[None]:
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"tasks left behind: {left}"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start=100.0)
