"""The optional arguments of exchanges and queues: which there are, and of what type each is.

https://www.rabbitmq.com/docs/queues#optional-arguments
"""

from collections.abc import Mapping
from typing import Any

from gestalt.core.numbers import choice_of

EXCHANGE_ARGUMENTS: Mapping[str, type] = {
    "alternate-exchange": str,
    "hash-header": str,
    "hash-property": str,
    "x-delayed-type": str,
}
QUEUE_ARGUMENTS: Mapping[str, type] = {
    "x-consumer-timeout": int,
    "x-dead-letter-exchange": str,
    "x-dead-letter-routing-key": str,
    "x-dead-letter-strategy": str,
    "x-delivery-limit": int,
    "x-expires": int,
    "x-initial-cluster-size": int,
    "x-max-age": str,
    "x-max-in-memory-bytes": int,
    "x-max-in-memory-length": int,
    "x-max-length": int,
    "x-max-length-bytes": int,
    "x-max-priority": int,
    "x-message-ttl": int,
    "x-overflow": str,
    "x-queue-leader-locator": str,
    "x-queue-master-locator": str,
    "x-queue-mode": str,
    "x-queue-type": str,
    "x-queue-version": int,
    "x-quorum-initial-group-size": int,
    "x-quorum-target-group-size": int,
    "x-single-active-consumer": bool,
    "x-stream-filter-size-bytes": int,
    "x-stream-max-segment-size-bytes": int,
}
# How like a name is to a known one that it is taken for a mistyped one.
ALIKE = 0.85


def check_arguments(what: str, arguments: Mapping[str, Any], known: Mapping[str, type]) -> None:
    """See that arguments are what they are meant to be; brokers ignore those they do not know.

    Args:
        what: whose they are, for the error.
        arguments: None for one that is taken away. Those of plugins may have any name.
        known: the type of each.

    Raises:
        ValueError: one is named nearly as a known one.
        TypeError: the value of one is of another type.
    """
    for name, value in arguments.items():
        wanted = known.get(name)
        if wanted is None:
            import difflib  # most have no need of it

            plain = name.lower().replace("_", "-")
            close = difflib.get_close_matches(plain, known, n=1, cutoff=ALIKE)
            if close:
                raise ValueError(f"{what}: no broker knows the argument {name!r}: {close[0]!r}?")
        elif value is not None and (
            not isinstance(value, wanted) or (wanted is int and isinstance(value, bool))
        ):
            raise TypeError(
                f"{what}: argument {name!r} is of type {wanted.__name__}, got {choice_of(value)}"
            )
