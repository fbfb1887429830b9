"""From the settings of `gestalt run --workers N` to processes that are kept running."""

from collections.abc import Sequence

from gestalt.core.activation import handed_over
from gestalt.runner.accompanying import Told, accompanying
from gestalt.runner.attendants import Attendant
from gestalt.runner.configuration import Configuration
from gestalt.runner.defaults import BEYOND
from gestalt.runner.errors import OptionError, WorkerDied
from gestalt.runner.launch import run
from gestalt.runner.lifeline import take_lifeline
from gestalt.runner.logs import Logs
from gestalt.runner.options.option import Settings
from gestalt.runner.options.table import HEALTH_CHECK_TIMEOUT, SHUTDOWN, WORKERS
from gestalt.runner.platform import HAS_WORKERS
from gestalt.runner.report import logger
from gestalt.runner.rereading import Rereading
from gestalt.runner.restarting.child import command_of
from gestalt.runner.serving import drain_delay_of
from gestalt.runner.systemd import take_systemd

from .metrics import WorkersPage
from .pool import Workers
from .process import WorkerProcess
from .readiness import WorkersReady

KILLING = 0.5
"""How long it takes to kill one that hangs, in seconds."""

WRONG_OPTION = 2

BEYOND_CHECKS = 1.5
"""How much longer than its checks a worker may take to say whether it is ready, in seconds."""


class Announcer(Attendant):
    """Says that all workers are ready, when all others who are told of it have been; and tells them
    of the stop, when it begins.

    Args:
        workers: all of them.
    """

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def started(self) -> None:
        logger.info("all workers are ready: %d", len(self._workers.workers))

    def stopping(self, seconds: float) -> None:  # noqa: ARG002 - as an attendant is told
        self._workers.expect_end()


def serve_workers(
    configuration: Configuration, settings: Settings, arguments: Sequence[str]
) -> None:
    """Run the command in processes of its own, until they end or a signal stops all of them.

    Args:
        configuration: where the settings are from.
        settings: those of the command.
        arguments: those of the command, which the workers are to have, too.

    Raises:
        OptionError: this system cannot do it.
        SystemExit, KeyboardInterrupt: as `run` raises them.
    """
    if not HAS_WORKERS:  # pragma: no cover - Windows
        raise OptionError(
            f"{settings.origin(WORKERS)}: there are no workers on this system: start the command "
            "several times instead"
        )
    logs = Logs()
    logs.configure(settings)
    sockets = handed_over()
    command = command_of(["run", *arguments])

    async def start(number: int) -> WorkerProcess:
        return await WorkerProcess.start(command, number, sockets=sockets)

    patience = settings[SHUTDOWN] + BEYOND
    workers = Workers(settings[WORKERS], start, patience=patience)
    attendants: list[Attendant] = [
        *accompanying(settings, told=_told_of(workers, settings[HEALTH_CHECK_TIMEOUT])),
        Rereading(configuration, logs),
    ]
    # The workers are not told of it: this process speaks for all of them.
    if (systemd := take_systemd()) is not None:
        attendants.append(systemd)
    if (lifeline := take_lifeline()) is not None:
        lifeline.listen(patience + KILLING)
        attendants.append(lifeline)
    attendants.append(Announcer(workers))
    try:
        run(
            workers,
            on_reload=workers.reload,
            shutdown_timeout=patience + KILLING,
            # The workers go on as long as they are not asked to stop.
            drain_delay=drain_delay_of(settings),
            attendants=attendants,
            loop="asyncio",
        )
    except SystemExit as left:
        if isinstance(left.__cause__, WorkerDied) and left.__cause__.status == WRONG_OPTION:
            # The worker has said what is wrong with the command line.
            raise SystemExit(WRONG_OPTION) from left.__cause__
        raise


def _told_of(workers: Workers, check_timeout: float) -> Told:
    """What this process tells of its workers.

    Args:
        workers: all of them.
        check_timeout: how long each check in a worker may take, in seconds.
    """
    within = check_timeout + BEYOND_CHECKS
    return Told(
        checks={workers.name: WorkersReady(workers.workers, timeout=within)},
        check_timeout=within + 0.5,
        ignore=[workers.name, *(each.name for each in workers.workers)],
        metrics=WorkersPage(workers.workers),
    )
