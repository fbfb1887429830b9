"""What components can take anew without a restart, such as certificates that were renewed."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from .calling import RAISED, is_awaitable, is_own_cancellation
from .census import components
from .component import Component
from .life import State
from .marks import Mark
from .reporting import Reports

F = TypeVar("F", bound=Callable[[Any], object])

# One that hangs must keep neither the others nor the next reload waiting.
TIMEOUT = 10.0

_mark = Mark("reloads")
_reports = Reports(logging.getLogger("gestalt.core"))


def reloads(method: F) -> F:
    """Have `reload_components` call the decorated method of a component that runs.

        class Prices(Component):
            @reloads
            async def _read_again(self) -> None:
                self.prices = await asyncio.to_thread(read, self.path)

    It is a plain or an async method. When it raises, it should leave in use what was. The method of
    a subclass takes the place of none of its base classes, whatever it is called: both are called.

    Raises:
        TypeError: it is no function.
    """
    _mark.put(method)
    return method


async def reload_components() -> None:
    """Have all components that run in this process take anew what they can, one after another.

    `run` of gestalt-runner does so on SIGHUP. What one raises is logged, and so is one that takes
    more than 10 s, which is cancelled then; the others are reloaded all the same.
    """
    for component in components():
        for method in _mark.methods_of(type(component)):
            if component.state is State.RUNNING:
                await _reload(component, method)


async def _reload(component: Component, method: Callable[[Any], object]) -> None:
    try:
        async with asyncio.timeout(TIMEOUT):
            result = method(component)
            if is_awaitable(result):
                await result
    except RAISED as error:
        if is_own_cancellation(error):
            raise
        kind = type(component).__name__
        _reports.log(f"a component of type {kind} did not reload; it goes on as it was", error)
