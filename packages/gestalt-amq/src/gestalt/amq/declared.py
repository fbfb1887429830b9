"""What an application declares on a bus before it starts."""

from collections.abc import Callable, Sequence
from typing import TypeVar, Unpack

from gestalt.core import Component, Handler, State, StateError

from .consumers import Consumers, Declaration, Declared
from .pubsub.declaration import SubscribeOptions, SubscriptionDeclaration
from .pubsub.subscribing import AnySubscription, SubscriptionMaker
from .requests.declaration import ResponderDeclaration, RespondOptions
from .requests.responder import Responder
from .requests.serving import ResponderMaker
from .topology import Exchange

F = TypeVar("F", bound=Handler)


class Declaring(Component):
    """The half of a bus that is used before its start, where modules are imported."""

    _consumers: Consumers
    _subscriptions: SubscriptionMaker
    _responders: ResponderMaker

    def subscription(
        self,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        handler: Handler,
        **options: Unpack[SubscribeOptions],
    ) -> Declared[SubscriptionDeclaration, AnySubscription]:
        """Declare a subscription: it starts with the bus, at every start, and stops with it.

        What is declared starts in this order, when the bus is connected; one that cannot start
        fails the start of the bus.

        Args:
            exchange, patterns, handler, options: as `subscribe` has them.

        Raises:
            StateError: the bus is started: `subscribe` is for then.
        """
        self._check_not_started("subscribe()")
        declaration = SubscriptionDeclaration.of(exchange, patterns, handler, options)
        declared = Declared(declaration, self._subscriptions)
        self._consumers.declared.append(declared)
        return declared

    def service(
        self, service: str, handler: Handler, **options: Unpack[RespondOptions]
    ) -> Declared[ResponderDeclaration, Responder]:
        """Declare a responder: it starts with the bus, at every start, and stops with it.

        Args:
            service, handler, options: as `respond` has them.

        Raises:
            StateError: the bus is started: `respond` is for then.
        """
        self._check_not_started("respond()")
        declaration = ResponderDeclaration.of(service, handler, options)
        declared = Declared(declaration, self._responders)
        self._consumers.declared.append(declared)
        return declared

    def subscriber(
        self,
        exchange: str | Exchange,
        patterns: str | Sequence[str],
        **options: Unpack[SubscribeOptions],
    ) -> Callable[[F], F]:
        """Declare a subscription of the decorated function, as `subscription` does.

            @bus.subscriber("telemetry", "vehicle.*.position", queue="tracker")
            async def track(message: BusMessage[Position]) -> None: ...

        The function is left as it is.
        """

        def declare(handler: F) -> F:
            self.subscription(exchange, patterns, handler, **options)
            return handler

        return declare

    def responder(self, service: str, **options: Unpack[RespondOptions]) -> Callable[[F], F]:
        """Declare a responder by the decorated function, as `service` does; it is left as it is."""

        def declare(handler: F) -> F:
            self.service(service, handler, **options)
            return handler

        return declare

    @property
    def declarations(self) -> Sequence[Declaration]:
        """What starts with the bus, in this order, as plain data."""
        return [each.declaration for each in self._consumers.declared]

    def _check_not_started(self, instead: str) -> None:
        if self.state in (State.STARTING, State.RUNNING, State.STOPPING):
            raise StateError(
                f"{self!r} is started: declare before the start, or await {instead} now"
            )
