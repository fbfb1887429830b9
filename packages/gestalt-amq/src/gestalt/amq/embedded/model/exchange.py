"""Exchanges: where messages come in, and the bindings that lead them on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from gestalt.amq.wire import FieldValue

from .policies import Policy
from .routers import Destination, Router, make_router


@dataclass(frozen=True, eq=False, slots=True)
class Binding:
    """A way from an exchange to a queue or to another exchange."""

    source: "Exchange"
    destination: Destination
    routing_key: str
    arguments: Mapping[str, FieldValue]


@dataclass(eq=False, slots=True)
class Exchange:
    """An exchange and the bindings from it and to it."""

    name: str
    type: str
    durable: bool = False
    auto_delete: bool = False
    internal: bool = False
    arguments: Mapping[str, FieldValue] = field(default_factory=dict)
    bindings: dict[object, Binding] = field(default_factory=dict)
    incoming: dict[Binding, None] = field(default_factory=dict)
    policy: Policy | None = None
    router: Router = field(init=False)
    # What queues say of theirs: classic or quorum.
    kind: ClassVar[str] = "exchange"

    def __post_init__(self) -> None:
        self.router = make_router(self.type, self.arguments)

    @property
    def alternate(self) -> str | None:
        """The exchange that takes what this one cannot route, or None."""
        name = self.arguments.get("alternate-exchange")
        if name is None and self.policy is not None:
            name = self.policy.definition.get("alternate-exchange")
        return name if isinstance(name, str) else None
