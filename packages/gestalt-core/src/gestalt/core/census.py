"""Which components live in this process, and which of them started which."""

import contextvars
from typing import Any

from .component import Component
from .life import Life, lives, living, within


def components() -> list[Component]:
    """All components that are starting, running or stopping, in the order of their starts.

    It may be called in any thread. What an endpoint has many of, such as connections, are no
    components: their owner tells how many there are.
    """
    return [each for each in living.present() if isinstance(each, Component)]


def parent_of(component: Component) -> Component | None:
    """The component within which another one was started: by its task, its handler or its start.

    Returns:
        None where it was started by none, or that one or the component itself has ended.
    """
    ref = living.get(component)
    return _component_of(None if ref is None else ref())


def component_in(context: contextvars.Context) -> Component | None:
    """The innermost component within which code of a context runs.

    Args:
        context: of a task, or a callback.

    Returns:
        None where it runs in none, or that one has ended.
    """
    around = context.get(within) or ()
    found = (_component_of(ref()) for ref in reversed(around))
    return next((each for each in found if each is not None), None)


def _component_of(life: Life | None) -> Component | None:
    if life is None or not lives(life) or life.component is None:
        return None
    found: Any = life.component()
    return found if isinstance(found, Component) else None
