"""What accompanies an application that `gestalt run` runs, by its options."""

import socket
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

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
from .page import own_page
from .targets import find
from .watchdog import Watchdog

SLOW = 0.1
"""After how many seconds asyncio calls a step of the event loop slow, in its debug mode."""

UNTOLD = 10.0
"""After how many seconds an event loop is not alive, where nobody wants to be told sooner."""


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of the application.

    Attributes:
        checks: what decides, together with the parent's own event loop, whether all are ready.
        check_timeout: how long each of them may take, in seconds.
        ignore: the names of components whose state and trouble do not count.
        metrics: makes the page of all.
    """

    checks: Mapping[str, Callable[[], object]]
    check_timeout: float
    ignore: Collection[str]
    metrics: Callable[[], Awaitable[bytes]]


def accompanying(
    settings: Settings,
    *,
    told: Told | None = None,
    questions: socket.socket | None = None,
) -> list[Attendant]:
    """What tells of the application, in the order in which it begins; it ends in reverse.

    Args:
        settings: those of the command.
        told: what the parent of workers tells of them; by default, what a process tells of itself.
        questions: of a worker, what its parent asks on, which has the health endpoint.

    Raises:
        OptionError: the checks cannot be found, the address is none, or h11 is not installed.
    """
    after, address = _blocked_after(settings), settings[HEALTH_ADDRESS] or None
    if questions is not None:
        address = None
    watchdog = Watchdog(after or UNTOLD, tell=after > 0)
    told = told or Told(
        checks=_checks(settings),
        check_timeout=settings[HEALTH_CHECK_TIMEOUT],
        ignore=(),
        metrics=own_page,
    )
    try:
        health = Health(
            address,
            checks=told.checks,
            check_timeout=told.check_timeout,
            watchdog=watchdog,
            ignore=told.ignore,
            metrics=told.metrics,
        )
    except (ExtraNotInstalled, ValueError) as error:
        raise OptionError(f"{settings.origin(HEALTH_ADDRESS)}: {error}") from error
    found: list[Attendant] = [health]
    if after or address:
        found.insert(0, watchdog)
    if settings[INSPECT] or questions is not None:
        from .inspection import Inspection

        inspection = Inspection(
            public=settings[INSPECT], connection=questions, metrics=told.metrics
        )
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
