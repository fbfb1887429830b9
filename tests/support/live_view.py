"""`gestalt top` in a terminal, and how it is left."""

import os
import sys
from collections.abc import Callable, Iterator

import pytest

from .terminal import Terminal

ABOUT_TERMINALS = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM", "COLORTERM")


def live_views() -> Iterator[Callable[..., Terminal]]:
    """Show applications in terminals, until the test ends."""
    pytest.importorskip("textual")
    terminals: list[Terminal] = []
    surroundings = {name: os.environ[name] for name in os.environ.keys() - {*ABOUT_TERMINALS}}

    def show(*arguments: str, columns: int = 80, rows: int = 24, **variables: str) -> Terminal:
        terminal = Terminal(
            [sys.executable, "-m", "gestalt.runner", "top", "--interval", "0.2", *arguments],
            columns=columns,
            rows=rows,
            variables=surroundings | {"TERM": "xterm-256color"} | variables,
        )
        terminals.append(terminal)
        return terminal

    yield show
    for terminal in terminals:
        terminal.__exit__(None, None, None)


def leave(terminal: Terminal, key: str = "q") -> None:
    """Press a key that ends it, and check that all is as it was."""
    terminal.press(key)
    assert terminal.wait_ended() == 0, terminal.text
    check_left(terminal)


def check_left(terminal: Terminal) -> None:
    """Check that the terminal is as it was."""
    assert b"Traceback" not in terminal.written
    assert not terminal.screen.cursor.hidden
    for mode in (b"?1049", b"?1000"):
        assert terminal.written.rfind(mode + b"l") > terminal.written.rfind(mode + b"h") > 0
