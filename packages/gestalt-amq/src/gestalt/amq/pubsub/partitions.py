"""A queue in partitions: what it is made of, and who is to have which part; without I/O."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gestalt.amq.message import BusMessage
from gestalt.amq.topology import Exchange, Queue
from gestalt.core.numbers import amount_of, choice_of

MOST_PARTITIONS = 256
"""Each takes a queue of the broker's, and a channel of whoever has it."""

HASH_TYPE = "x-consistent-hash"
PLUGIN = "rabbitmq_consistent_hash_exchange"

WEIGHT = "1"
"""The key of a binding to an exchange that hashes: all parts get as many keys."""

HashProperty = Literal["message_id", "correlation_id"]


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A queue in parts: messages of one key are in one part, which one instance has at a time.

    Args:
        name: of the whole; its parts are the quorum queues "<name>.0", "<name>.1" and so on.
        partitions: how many parts there are, 1 to 256. All instances say the same, for ever: with
            another number keys change their parts, and what waits there is overtaken.
        by_header: messages with the same value of this header belong together; by default those
            with the same routing key.
        by_property: in place of a header, "message_id" or "correlation_id".
        arguments: further ones of each part's declaration.
        parking: where messages go that cannot be handled: the name of a queue, None for
            "<name>.parked".
        delivery_limit: as `Queue` has it.

    Raises:
        ValueError: an argument is out of its range, or both a header and a property are given.
    """

    name: str
    partitions: int = 8
    by_header: str | None = None
    by_property: HashProperty | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    parking: str | None = None
    delivery_limit: int = 20

    def __post_init__(self) -> None:
        if not 1 <= self.partitions <= MOST_PARTITIONS:
            raise ValueError(
                f"partitions is 1 to {MOST_PARTITIONS}, got {amount_of(self.partitions)}"
            )
        header, name = self.by_header, self.by_property
        if header is not None and name is not None:
            raise ValueError("give by_header or by_property, not both")
        if name not in (None, "message_id", "correlation_id"):
            raise ValueError(f"by_property is message_id or correlation_id, got {choice_of(name)}")
        self.queue(self.partitions - 1)

    @property
    def parking_name(self) -> str:
        """The queue of its messages that could not be handled."""
        return self.parking or f"{self.name}.parked"

    @property
    def exchange(self) -> Exchange:
        """What spreads messages over the parts, by a hash of their key."""
        by = {"hash-header": self.by_header, "hash-property": self.by_property}
        return Exchange(
            f"{self.name}.partitions",
            HASH_TYPE,
            arguments={name: value for name, value in by.items() if value is not None},
        )

    @property
    def members(self) -> Exchange:
        """How those who take part tell one another of themselves."""
        return Exchange(f"{self.name}.members", "fanout")

    def queue(self, number: int) -> Queue:
        """The queue of a part."""
        return Queue(
            f"{self.name}.{number}",
            arguments={**self.arguments, "x-single-active-consumer": True},
            parking=self.parking_name,
            delivery_limit=self.delivery_limit,
        )

    def key(self, message: BusMessage[Any]) -> str:
        """What messages have in common that are handled one after the other."""
        if self.by_header is not None:
            return str(message.headers.get(self.by_header))
        if self.by_property is not None:
            return str(getattr(message.properties, self.by_property))
        return message.routing_key


def shares(partitions: int, members: Iterable[str]) -> dict[str, frozenset[int]]:
    """Who is to have which parts: the same wherever it is computed, and fair.

    Each part goes to the member that a hash of both prefers (rendezvous hashing), among those that
    have room; so few parts move when somebody comes or goes.

    Args:
        partitions: how many parts there are.
        members: the names of those who take part.

    Returns:
        the numbers of each member's parts; two members differ by one at most.
    """
    names = sorted(set(members))
    if not names:
        return {}
    least, more = divmod(partitions, len(names))
    taken: dict[str, set[int]] = {name: set() for name in names}
    # The strongest preferences first: these stay when others come and go.
    wishes = sorted(
        (
            (_preference(name, number), number, name)
            for name in names
            for number in range(partitions)
        ),
        reverse=True,
    )
    free = set(range(partitions))
    for _, number, name in wishes:
        mine = taken[name]
        if number not in free or len(mine) > least or (len(mine) == least and not more):
            continue
        if len(mine) == least:
            more -= 1
        mine.add(number)
        free.discard(number)
    return {name: frozenset(mine) for name, mine in taken.items()}


def _preference(name: str, number: int) -> bytes:
    return hashlib.blake2b(f"{name} {number}".encode(), digest_size=8).digest()
