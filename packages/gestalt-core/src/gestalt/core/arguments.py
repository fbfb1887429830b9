"""Command lines, whose errors show no secrets."""

import argparse
from typing import NoReturn

from .masking import without_users, without_values

_UNKNOWN = "unrecognized arguments: "


class Parser(argparse.ArgumentParser):
    """Says what is wrong without what may be secret: passwords, and values of unknown options."""

    def error(self, message: str) -> NoReturn:
        """Print the message, and raise SystemExit."""
        option, needless, _ = message.partition(": ignored explicit argument ")
        if needless:
            message = f"{option}: it takes no value"
        words = message.removeprefix(_UNKNOWN)
        if words != message:
            unknown = without_values(words.split(" "))
            message = f"{_UNKNOWN}{' '.join(unknown)}{self.meant(unknown[0])}"
        super().error(without_users(message))

    def meant(self, unknown: str) -> str:  # noqa: ARG002 - for those that know better
        """What follows the name of an argument that there is not."""
        return ""
