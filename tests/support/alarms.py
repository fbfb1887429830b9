"""Memory alarms, of whatever broker a test has."""

from collections.abc import Callable
from typing import NamedTuple


class Alarm(NamedTuple):
    """A broker that can be made to block who publishes."""

    url: str
    begin: Callable[[], None]
    end: Callable[[], None]
