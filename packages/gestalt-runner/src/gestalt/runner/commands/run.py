"""`gestalt run`: components and async functions, until they end or a signal stops them."""

from collections.abc import Sequence
from pathlib import Path

from gestalt.runner.configuration import Configuration
from gestalt.runner.errors import LoopNotAvailable, OptionError
from gestalt.runner.lifeline import is_held
from gestalt.runner.loops import fill_standard_descriptors
from gestalt.runner.options.arguments import given, parser_of
from gestalt.runner.options.resolving import Sources
from gestalt.runner.options.table import RELOAD, WORKERS
from gestalt.runner.options.table import RUN as OPTIONS
from gestalt.runner.platform import INHERITS_PIPES
from gestalt.runner.serving import serve
from gestalt.runner.signals import let_through, survive_hangup
from gestalt.runner.voice import is_worker

__all__ = ["OPTIONS", "main"]

DESCRIPTION = "Run components and async functions until they end or a signal stops them."

EPILOG = """\
where options come from:
  Each is taken from the command line, else from the environment variable in brackets, else from
  [tool.gestalt] in the pyproject.toml of the working directory or the nearest folder above it, by
  its name without dashes in front. A flag is undone by --no-..., as in --no-debug. In a variable,
  commas part the values of an option that may be given several times.

exit status:
  0      the application ended by itself; with --workers, in all of them
  1      something failed; the report is on stderr, or where the application logs; with --workers,
         one of them did not start, they died too often, or one did not stop cleanly
  2      an option is wrong, or names nothing that can be run
  other  as the application itself left, or death by the signal that stopped it; as process 1,
         the first of a container, 128 and the number of that signal

signals:
  SIGINT, SIGTERM: the first stops gracefully, the second cuts what drains, the third ends at once.
  SIGHUP: reloads what can be without a restart.
  SIGUSR2: with --workers, restarts them one after another; each new one is ready before the old
           one stops.

logging:
  What the application does not configure itself is logged to stderr, with time, level and logger.
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command; SystemExit and KeyboardInterrupt tell how it ended."""
    survive_hangup()
    if is_held() and INHERITS_PIPES:
        let_through()
    parser = parser_of("run", OPTIONS, description=DESCRIPTION, epilog=EPILOG)
    said = given(parser, arguments)
    fill_standard_descriptors()
    try:
        configuration = Configuration(Sources(OPTIONS, said, Path.cwd()))
        settings = configuration.read()
        if settings[RELOAD] and not is_held():
            # What it takes is imported only here.
            from gestalt.runner.restarting.reload import reload

            reload(settings, arguments)
        elif settings[WORKERS] and not is_worker():
            from gestalt.runner.workers.serving import serve_workers

            serve_workers(configuration, settings, arguments)
        else:
            serve(configuration, settings)
    except (LoopNotAvailable, OptionError) as error:
        parser.error(str(error))
