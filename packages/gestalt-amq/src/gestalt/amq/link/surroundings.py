"""What the channels of a connection have in common."""

from collections.abc import Callable
from typing import NamedTuple

from gestalt.core import Backoff

from .preflight import Preflight
from .spawn import Spawn
from .supervisor import Supervisor


class Surroundings(NamedTuple):
    """What the channels of a connection are kept by.

    Args:
        supervisor: the connection.
        preflight: asks on that connection.
        spawn: runs tasks.
        make_room: gives up channels that nobody uses; whether it helps to try again.
        backoff: the waits before a channel is opened again on the same connection.
        declare: declare what is needed; otherwise it must exist.
    """

    supervisor: Supervisor
    preflight: Preflight
    spawn: Spawn
    make_room: Callable[[], bool]
    backoff: Backoff
    declare: bool
