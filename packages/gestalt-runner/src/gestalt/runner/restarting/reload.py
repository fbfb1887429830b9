"""From the settings of `gestalt run --reload` to a child that is restarted when files change."""

import os
from collections.abc import Sequence
from pathlib import Path

from gestalt.runner.defaults import BEYOND
from gestalt.runner.errors import OptionError
from gestalt.runner.launch import run
from gestalt.runner.logs import Logs
from gestalt.runner.options.option import Settings
from gestalt.runner.options.table import APP_DIR, ENV_FILE, RELOAD_DIR, RELOAD_INCLUDE, SHUTDOWN

from .changes import Watched, check_installed
from .child import command_of
from .restarter import Restarter


def reload(settings: Settings, arguments: Sequence[str]) -> None:
    """Run the command in a child, and restart that when files change, until a signal stops both.

    Args:
        settings: those of the command.
        arguments: those of the command, which the child is to have, too.

    Raises:
        OptionError: there is no such folder, or what watches files is not installed.
        SystemExit: as the child left when its stop failed.
        KeyboardInterrupt: it was stopped by SIGINT.
    """
    check_installed()
    Logs().configure(settings)
    patience = settings[SHUTDOWN] + BEYOND
    restarter = Restarter(command_of(["run", *arguments]), watched_by(settings), patience=patience)
    run(
        restarter,
        finalize=restarter.leave,
        on_reload=restarter.hang_up,
        shutdown_timeout=patience,
        loop="asyncio",
    )


def watched_by(settings: Settings) -> Watched:
    """The files that the settings have watched; OptionError when there is no such folder."""
    folders = [Path(folder).resolve() for folder in settings[RELOAD_DIR]]
    for folder in folders:
        if not folder.is_dir():
            raise OptionError(f"{settings.origin(RELOAD_DIR)}: there is no folder {folder}")
    return Watched(
        folders=folders or [Path(settings[APP_DIR] or os.curdir).resolve()],
        patterns=("*.py", "pyproject.toml", *settings[RELOAD_INCLUDE]),
        files=[Path(file).resolve() for file in settings[ENV_FILE]],
    )
