"""The words of sd_notify(3), and the environment that says where they go; without I/O."""

from collections.abc import MutableMapping
from dataclasses import dataclass

MICROSECONDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Service:
    """What systemd tells a service about itself.

    Attributes:
        address: the socket that takes messages, as the socket module has it; a name without a file
            begins with a null character.
        watchdog: within how many seconds systemd wants signs of life; 0.0 where it wants none.
    """

    address: str
    watchdog: float


def take_service(environment: MutableMapping[str, str], pid: int) -> Service | None:
    """What the environment says of this service; it is unset, since children are others.

    Args:
        environment: that of the process.
        pid: the number of the process.

    Returns:
        None where systemd wants to hear nothing.

    Raises:
        ValueError: the socket is of a kind that there is no help for here.
    """
    socket = environment.pop("NOTIFY_SOCKET", "")
    interval = environment.pop("WATCHDOG_USEC", "")
    whose = environment.pop("WATCHDOG_PID", "")
    if not socket:
        return None
    if len(socket) < 2 or socket[0] not in "/@":
        raise ValueError(f"NOTIFY_SOCKET is {socket!r}: only unix sockets are notified")
    address = f"\0{socket[1:]}" if socket[0] == "@" else socket
    watchdog = 0.0
    if interval.isascii() and interval.isdigit() and whose in ("", str(pid)):
        watchdog = int(interval) / MICROSECONDS
    return Service(address, watchdog)


def ready(status: str) -> bytes:
    """The start, or a reload, is over."""
    return _message(READY=1, STATUS=status)


def stopping(status: str, within: float) -> bytes:
    """The stop begins, and may take so many seconds, whatever the unit says."""
    return _message(STOPPING=1, STATUS=status, EXTEND_TIMEOUT_USEC=round(within * MICROSECONDS))


def reloading(monotonic: float) -> bytes:
    """A reload begins.

    Args:
        monotonic: the time of CLOCK_MONOTONIC in seconds, by which systemd knows that it is the
            reload that it asked for.
    """
    return _message(RELOADING=1, MONOTONIC_USEC=round(monotonic * MICROSECONDS), STATUS="reloading")


def status(text: str) -> bytes:
    """A line for `systemctl status`."""
    return _message(STATUS=text)


def alive() -> bytes:
    """A sign of life."""
    return _message(WATCHDOG=1)


def _message(**values: str | int) -> bytes:
    lines = (f"{name}={' '.join(str(value).split())}" for name, value in values.items())
    return "\n".join(lines).encode()
