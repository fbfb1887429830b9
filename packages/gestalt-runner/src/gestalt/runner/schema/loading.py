"""From what a command line says to documents."""

import json
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from gestalt.core.contracts import ContractError, Operation
from gestalt.runner.configuration import Configuration
from gestalt.runner.errors import OptionError
from gestalt.runner.options.option import Given, Option, Settings
from gestalt.runner.options.resolving import Sources
from gestalt.runner.options.table import APP_DIR, ENV_FILE, RUN, TARGETS
from gestalt.runner.targets import ImportFailed

from .document import VERSION, document_of
from .finding import operations_of


def described(
    options: Sequence[Option[Any]], said: Given, title: Option[str], version: Option[str]
) -> tuple[Settings, dict[str, Any]]:
    """The document of the application that a command line names, and the settings besides.

    Raises:
        OptionError: an option is wrong, or names nothing that can be described.
        SystemExit: 2, after its traceback, where the application's own code fails.
    """
    settings = Sources(options, said, Path.cwd(), project=False).read(os.environ)
    shared = _shared(said, TARGETS.name)
    targets = shared[TARGETS]
    if not targets:
        raise OptionError("name a target, as in 'gestalt schema export app:bus'")
    called = settings[title] or targets[0].partition(":")[2].rpartition(".")[2]
    return settings, _document(targets, shared[APP_DIR], called, settings[version])


def loaded(
    options: Sequence[Option[Any]], said: Given, documents: Option[tuple[str, ...]]
) -> tuple[Settings, dict[str, Any], dict[str, Any]]:
    """Two documents that a command line names, the old one first, and the settings besides.

    Raises:
        OptionError: an option is wrong, or names no document.
        SystemExit: 2, after its traceback, where the application's own code fails.
    """
    settings = Sources(options, said, Path.cwd(), project=False).read(os.environ)
    shared = _shared(said, documents.name)
    named = settings[documents]
    if not named:
        raise OptionError("name two documents, as in 'gestalt schema diff old.json app:bus'")
    old, *new = named
    # The new application may be the one of pyproject.toml.
    new = new or list(_shared({}, documents.name)[TARGETS])
    if not new:
        raise OptionError("name two documents, as in 'gestalt schema diff old.json app:bus'")
    folder = shared[APP_DIR]
    return settings, _side([old], folder), _side(new, folder)


def _shared(said: Given, positional: str) -> Settings:
    """The settings that `gestalt run` has as well, and the environment as it has it."""
    names = {APP_DIR.name, ENV_FILE.name}
    given = {name: texts for name, texts in said.items() if name in names}
    if positional == TARGETS.name and positional in said:
        given[positional] = said[positional]
    configuration = Configuration(Sources(RUN, given, Path.cwd()))
    settings = configuration.read()
    configuration.export()
    return settings


def _side(named: Sequence[str], folder: str) -> dict[str, Any]:
    files = [each for each in named if each == "-" or _is_file(each)]
    if not files:
        return _document(named, folder, named[0].partition(":")[2], "")
    if len(named) > 1:
        raise OptionError(f"compare two documents: {', '.join(map(repr, named))} are several")
    return _read(files[0])


def _is_file(named: str) -> bool:
    # Not that of pathlib, which raises where a name is too long, or a folder cannot be read.
    is_file = os.path.isfile(named)  # noqa: PTH113
    return ":" not in named or is_file or named.endswith((".json", ".yaml", ".yml"))


def _document(targets: Sequence[str], folder: str, title: str, version: str) -> dict[str, Any]:
    operations = _operations(targets, folder)
    return document_of(operations, title=title, version=version)


def _operations(targets: Sequence[str], folder: str) -> list[Operation]:
    try:
        # What modules print when they are imported is not a part of the document.
        with redirect_stdout(sys.stderr):
            return operations_of(targets, folder)
    except ContractError as error:
        raise OptionError(f"{', '.join(map(repr, targets))}: {error}") from error
    except OptionError:
        raise
    except ImportFailed:
        sys.exit(2)
    except Exception:
        traceback.print_exc()
        sys.exit(2)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        raise OptionError(f"{', '.join(map(repr, targets))}: the module ends the process") from None


def _read(name: str) -> dict[str, Any]:
    """The document in a file, or on stdin."""
    called = "stdin" if name == "-" else name
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"{called} cannot be read: {error}") from error
    try:
        document = json.loads(text)
    except ValueError as error:
        document = _read_yaml(called, text, error)
    except RecursionError as error:
        raise OptionError(f"{called} is nested too deeply") from error
    if not isinstance(document, dict) or "asyncapi" not in document:
        raise OptionError(f"{called} is no document of AsyncAPI")
    if not str(document["asyncapi"]).startswith("3."):
        raise OptionError(
            f"{called} is a document of AsyncAPI {document['asyncapi']}, and {VERSION} is needed"
        )
    for name in ("channels", "operations", "components"):
        section = document.get(name, {})
        # What cannot be read would pass for what has gone, or was never there.
        if not isinstance(section, dict) or any(
            not isinstance(each, dict) for each in section.values()
        ):
            raise OptionError(f"{called} is malformed: {name} are objects, by their names")
    return document


def _read_yaml(called: str, text: str, error: ValueError) -> Any:
    if called.endswith(".json") or text.lstrip().startswith("{"):
        raise OptionError(f"{called} is no JSON: {error}") from error
    from .writing import yaml

    library = yaml()
    try:
        return library.safe_load(text)
    except RecursionError as fault:  # pragma: no cover - so deep, nothing is measured
        raise OptionError(f"{called} is nested too deeply") from fault
    except library.YAMLError as fault:
        raise OptionError(f"{called} is neither JSON nor YAML: {fault}") from fault
