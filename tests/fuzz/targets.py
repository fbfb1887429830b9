"""What is fuzzed: everything that reads bytes of strangers."""

from collections.abc import Callable

from . import amqp, codecs, framings

_OF = {name: module for module in (codecs, framings, amqp) for name in module.NAMES}

NAMES = list(_OF)


def target(name: str) -> Callable[[bytes], None]:
    """What takes an input; it raises when it finds a fault."""
    return _OF[name].target(name)
