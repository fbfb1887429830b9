"""What consumes on a bus: declared before its start, or begun while it runs."""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from gestalt.core import State

from .connections import gather_all
from .link.supervisor import Supervisor
from .plan import Plan
from .pubsub.declaration import SubscriptionDeclaration
from .pubsub.subscribing import AnySubscription
from .requests.declaration import ResponderDeclaration
from .requests.responder import Responder

Declaration = SubscriptionDeclaration | ResponderDeclaration

D = TypeVar("D", bound=Declaration)
D_contra = TypeVar("D_contra", bound=Declaration, contravariant=True)
C = TypeVar("C", bound=AnySubscription | Responder)
C_co = TypeVar("C_co", bound=AnySubscription | Responder, covariant=True)


class Maker(Protocol[D_contra, C_co]):
    """Makes consumers of one kind."""

    @property
    def connection(self) -> Supervisor:
        """The connection that they consume by."""

    def make(self, declaration: D_contra, /) -> C_co:
        """A consumer as it was declared."""

    def plan(self, declaration: D_contra, /) -> Plan:
        """What such a consumer needs at the broker."""


class Declared(Generic[D, C]):
    """A consumer that starts and stops with its bus, as often as that does.

    Attributes:
        declaration: what it is to be.
        consumer: the one of the present start of the bus, or of the last one; None before.
    """

    def __init__(self, declaration: D, maker: Maker[D, C]) -> None:
        self.declaration = declaration
        self.consumer: C | None = None
        self._maker = maker

    @property
    def connection(self) -> Supervisor:
        """The connection that it consumes by."""
        return self._maker.connection

    @property
    def plan(self) -> Plan:
        """What it needs at the broker."""
        return self._maker.plan(self.declaration)

    def make(self) -> C:
        """Make it anew, for one start of the bus."""
        self.consumer = self._maker.make(self.declaration)
        return self.consumer

    def __repr__(self) -> str:
        return f"<Declared {type(self.declaration).__name__}>"


class Consumers:
    """Starts and stops the subscriptions and responders of a bus.

    Args:
        run: awaits a call in a task of the bus.
        open_connection: opens a connection, unless it is open already.

    Attributes:
        declared: those that start with the bus, in this order.
    """

    def __init__(
        self,
        run: Callable[[Callable[[], Awaitable[None]]], Awaitable[None]],
        open_connection: Callable[[Supervisor], Awaitable[None]],
    ) -> None:
        self.declared: list[Declared[Any, Any]] = []
        self._run = run
        self._open_connection = open_connection
        self._begun: list[AnySubscription | Responder] = []

    @property
    def trouble(self) -> str | None:
        """What keeps the first one that has trouble from its work; None if nothing does."""
        for each in self._begun:
            if each.state not in (State.STOPPING, State.STOPPED) and each.trouble is not None:
                return f"{each.name}: {each.trouble}"
        return None

    def plans(self) -> list[Plan]:
        """What each of them needs at the broker, those included that have not started yet."""
        return [each.plan for each in (*self.declared, *self._begun)]

    async def start(self) -> None:
        """Start what is declared, one after the other.

        Raises:
            TopologyError, ConnectError: as `begin` has them; those before it run.
        """
        for declared in self.declared:
            await self.begin(declared.make(), declared.connection)

    async def begin(self, consumer: AnySubscription | Responder, connection: Supervisor) -> None:
        """Start a consumer, and return when it consumes.

        Raises:
            TopologyError: the broker refuses a declaration.
            ConnectError: there was no connection within the start's time.
            StateError: the bus is not running.
        """
        await self._open_connection(connection)

        async def begin() -> None:
            await consumer.start()
            self._begun = [each for each in self._begun if each.state is not State.STOPPED]
            self._begun.append(consumer)

        await self._run(begin)

    async def drain(self) -> None:
        """Stop all of them; handlers may publish and make requests until they are done."""
        await gather_all(each.stop() for each in self._begun)

    async def stop(self) -> None:
        """Cut what is left, and forget them."""
        begun, self._begun = self._begun, []
        await gather_all(each.stop(timeout=0) for each in begun)
