"""Writes a document, in the format that is asked for."""

import json
import re
from pathlib import Path
from typing import Any

from gestalt.runner.errors import OptionError
from gestalt.runner.output import show, without_controls

FORMATS = ("json", "yaml", "markdown")

_ENDINGS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".md": "markdown"}


def write(document: dict[str, Any], form: str, output: str) -> None:
    """Write a document.

    Args:
        document: of AsyncAPI.
        form: one of FORMATS; empty for what the name of the output says, else JSON.
        output: the path of a file; empty for stdout.

    Raises:
        OptionError: the file cannot be written, or a library is missing.
    """
    text = text_of(document, form or _ENDINGS.get(Path(output).suffix.lower(), "json"))
    if not output:
        show(text)
        return
    try:
        Path(output).write_text(text, "utf-8", errors="backslashreplace")
    except OSError as error:
        raise OptionError(f"the document cannot be written: {error}") from error


def text_of(document: dict[str, Any], form: str) -> str:
    """A document as text.

    Raises:
        OptionError: a library is missing.
    """
    if form == "yaml":
        dumped: str = yaml().safe_dump(
            json.loads(json.dumps(document)), sort_keys=False, allow_unicode=True, width=100
        )
        return dumped
    if form == "markdown":
        from .markdown import markdown_of

        return without_controls(markdown_of(document))
    return _ESCAPED.sub(_escape, json.dumps(document, ensure_ascii=False, indent=2)) + "\n"


# What a terminal obeys, and what is no text: it is written as JSON itself has it.
_ESCAPED = re.compile("[\x7f-\x9f\ud800-\udfff]")


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def yaml() -> Any:
    """The library for YAML.

    Raises:
        OptionError: it is not installed.
    """
    try:
        import yaml as library
    except ImportError as error:
        raise OptionError(
            "PyYAML, which reads and writes YAML, is not installed: "
            "pip install 'gestalt-runner[schema]'"
        ) from error
    return library
