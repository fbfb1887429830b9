"""The inspections of this process, whose threads are not there while it forks, nor in a child."""

import os
import weakref
from typing import Protocol

from gestalt.runner.attendants import View


class Present(Protocol):
    """What is asked of an inspection."""

    @property
    def view(self) -> View | None:
        """The application."""

    def before_fork(self) -> None:
        """End the thread: a child of a process with several threads may hang at their locks."""

    def after_fork(self) -> None:
        """Go on, in the parent."""

    def in_child(self) -> None:
        """Forget the socket, which is the parent's."""


present: weakref.WeakSet[Present] = weakref.WeakSet()
"""Those that answer now."""


def _before_fork() -> None:
    for inspection in list(present):
        inspection.before_fork()


def _after_fork_in_parent() -> None:
    for inspection in list(present):
        inspection.after_fork()


def _after_fork_in_child() -> None:
    for inspection in list(present):
        inspection.in_child()
    present.clear()


if hasattr(os, "register_at_fork"):  # pragma: no branch - Windows
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )
