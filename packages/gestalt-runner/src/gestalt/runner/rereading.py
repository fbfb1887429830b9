"""Settings that take effect at a reload."""

from .attendants import Attendant
from .configuration import Configuration
from .errors import OptionError
from .logs import Logs
from .report import logger


class Rereading(Attendant):
    """Reads the settings anew at a reload: the log level takes effect at once."""

    def __init__(self, configuration: Configuration, logs: Logs) -> None:
        self._configuration = configuration
        self._logs = logs

    def reloading(self) -> None:
        try:
            settings = self._configuration.read()
        except OptionError as error:
            logger.error("the settings stay as they were: %s", error)
            return
        self._configuration.export()
        self._logs.configure(settings)
