"""Applications that are described, and the command that describes them, in this process."""

import importlib.util
import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gestalt.runner.command import main

# The command is the runner's; what it describes here is of other distributions.
OTHERS = ("gestalt.codecs", "gestalt.net", "gestalt.amq", "msgspec", "pydantic")
collect_ignore_glob = [] if all(map(importlib.util.find_spec, OTHERS)) else ["*.py"]

APP = """
    from __future__ import annotations
    from dataclasses import dataclass
    from gestalt.amq import BusMessage, connect
    from gestalt.codecs import Codec, MessageTypes

    types = MessageTypes()

    @types.add(1)
    @dataclass
    class Position:
        vehicle: str
        lat: float

    @types.add(2)
    @dataclass
    class Status:
        vehicle: str

    codec = Codec("json", types=types)
    bus = connect("amqp://user:secret@broker:5673/tracks", codec=codec, name="bus")

    @bus.subscriber("telemetry", "vehicle.*.position", queue="tracker")
    async def track(message: BusMessage[Position]) -> None:
        '''Keeps where each vehicle is.'''
"""


class Ended(Exception):
    """The command has ended otherwise than by returning."""


class Told:
    """What a command has said."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err

    @property
    def json(self) -> dict[str, Any]:
        assert self.status in (0, 1), self.err
        document: dict[str, Any] = json.loads(self.out)
        return document


Schema = Callable[..., Told]
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write an application as a module of its own, and give the module's name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    names: list[str] = []

    def write(text: str = APP, **replaced: str) -> str:
        name = f"app{len(names)}_{id(names)}"
        text = textwrap.dedent(text)
        for old, new in replaced.items():
            assert old.replace("_", " ") in text or old in text
            text = text.replace(old, new)
        tmp_path.joinpath(f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        names.append(name)
        return name

    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def schema(capsys: pytest.CaptureFixture[str]) -> Schema:
    """Run `gestalt schema`."""

    def run(*arguments: str) -> Told:
        capsys.readouterr()
        status = 0
        try:
            main(["schema", *arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        out, err = capsys.readouterr()
        return Told(status, out, err)

    return run
