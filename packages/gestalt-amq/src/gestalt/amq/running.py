"""Awaiting a call within a component, on behalf of whoever asks for it."""

import asyncio
from collections.abc import Awaitable, Callable

from gestalt.core import Component, State, StateError
from gestalt.core.calling import cancellations, is_own_cancellation

from .link.spawn import Spawn


async def run_within(
    component: Component, spawn: Spawn, call: Callable[[], Awaitable[None]]
) -> None:
    """Await a call in a task of a component, so that what is started by it is within that.

    A handler that stops the component is thereby known to be one of its own, whoever made it.

    Args:
        component: that starts or runs.
        spawn: makes a task of it.
        call: what is to be awaited.

    Raises:
        StateError: the component was stopped meanwhile.
        Exception: what the call raises.
    """
    if component.state not in (State.STARTING, State.RUNNING):
        raise StateError(f"{component!r} is not running")
    before = cancellations()
    try:
        error = await spawn(_error_of(call), name="start")
    except asyncio.CancelledError as cancelled:
        if is_own_cancellation(cancelled, since=before):
            raise
        raise StateError(f"{component!r} was stopped meanwhile") from None
    if error is not None:
        raise error


async def _error_of(call: Callable[[], Awaitable[None]]) -> Exception | None:
    """What a call raises: its caller is told, and the component whose task it is goes on."""
    try:
        await call()
    except Exception as error:
        return error
    return None
