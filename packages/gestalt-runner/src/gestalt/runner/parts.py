"""The parts of an application: components and main coroutines, with one interface to both."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gestalt.core import Component
from gestalt.core.calling import is_awaitable, name_of
from gestalt.core.numbers import kind_of

WANTED = "run() takes components, factories of them, coroutines and async functions"

Main = Component | Coroutine[Any, Any, Any] | Callable[[], Awaitable[Any] | Component]


class ComponentPart:
    """A component: started, waited for and stopped by its own methods."""

    def __init__(self, component: Component) -> None:
        self.component = component
        self.started = False
        self.name = component.name

    async def start(self) -> None:
        await self.component.start()

    async def wait(self) -> None:
        """Wait for the end."""
        await self.component.wait_stopped()

    def request_stop(self, timeout: float) -> None:
        """Begin to stop; the drain is cut after `timeout` seconds."""
        self.component.request_stop(timeout=timeout)

    async def stop(self) -> None:
        await self.component.stop()


class MainPart:
    """A coroutine: it runs in a task, and is cancelled to stop it.

    Or a function that makes a component: that takes its place.
    """

    def __init__(
        self, main: Coroutine[Any, Any, Any] | Callable[[], Awaitable[Any] | Component]
    ) -> None:
        self._main = main
        self.started = False
        self.name = name_of(main)
        self._task: asyncio.Task[Any] | None = None

    async def start(self) -> ComponentPart | None:
        """Begin; the component that a plain function has made, if it has, is to start now."""
        main = self._main
        result = main if inspect.iscoroutine(main) else self._call(main)
        if isinstance(result, Component):
            return ComponentPart(result)
        self._task = asyncio.get_running_loop().create_task(_await(result), name=self.name)
        return None

    async def wait(self) -> ComponentPart | None:
        """Wait for the end; the cancellation that `request_stop` asked for is a good one.

        A component that an async function has returned is to start now.
        """
        if self._task is not None:  # pragma: no branch - for type checkers
            await asyncio.wait([self._task])
            if not self._task.cancelled() and isinstance(made := self._task.result(), Component):
                return ComponentPart(made)
        return None

    def request_stop(self, _timeout: float) -> None:
        if self._task is not None:  # pragma: no branch - for type checkers
            self._task.cancel()

    async def stop(self) -> None:
        if self._task is not None:  # pragma: no branch - for type checkers
            await asyncio.wait([self._task])

    def _call(self, main: Any) -> Any:
        result = main()
        if not (is_awaitable(result) or isinstance(result, Component)):
            raise TypeError(
                f"{self.name} must be an async function, or return a component; it returned "
                f"{kind_of(result)}"
            )
        return result


async def _await(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


Part = ComponentPart | MainPart


def as_part(main: Main) -> Part:
    """The part that `main` stands for.

    Raises:
        TypeError: it is neither a component, nor a coroutine, nor a function that makes one.
    """
    if isinstance(main, Component):
        return ComponentPart(main)
    if inspect.isgeneratorfunction(main) or inspect.isasyncgenfunction(main):
        raise TypeError(f"{WANTED}, got a generator function: {name_of(main)} yields")
    if inspect.iscoroutine(main) or (callable(main) and not isinstance(main, type)):
        return MainPart(main)
    if isinstance(main, type) and issubclass(main, Component):
        raise TypeError(f"{WANTED}, got {kind_of(main)}: give an instance of it")
    raise TypeError(f"{WANTED}, got {kind_of(main)}")
