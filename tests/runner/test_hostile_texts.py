"""What others have named, and what answers as it likes, costs whoever looks neither terminal nor
time."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gestalt.runner.command import main
from gestalt.runner.health.address import HealthAddress
from gestalt.runner.health.client import fetch
from gestalt.runner.output import show
from gestalt.runner.top.tables import TASKS
from gestalt.runner.top.text import LONGEST, _lines

HOSTILE = "\x1b[31mred\x07 \u202egpj.exe\x9b2J\r"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-S", *arguments],
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        timeout=30,
    )


def document(kind: str) -> str:
    payload = {"type": "object", "properties": {HOSTILE: {"type": kind}}}
    message = {"name": HOSTILE, "payload": payload}
    channel = {"address": HOSTILE, "messages": {HOSTILE: message}}
    operation = {"action": "receive", "channel": {"$ref": f"#/channels/{HOSTILE}"}}
    return json.dumps(
        {
            "asyncapi": "3.0.0",
            "channels": {HOSTILE: channel},
            "operations": {HOSTILE: operation},
        }
    )


def test_what_a_document_names_controls_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, kind in (("old.json", "string"), ("new.json", "integer")):
        (tmp_path / name).write_text(document(kind))
    with pytest.raises(SystemExit) as ended:
        main(["schema", "diff", str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert ended.value.code == 1
    told = capsys.readouterr().out
    assert "red" in told
    assert not set(told) & set("\x1b\x07\x9b\r")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"asyncapi": "2\\u001b[31m\\nx"}', "is a document of AsyncAPI 2\ufffd[31m x"),
        ('{"asyncapi": "3.0.0", "channels": 5}', "old.json is malformed: channels are objects"),
        ('{"asyncapi": "3.0.0", "operations": {"a": 1}}', "malformed: operations are objects"),
    ],
)
def test_a_document_that_is_none_is_told_of_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    (tmp_path / "old.json").write_text(text)
    (tmp_path / "new.json").write_text('{"asyncapi": "3.0.0"}')
    with pytest.raises(SystemExit) as ended:
        main(["schema", "diff", str(tmp_path / "old.json"), str(tmp_path / "new.json")])
    assert ended.value.code == 2
    _usage, line = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("name", ["x" * 300 + ":main", HOSTILE + ".json", HOSTILE + ":main"])
def test_a_name_of_any_kind_is_told_of_in_one_line(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    for command in (["schema", "diff", name, "x.json"], ["schema", "export", name], ["run", name]):
        with pytest.raises(SystemExit) as ended:
            main(command)
        assert ended.value.code == 2
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 2
        assert not set(told) & set("\x1b\x07\x9b\r\u202e")


def test_what_stdout_cannot_encode_is_printed_as_an_escape() -> None:
    program = "from gestalt.runner.output import show; show('CPU \\u00b7 \\ud800 1%')"
    assert run("-c", program, PYTHONIOENCODING="ascii").stdout == b"CPU \\xb7 \\ud800 1%\n"
    assert run("-c", program, PYTHONIOENCODING="utf-8").stdout == "CPU · \\ud800 1%\n".encode()


def test_pages_that_are_kept_lose_no_direction_and_terminals_get_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    show(HOSTILE)
    assert "\u202e" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    show(HOSTILE)
    assert not set(capsys.readouterr().out) & set("\x1b\x07\x9b\r\u202e")


def test_a_cell_of_a_table_is_one_line_and_not_so_long() -> None:
    row = {"name": "a\nb" * 1000, "state": "x\ty", "share": None, "seen": None, "at": None}
    lines = _lines(TASKS, [row | {"waits_for": None}])
    assert len(lines) == 2
    assert "x y" in lines[1]
    assert len(lines[1]) < 2 * LONGEST


class Answering:
    """A server of one connection, which does as it is told."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.address = HealthAddress.parse(f"127.0.0.1:{self._listening.getsockname()[1]}")
        self._answer = answer
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listening.accept()
        with connection, self._listening, contextlib.suppress(OSError):
            self._answer(connection)

    def end(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()


def page(body: str) -> Callable[[socket.socket], None]:
    def answer(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + body.encode())

    return answer


@pytest.mark.parametrize(
    "body",
    [
        "",
        "garbage",
        "[1]",
        '{"status": 1}',
        "[" * 100_000,
        '{"status": "x", "failed": 5}',
        '{"status": "x", "failed": [1]}',
        '{"status": "x", "failed": [{"check": "a"}]}',
    ],
)
def test_what_is_no_answer_of_a_health_endpoint_is_told_as_that(body: str) -> None:
    server = Answering(page(body))
    with pytest.raises(OSError, match="is no health endpoint"):
        fetch(server.address, "/readyz", timeout=30)
    server.end()


@pytest.mark.parametrize("head", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n{"])
def test_an_answer_that_drips_has_the_time_of_one_answer(head: bytes) -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(head)
        while True:
            connection.sendall(b" ")
            closing.wait(0.02)

    closing = threading.Event()
    server = Answering(drip)
    with pytest.raises(TimeoutError, match=r"does not answer within 0.2 s"):
        fetch(server.address, "/readyz", timeout=0.2)
    server.end()
