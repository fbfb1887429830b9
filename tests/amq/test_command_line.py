"""The command beside what it does: its arguments, its output, and its end."""

import asyncio
import json
import os
import socket
import subprocess
import sys

import pytest

from gestalt.amq import Bus, BusMessage
from gestalt.amq.__main__ import main
from gestalt.amq.embedded.command import main as serve
from tests.support.terminal import Terminal

DEADLINE = 30.0
COMMAND = [sys.executable, "-m", "gestalt.amq"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: subject"),
        (["nonsense"], "invalid choice: 'nonsense'"),
        (["parked"], "required: action"),
        (["parked", "list"], "required: queue"),
        (["parked", "list", ""], "a name has from 1 to 255 bytes"),
        (["parked", "list", "x" * 256], "a name has from 1 to 255 bytes"),
        (["parked", "list", "q", "--limit", "0"], "a whole number above 0, not '0'"),
        (["parked", "list", "q", "--limit", "-3"], "a whole number above 0, not '-3'"),
        (["parked", "replay", "q", "--limit", "all"], "a whole number above 0, not 'all'"),
        (["parked", "replay", "q", "--json"], "unrecognized arguments: --json"),
        (["parked", "list", "q", "amqp://me:secret@host"], "arguments: amqp://...@host"),
        (["parked", "list", "q", "--where", "reason"], "a condition is FIELD=VALUE, not 'reason'"),
        (["parked", "purge", "q", "--where", "colour=red"], "or header.NAME, not on 'colour'"),
        (["parked", "list", "q", "--codec", "nonsense"], "nonsense"),
        (["parked", "show", "q"], "required: which"),
        (["parked", "list", "q", "--url", "http://me:secret@host"], "like amqp://user:password@"),
        (["info", "s", "--url", "amqp://me:secret@host:99999"], "like amqp://user:password@"),
        (["info", "s", "--url", "amqp://me:secret@"], "like amqp://user:password@"),
        (["ping", "s", "--timeout", "nan"], "seconds above 0, not 'nan'"),
        (["ping", "s", "--timeout", "-1"], "seconds above 0, not '-1'"),
        (["ping", "s", "--timeout", "soon"], "seconds above 0, not 'soon'"),
        (["ping"], "required: service"),
    ],
)
def test_a_wrong_argument_gets_a_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert said in err
    assert "secret" not in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--port", "65536"], "a port is a whole number from 0 to 65535, not '65536'"),
        (["--port", "-1"], "a port is a whole number from 0 to 65535, not '-1'"),
        (["--port", "x"], "not 'x'"),
        (["--heartbeat", "-1"], "a heartbeat is a whole number from 0 to 65535, not '-1'"),
        (["--memory-limit", "0"], "a memory limit is a whole number from 1 to"),
        (["--vhost", ""], "a virtual host has a name"),
        (["--user", "secret"], "a user is NAME:PASSWORD"),
        (["--log-level", "loud"], "invalid choice: 'loud'"),
        (["nonsense"], "unrecognized arguments: nonsense"),
    ],
)
def test_a_wrong_argument_of_the_broker_gets_a_sentence_and_status_2(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        serve(arguments)
    out, err = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert said in err
    assert "secret" not in err


def test_a_broker_that_nobody_runs_is_one_sentence_in_a_narrow_terminal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [*COMMAND, "ping", "s", "--url", f"amqp://me:secret@127.0.0.1:{port}/"]
    with Terminal(command, columns=60, variables={**os.environ, "TERM": "xterm"}) as terminal:
        assert terminal.wait_ended() == 1
        text = terminal.text.replace("\n", "")
    assert text.startswith("gestalt.amq: no broker within 5 s")
    assert text.count("cannot be connected to") == 1
    assert "secret" not in text


@pytest.mark.parametrize("arguments", [["ping", "s"], ["info", "s"], ["parked", "list", "q"]])
def test_ctrl_c_ends_the_command_without_a_traceback(arguments: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(DEADLINE)
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}/"
        variables = {**os.environ, "TERM": "xterm"}
        with Terminal([*COMMAND, *arguments, "--url", url], variables=variables) as terminal:
            connection, _ = silent.accept()
            terminal.press("\x03")
            assert terminal.wait_ended() == 130
            assert terminal.text.strip() in ("", "^C")
            connection.close()


async def park(bus: Bus, queue: str, reason: str) -> None:
    def handle(message: BusMessage[str]) -> None:
        raise ValueError(reason)

    subscription = await bus.subscribe(queue, "#", handle, queue=queue, retry=None)
    await bus.publisher(queue).publish("x" * 1000, "a.key")
    async with asyncio.timeout(DEADLINE):
        while not subscription.stats.parked:
            await asyncio.sleep(0.01)


async def test_what_others_have_written_cannot_move_the_terminal(
    bus: Bus, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await park(bus, unique, "\x1b[2Jgone\nand a line of its own \u202e \u00e9")
    assert await asyncio.to_thread(main, ["parked", "list", unique, "--url", broker_url]) == 0
    first, reason, body = capsys.readouterr().out.splitlines()
    assert first.startswith("1  ")
    assert reason == r"    ValueError: \x1b[2Jgone\nand a line of its own \u202e é"
    assert body == f"    {'x' * 200}..."


async def test_a_terminal_of_few_letters_gets_all_of_it(
    bus: Bus, broker_url: str, unique: str
) -> None:
    await park(bus, unique, "caf\u00e9")
    listing = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("parked", "list", unique, "--url", broker_url),
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await listing.communicate()
    assert (listing.returncode, err) == (0, b"")
    assert rb"caf\xe9" in out


@pytest.mark.parametrize("as_json", [True, False])
async def test_a_reader_that_has_seen_enough_gets_no_traceback(
    bus: Bus, broker_url: str, unique: str, as_json: bool
) -> None:
    await park(bus, unique, "not yet")
    more = ["--json"] if as_json else []
    read, write = os.pipe()
    os.close(read)
    listing = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("parked", "list", unique, "--url", broker_url, *more),
        stdout=write,
        stderr=subprocess.PIPE,
    )
    os.close(write)
    _, err = await listing.communicate()
    assert (listing.returncode, err) == (1, b"")


async def test_output_that_cannot_be_written_is_named(
    bus: Bus, broker_url: str, unique: str
) -> None:
    await park(bus, unique, "not yet")
    full = os.open("/dev/full", os.O_WRONLY)
    listing = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("parked", "list", unique, "--url", broker_url),
        stdout=full,
        stderr=subprocess.PIPE,
    )
    os.close(full)
    _, err = await listing.communicate()
    assert listing.returncode == 1
    assert err == b"gestalt.amq: the output cannot be written: No space left on device\n"


async def test_json_is_a_line_for_each_message(
    bus: Bus, broker_url: str, unique: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await park(bus, unique, "a\nb")
    arguments = ["parked", "list", unique, "--url", broker_url, "--json"]
    assert await asyncio.to_thread(main, arguments) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["reason"] == "a\nb"


def test_the_broker_ends_by_ctrl_c_in_a_terminal() -> None:
    command = [*COMMAND[:-1], "gestalt.amq.embedded", "--port", "0"]
    with Terminal(command, columns=60, variables={**os.environ, "TERM": "dumb"}) as terminal:
        terminal.wait_for("listening on amqp://")
        terminal.press("\x03")
        assert terminal.wait_ended() == 0
        assert "stopped" in terminal.text
        assert b"\x1b" not in terminal.written


def test_a_broker_whose_port_is_taken_names_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [*COMMAND[:-1], "gestalt.amq.embedded", "--port", str(port)]
        broker = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert broker.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}" in broker.stderr
    assert "Traceback" not in broker.stderr
