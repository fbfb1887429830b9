"""What keeps a component that runs from its work."""

from abc import ABC, abstractmethod


class Readiness(ABC):
    """What a component inherits, besides Component, that may run and yet be unable to work.

        class Store(Component, Readiness):
            @property
            def trouble(self) -> str | None:
                return None if self.pool.connected else "no connection to the database"

    Such as one that has lost its connection, and tries to get it back. The runner asks it when it
    is asked whether the application is ready.
    """

    __slots__ = ()

    @property
    def ready(self) -> bool:
        """Whether it can do its work now; `trouble` says why it cannot."""
        return self.trouble is None

    @property
    @abstractmethod
    def trouble(self) -> str | None:
        """What keeps it from its work now, in a few words without secrets; None if nothing.

        It is asked in the event loop, and must not wait.
        """
