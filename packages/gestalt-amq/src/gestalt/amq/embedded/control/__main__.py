"""The control of a broker as a command: `python -m gestalt.amq.embedded.control`."""

import argparse
import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gestalt.core.arguments import Parser

from .client import ControlError, ask
from .operations import OPERATIONS, Operation, Parameter, Row
from .paths import default_path


def main(arguments: Sequence[str] | None = None) -> int:
    """Have a broker do something, and print the result.

    Args:
        arguments: the command's arguments; those of the process by default.

    Returns:
        The exit status: 0, or 1 when the broker could not be reached or refused.
    """
    options = _parser().parse_args(arguments)
    if not hasattr(socket, "AF_UNIX"):  # pragma: no cover - Windows
        print("error: this system has no unix sockets for Python", file=sys.stderr)
        return 1
    operation = OPERATIONS[options.operation]
    given = {parameter.name: getattr(options, parameter.name) for parameter in operation.parameters}
    path = options.socket if options.socket is not None else default_path(options.port)
    try:
        result = ask(path, operation.name, given)
    except ControlError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if options.formatter == "json":
        print(json.dumps(result, indent=2))
    elif isinstance(result, list):
        print(_table(result), end="")
    elif not options.quiet:
        print(result)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m gestalt.amq.embedded.control",
        description="Controls an embedded broker that runs as a process, by its control socket."
        " The operations that rabbitmqctl has are called as there.",
        epilog="The path of the socket is in the broker's log. OPERATION --help tells what an"
        " operation needs.",
    )
    parser.add_argument(
        "--port", type=int, default=5672, help="the broker's port, which names its usual socket"
        " (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--socket", type=Path, metavar="PATH", help="its socket, if it is another")
    _add_common(parser, first=True)
    operations = parser.add_subparsers(dest="operation", metavar="OPERATION", required=True)
    for operation in OPERATIONS.values():
        _add_operation(operations.add_parser(operation.name, help=operation.help), operation)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, first: bool) -> None:
    """Add what may stand before an operation and after it."""
    formatter = "table" if first else argparse.SUPPRESS
    parser.add_argument(
        "--formatter", choices=["table", "json"], default=formatter, help="how to print (table)"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=False if first else argparse.SUPPRESS,
        help="print tables alone",
    )  # fmt: skip
    parser.add_argument(
        "-p", "--vhost", default="/" if first else argparse.SUPPRESS, metavar="NAME",
        help="the virtual host (/)",
    )  # fmt: skip


def _add_operation(parser: argparse.ArgumentParser, operation: Operation) -> None:
    parser.description = f"{operation.help[0].upper()}{operation.help[1:]}."
    _add_common(parser, first=False)
    for parameter in operation.parameters:
        if parameter.name != "vhost":
            _add_parameter(parser, parameter)


def _add_parameter(parser: argparse.ArgumentParser, parameter: Parameter) -> None:
    read: Any = _json_object if parameter.type is dict else parameter.type
    if parameter.default is None:
        parser.add_argument(parameter.name, type=read, help=parameter.help)
        return
    parser.add_argument(
        f"--{parameter.name.replace('_', '-')}",
        type=read,
        default=parameter.default,
        choices=parameter.choices,
        help=f"{parameter.help} (%(default)s)",
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError("it is to be a JSON object, {...}")
    return value


def _table(rows: list[Row]) -> str:
    if not rows:
        return ""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        + "\n"
        for row in cells
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    # Names are the clients': one of them is not to move the reader's cursor.
    text = value if isinstance(value, str) else json.dumps(value)
    return "".join(letter if letter.isprintable() else "?" for letter in text)


if __name__ == "__main__":
    sys.exit(main())
