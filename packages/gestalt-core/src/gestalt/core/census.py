"""Which components live in this process, and which of them started which."""

from typing import Any

from .component import Component
from .life import lives, living


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
    life = None if ref is None else ref()
    if life is None or not lives(life) or life.component is None:
        return None
    found: Any = life.component()
    return found if isinstance(found, Component) else None
