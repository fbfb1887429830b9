"""What the `gestalt` command does to logging: as little as it can."""

import logging

from .options.option import Settings
from .options.table import LOG_FORMAT, LOG_LEVEL


class Logs:
    """Log to stderr for as long as the application has not configured logging.

    No handler is added: one at the root would make the application's `basicConfig` void.
    """

    def __init__(self) -> None:
        self._level: int | None = None

    def configure(self, settings: Settings) -> None:
        """Take the level and the format of the settings; again after a reload."""
        root = logging.getLogger()
        # A level that the application has set in the meantime is its own.
        if self._level is None or root.level == self._level:
            root.setLevel(settings[LOG_LEVEL].upper())
            self._level = root.level
        if logging.lastResort is not None:
            logging.lastResort.setLevel(logging.NOTSET)
            logging.lastResort.setFormatter(_formatter(settings[LOG_FORMAT]))


def _formatter(kind: str) -> logging.Formatter:
    if kind == "json":
        from .json_lines import JsonFormatter

        return JsonFormatter()
    return logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
