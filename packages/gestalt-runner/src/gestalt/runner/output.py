"""What a command prints: to whoever reads it, for as long as it is read."""

import os
import sys

UNREAD = 141
"""The exit status where nobody reads any more: what a shell tells of a death by SIGPIPE."""


def show(text: str) -> None:
    """Print a text, with a line feed at its end.

    Raises:
        SystemExit: 1 after a sentence, where it cannot be written; or as by SIGPIPE, without one,
            where nobody reads any more.
    """
    try:
        print(text.rstrip("\n"), flush=True)
    except BrokenPipeError:
        _give_up()
        sys.exit(UNREAD)
    except OSError as error:
        _give_up()
        sys.exit(f"gestalt: what is to be told cannot be written: {error.strerror or error}")


def _give_up() -> None:
    """Have the interpreter write what is left nowhere: it would fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
