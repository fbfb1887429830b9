"""What a command prints: to whoever reads it, for as long as it is read."""

import io
import os
import sys

UNREAD = 141
"""The exit status where nobody reads any more: what a shell tells of a death by SIGPIPE."""


_MARK = "\N{REPLACEMENT CHARACTER}"

# All but tabs and line feeds: a terminal obeys them.
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)], _MARK)

# What turns the direction of a text around: it then reads as another one.
_DIRECTIONS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)], _MARK)


def harmless(text: str) -> str:
    """A text of others, without what a terminal obeys, or what makes it read as another one."""
    return text.translate(_CONTROLS | _DIRECTIONS)


def without_controls(text: str) -> str:
    """A text that is kept: without what a terminal obeys where it is shown there."""
    return text.translate(_CONTROLS)


def show(text: str) -> None:
    """Print a text, with a line feed at its end.

    No character of it controls a terminal. What stdout cannot encode is printed as an escape.

    Raises:
        SystemExit: 1 after a sentence, where it cannot be written; or as by SIGPIPE, without one,
            where nobody reads any more.
    """
    if sys.stdout is not None:  # pragma: no branch - pythonw, on Windows
        # Documents and pages that somebody keeps are as they are.
        text = harmless(text) if sys.stdout.isatty() else without_controls(text)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
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
