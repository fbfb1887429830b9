"""Whether the application can do its work: its parts, their connections, and its own checks."""

from collections.abc import Collection, Iterator
from typing import Protocol

from gestalt.core import Component, Group, Readiness, State, Supervisor
from gestalt.core.census import components, parent_of

from .checks import Checks, Spawn
from .verdict import Finding, Verdict


class Application(Protocol):
    """What is asked of the application."""

    @property
    def components(self) -> list[Component]:
        """Its parts, as far as they are components."""


class ReadinessChecks:
    """Looks at all that has to work.

    That are the parts of the application, the components that its main functions have started,
    what is in groups and supervisors among them, and the checks of its own. What a component
    starts, such as a client in a handler, is that component's business. Each has to run, or to have
    ended by itself as a timer does after its last call; one that inherits `gestalt.core.Readiness`
    has to be without trouble.

    Args:
        application: whose parts are looked at.
        checks: of its own.
        spawn: makes the tasks in which checks run.
        ignore: the names of components that are not asked about their trouble.
    """

    def __init__(
        self,
        application: Application,
        checks: Checks,
        spawn: Spawn,
        *,
        ignore: Collection[str],
    ) -> None:
        self._application = application
        self._checks = checks
        self._spawn = spawn
        self._ignore = frozenset(ignore)

    async def look(self) -> Verdict:
        """Whether everything works now; in the event loop."""
        findings = [
            Finding(each.name, _trouble_of(each))
            for each in _all(self._application.components)
            if each.name not in self._ignore
        ]
        return Verdict("ready", (*findings, *await self._checks.look(self._spawn)))


def _all(parts: list[Component]) -> Iterator[Component]:
    """The parts, what main functions have started, and what is in groups and supervisors."""
    found = {id(each): each for each in parts}
    # A component begins after the one that starts it.
    for component in components():
        parent = parent_of(component)
        if parent is None or (isinstance(parent, (Group, Supervisor)) and id(parent) in found):
            found.setdefault(id(component), component)
    return iter(found.values())


def _trouble_of(component: Component) -> str | None:
    state = component.state
    if state is State.RUNNING:
        try:
            trouble = component.trouble if isinstance(component, Readiness) else None
            return None if trouble is None else str(trouble)
        except Exception as error:
            return f"its trouble cannot be told, by {type(error).__name__}"
    return None if state is State.STOPPED else f"it is {state.value}"  # pragma: no cover - it ended
