"""Whether the blocks of a page that are data can be read as what they are said to be."""

import configparser
import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from gestalt.runner.options.resolving import Sources
from gestalt.runner.options.table import RUN


def _check_toml(text: str) -> None:
    table = tomllib.loads(text)
    if "gestalt" in table.get("tool", {}):
        with TemporaryDirectory() as folder:
            (Path(folder) / "pyproject.toml").write_text(text, "utf-8")
            Sources(RUN, {}, Path(folder)).read({})


def _check_ini(text: str) -> None:
    # A unit of systemd may say the same more than once.
    configparser.ConfigParser(strict=False, interpolation=None).read_string(text)


def _check_yaml(text: str) -> None:
    if not all(isinstance(each, (dict, list)) for each in yaml.safe_load_all(text)):
        raise ValueError("it has something else than tables and lists")


INSTRUCTIONS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"),
    *("RUN", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}


def _check_dockerfile(text: str) -> None:
    for line in re.sub(r"\\\n", " ", text).splitlines():
        word = line.split(maxsplit=1)[0] if line.strip() else "#"
        if not word.startswith("#") and word not in INSTRUCTIONS:
            raise ValueError(f"there is no instruction {word!r}")


CHECKS: dict[str, Callable[[str], Any]] = {
    "toml": _check_toml,
    "ini": _check_ini,
    "yaml": _check_yaml,
    "json": json.loads,
    "dockerfile": _check_dockerfile,
}
"""By the language of a block."""

SEEN = {"python", "text", "output", "console", "sh", "bash", "protobuf", ""}
"""Languages of blocks that are looked at elsewhere, or are for people alone."""
