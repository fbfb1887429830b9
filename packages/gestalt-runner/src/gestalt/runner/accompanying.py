"""What accompanies an application that `gestalt run` runs, by its options."""

from collections.abc import Collection, Mapping
from typing import Any, Literal

from gestalt.core import ExtraNotInstalled

from .attendants import Attendant
from .errors import OptionError
from .health import Health
from .options.option import Settings
from .options.table import (
    APP_DIR,
    BLOCKED_AFTER,
    DEBUG,
    HEALTH_ADDRESS,
    HEALTH_CHECK_TIMEOUT,
    HEALTH_CHECKS,
    INSPECT,
)
from .targets import find
from .watchdog import Watchdog

SLOW = 0.1
"""After how many seconds asyncio calls a step of the event loop slow, in its debug mode."""

UNTOLD = 10.0
"""After how many seconds an event loop is not alive, where nobody wants to be told sooner."""


Role = Literal["alone", "worker", "parent of workers"]


def accompanying(
    settings: Settings, role: Role = "alone", *, ignore: Collection[str] = ()
) -> list[Attendant]:
    """What tells of the application, in the order in which it begins; it ends in reverse.

    Args:
        settings: those of the command.
        role: the parent of workers has the health endpoint, and none of the application's checks.
        ignore: the names of components whose trouble is not that of the whole.

    Raises:
        OptionError: the checks cannot be found, the address is none, or h11 is not installed.
    """
    after, address = _blocked_after(settings), settings[HEALTH_ADDRESS] or None
    if role == "worker":
        address = None
    watchdog = Watchdog(after or UNTOLD, tell=after > 0)
    checks = {} if role == "parent of workers" else _checks(settings)
    try:
        health = Health(
            address,
            checks=checks,
            check_timeout=settings[HEALTH_CHECK_TIMEOUT],
            watchdog=watchdog,
            ignore=ignore,
        )
    except (ExtraNotInstalled, ValueError) as error:
        raise OptionError(f"{settings.origin(HEALTH_ADDRESS)}: {error}") from error
    found: list[Attendant] = [health]
    if after or address:
        found.insert(0, watchdog)
    if settings[INSPECT]:
        from .inspection import Inspection

        inspection = Inspection()
        inspection.answer("health", health.report)
        found.insert(0, inspection)
    return found


def _blocked_after(settings: Settings) -> float:
    """In debug mode, what holds the event loop is told as soon as asyncio calls it slow."""
    slow = settings[DEBUG] and not settings.origin(BLOCKED_AFTER)
    return SLOW if slow else settings[BLOCKED_AFTER]


def _checks(settings: Settings) -> Mapping[str, Any]:
    if not settings[HEALTH_CHECKS]:
        return {}
    try:
        found: Any = find(settings[HEALTH_CHECKS], settings[APP_DIR])
    except OptionError as error:
        raise OptionError(f"{settings.origin(HEALTH_CHECKS)}: {error}") from error
    if not isinstance(found, Mapping) or not all(map(callable, found.values())):
        raise OptionError(
            f"{settings.origin(HEALTH_CHECKS)}: {settings[HEALTH_CHECKS]!r} must be a dict of "
            "functions by names"
        )
    return found
