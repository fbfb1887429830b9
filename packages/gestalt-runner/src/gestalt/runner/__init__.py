"""Run an asyncio application: event loop, signals, errors, graceful shutdown.

    run(server, bus, Timer.every(60.0, report))

What is here; `help(gestalt.runner.run)` tells all of it:

- `run` starts the parts of an application, stops them on a signal, and ends with a status
- Errors: `UnhandledError`, `ShutdownTimeout`, `LoopNotAvailable`

Beside it: gestalt.runner.health has probes, gestalt.runner.watchdog tells of a blocked event loop,
gestalt.runner.exporters are for Prometheus and OpenTelemetry, gestalt.runner.systemd tells systemd,
and gestalt.runner.attendants is the base of these. `gestalt run --help` shows the command, which
runs an application by its name.
"""

from .errors import LoopNotAvailable as LoopNotAvailable
from .errors import ShutdownTimeout as ShutdownTimeout
from .errors import UnhandledError as UnhandledError
from .launch import run as run
