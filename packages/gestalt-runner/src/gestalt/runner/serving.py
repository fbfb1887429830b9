"""One process that runs the targets, with what accompanies them."""

import os
from typing import Any

from gestalt.core.activation import handed_over

from .accompanying import accompanying
from .attendants import Attendant
from .configuration import Configuration
from .defaults import BEYOND
from .errors import OptionError
from .launch import run
from .lifeline import take_lifeline
from .logs import Logs
from .options.option import Settings
from .options.sources import misspelt
from .options.table import APP_DIR, DEBUG, DRAIN_DELAY, LOOP, ON_EXCEPTION, RUN, SHUTDOWN, TARGETS
from .report import logger
from .rereading import Rereading
from .targets import load
from .voice import take_voice


def serve(configuration: Configuration, settings: Settings) -> None:
    """Run the targets in this process until they end; as `run` does, which raises the same.

    Raises:
        OptionError: there is no target, or one cannot be run.
        LoopNotAvailable: the event loop that was insisted on is not installed.
    """
    configuration.export()
    voice = take_voice()
    logs = Logs() if voice is None else Logs(worker=voice.number)
    logs.configure(settings)
    for sentence in misspelt(os.environ, RUN):
        logger.warning("%s", sentence)
    if (lifeline := take_lifeline()) is not None:
        lifeline.listen(settings[SHUTDOWN] + BEYOND)
    targets = _targets(settings)
    # Before the application can start programs, for which its sockets are not.
    handed_over()
    attendants: list[Attendant] = [
        *accompanying(settings, questions=None if voice is None else voice.questions),
        Rereading(configuration, logs),
    ]
    if "NOTIFY_SOCKET" in os.environ:
        from .systemd import take_systemd

        if (systemd := take_systemd()) is not None:  # pragma: no branch - no unix socket
            attendants.append(systemd)
    if lifeline is not None:
        attendants.append(lifeline)
    if voice is not None:
        attendants.append(voice)
    run(
        *targets,
        loop=settings[LOOP],
        on_exception=settings[ON_EXCEPTION],
        shutdown_timeout=settings[SHUTDOWN],
        drain_delay=drain_delay_of(settings),
        debug=settings[DEBUG] or None,
        attendants=attendants,
    )


def drain_delay_of(settings: Settings) -> float:
    """How long all parts go on after the first signal, in seconds.

    Raises:
        OptionError: there is no such time within that of the stop.
    """
    delay = settings[DRAIN_DELAY]
    if delay and delay >= settings[SHUTDOWN]:
        raise OptionError(
            f"{settings.origin(DRAIN_DELAY)}: it is part of --shutdown-timeout, which is "
            f"{settings[SHUTDOWN]:g} s, got {delay:g}"
        )
    return delay


def _targets(settings: Settings) -> list[Any]:
    targets = settings[TARGETS]
    if not targets:
        raise OptionError(
            "there is nothing to run: name a target, as in 'gestalt run app:main', in "
            f"{TARGETS.variable}, or as targets of [tool.gestalt] in pyproject.toml"
        )
    return [load(target, settings[APP_DIR]) for target in targets]
