"""The command line of a command, made from its options."""

import argparse
import functools
import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from gestalt.core import arguments
from gestalt.runner.output import harmless, show

from .near import near
from .option import Given, Option


class Parser(arguments.Parser):
    """Prints its help as commands print everything, and says what was meant by a wrong option.

    Attributes:
        flags: the options that it has, as they are written.
    """

    flags: Sequence[str] = ()

    def meant(self, unknown: str) -> str:
        return near(unknown, self.flags)

    def error(self, message: str) -> NoReturn:
        super().error(harmless(" ".join(message.splitlines())))

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 - as argparse calls it
        show(self.format_help())


def parser_of(
    command: str, options: Sequence[Option[Any]], *, description: str, epilog: str = ""
) -> argparse.ArgumentParser:
    """The parser of `gestalt COMMAND`, which takes every option as a text."""
    places = [
        f"[{_metavar(option)}{' ...' if option.several else ''}]"
        for option in options
        if option.positional
    ]
    parser = Parser(
        prog=f"gestalt {command}",
        usage=" ".join([f"gestalt {command} [options]", *places]),
        description=description,
        epilog=epilog,
        formatter_class=functools.partial(argparse.RawDescriptionHelpFormatter, width=_width()),
        allow_abbrev=False,
    )
    parser.flags = [flag for option in options for flag in option.flags]
    for option in options:
        _add(parser, option)
    return parser


def given(parser: argparse.ArgumentParser, words: Sequence[str]) -> Given:
    """What a command line says, by the names of the options; SystemExit when it is wrong."""
    found = vars(parser.parse_intermixed_args(words))
    # A single positional one is no list.
    return {
        name: [value] if isinstance(value, str) else value for name, value in found.items() if value
    }


def _width() -> int:
    """How wide the help may be.

    Left to itself, argparse imports shutil for that, and archives with it, at every start.
    """
    if (told := os.environ.get("COLUMNS", "")).isdigit():
        return int(told) - 2
    try:
        columns = os.get_terminal_size(sys.__stdout__.fileno() if sys.__stdout__ else -1).columns
    except (OSError, ValueError):
        columns = 0
    return (columns or 80) - 2


def _add(parser: argparse.ArgumentParser, option: Option[Any]) -> None:
    metavar = _metavar(option)
    text = _help(option)
    if option.positional:
        count = "*" if option.several else "?"
        parser.add_argument(option.name, nargs=count, metavar=metavar, help=text)
    elif option.flag:
        yes, no = option.flags
        parser.add_argument(yes, action="append_const", const="true", dest=option.name, help=text)
        parser.add_argument(
            no, action="append_const", const="false", dest=option.name, help=argparse.SUPPRESS
        )
    else:
        if option.choices:
            metavar = "{" + ",".join(option.choices) + "}"
        parser.add_argument(
            *option.flags, action="append", dest=option.name, metavar=metavar, help=text
        )


def _metavar(option: Option[Any]) -> str:
    return option.metavar or option.name.upper().replace("-", "_")


def _help(option: Option[Any]) -> str:
    default = option.shown
    if not default and isinstance(option.default, (str, int, float)) and option.default != "":
        default = str(option.default).lower() if option.flag else str(option.default)
    details = [option.variable, *([f"default: {default}"] if default else [])]
    return f"{option.help} ({'; '.join(details)})".replace("%", "%%")
