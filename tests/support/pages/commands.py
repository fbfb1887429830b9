"""Whether the commands that a page shows can be typed: names, options and values that there are."""

import argparse
import importlib
import importlib.metadata
import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

from gestalt.runner.commands import COMMANDS
from gestalt.runner.errors import OptionError
from gestalt.runner.options.arguments import given, parser_of
from gestalt.runner.options.resolving import Sources

from .markdown import Block

CONSOLES = {"console", "sh", "bash"}
"""The languages of blocks that show commands; what is indented may show some."""
PROMPT = "$ "
OURS = re.compile(r"(gestalt(?:-\w+)?)(?:\[([\w,-]+)\])?(?:[=~<>]=?[\d.*]+)?")


class WrongCommand(Exception):
    """A command that nobody can type."""


def commands_of(block: Block) -> Iterator[list[str]]:
    """The words of each command of a block; none where it shows something else."""
    if block.language not in CONSOLES and block.language:
        return
    lines = block.text.replace("\\\n", " ").splitlines()
    if block.language == "console" or any(line.startswith(PROMPT) for line in lines):
        lines = [line.removeprefix(PROMPT) for line in lines if line.startswith(PROMPT)]
    for line in lines:
        try:
            lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
            lexer.whitespace_split = True
            words = list(lexer)
        except ValueError:
            continue  # it shows no command
        command: list[str] = []
        for word in [*words, ";"]:
            if word and set(word) <= set("();<>|&"):
                if command:
                    yield command
                command = []
            elif command or not re.fullmatch(r"\w+=.*", word):
                command.append(word)


def check(command: Sequence[str]) -> bool:
    """Check a command, if it is one of ours; whether it is.

    Raises:
        WrongCommand: there is no such command, option or value.
    """
    match command:
        case ["gestalt", *words]:
            _check_gestalt(words)
        case ["python" | "python3", "-m", module, *words] if module.startswith("gestalt"):
            _check_module(module, words)
        case ["pip", "install", *words] | ["uv", "pip", "install", *words]:
            _check_installed(words)
        case _:
            return False
    return True


def _check_gestalt(words: Sequence[str]) -> None:
    if not words or words[0] in ("--help", "--version"):
        return
    if words[0] not in COMMANDS:
        raise WrongCommand(f"gestalt has no command {words[0]!r}")
    command: Any = importlib.import_module(f"gestalt.runner.commands.{words[0]}")
    options, rest = command.OPTIONS, words[1:]
    if words[0] == "schema" and rest:
        options, rest = {"export": command.EXPORT, "diff": command.DIFF}[rest[0]], rest[1:]
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()) as said:
        try:
            told = given(parser_of(words[0], options, description=""), rest)
            Sources(options, told, Path.cwd(), project=False).read({})
        except SystemExit as error:
            if error.code:
                raise WrongCommand(said.getvalue()) from error
        except OptionError as error:
            raise WrongCommand(str(error)) from error


class _Parsed(Exception):
    pass


def _check_module(module: str, words: Sequence[str]) -> None:
    """Call what `python -m` calls, as far as its arguments are parsed."""
    parse = argparse.ArgumentParser.parse_args

    def parse_and_stop(parser: argparse.ArgumentParser, *arguments: Any) -> NoReturn:
        parse(parser, *arguments)
        raise _Parsed

    with (
        redirect_stdout(StringIO()),
        redirect_stderr(StringIO()) as said,
        mock.patch.object(argparse.ArgumentParser, "parse_args", parse_and_stop),
        mock.patch.object(sys, "argv", [module, *words]),
    ):
        try:
            _execute(module)
        except _Parsed:
            pass
        except SystemExit as error:
            if error.code:
                raise WrongCommand(said.getvalue()) from error


def _execute(module: str) -> None:
    """Do what `python -m` does; runpy does not get on with pytest's import hook."""
    spec = importlib.util.find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = importlib.util.find_spec(f"{module}.__main__")
    if spec is None or spec.origin is None:
        raise WrongCommand(f"there is no module {module}")
    code = compile(Path(spec.origin).read_text("utf-8"), spec.origin, "exec")
    exec(code, {"__name__": "__main__", "__package__": spec.parent})


def _check_installed(words: Sequence[str]) -> None:
    for word in words:
        match = OURS.fullmatch(word)
        if match is None:
            if word.startswith("gestalt"):
                raise WrongCommand(f"{word!r} is no requirement")
            continue
        name, extras = match.groups()
        try:
            found = importlib.metadata.metadata(name)
        except importlib.metadata.PackageNotFoundError as error:
            raise WrongCommand(f"there is no distribution {name}") from error
        for extra in (extras or "").split(",") if extras else ():
            if extra not in (found.get_all("Provides-Extra") or ()):
                raise WrongCommand(f"{name} has no extra {extra!r}")
