"""The `gestalt` command."""

import os
import re
import signal
import sys

import pytest

from gestalt.runner.command import main

APPLICATION = """
import asyncio
from gestalt.core import Component

class Part(Component):
    async def _open(self): print("open", flush=True)
    async def _close(self): print("close", flush=True)

class Secretive:
    def __repr__(self): return "<password=secret>"

class Namespace:
    value = Secretive()

part = Part()
number = 3
url = "amqp://user:secret@broker"
secretive = Secretive()
settings = {"password": "secret"}
nothing = None

async def main(): print("main", flush=True)
def plain(): return Secretive()
async def generator(): yield 1

async def survive():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    print("went on", flush=True)

async def interrupt(): raise KeyboardInterrupt
"""


@pytest.fixture
def gestalt(launch, tmp_path):
    (tmp_path / "app.py").write_text(APPLICATION)
    return lambda *arguments, **options: launch("-m", "gestalt.runner", *arguments, **options)


def test_runs_an_async_function_from_the_current_directory(gestalt):
    process = gestalt("run", "app:part", "app:main", "--loop", "asyncio")
    assert process.end() == 0
    assert process.lines == ["open", "main", "close"]


def test_sigint_is_death_by_sigint_without_a_traceback(gestalt):
    process = gestalt("run", "app:part")
    process.wait_for("open")
    process.send(signal.SIGINT)
    assert process.end() == -signal.SIGINT
    assert "Traceback" not in process.errors


def test_sigterm_is_death_by_sigterm_and_what_was_printed_is_not_lost(gestalt, tmp_path):
    (tmp_path / "app.py").write_text(
        APPLICATION.replace('print("close", flush=True)', 'print("buffered")')
    )
    process = gestalt("run", "app:part", measured=False)
    process.wait_for("open")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["open", "buffered"]


def test_sigint_lets_python_clean_up(gestalt, tmp_path):
    (tmp_path / "app.py").write_text(
        APPLICATION + "import atexit\natexit.register(print, 'at exit')\n"
    )
    process = gestalt("run", "app:part")
    process.wait_for("open")
    process.send(signal.SIGINT)
    assert process.end() == -signal.SIGINT
    assert process.lines == ["open", "close", "at exit"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_import_of_the_target_ends_it_quietly(gestalt, tmp_path, number):
    (tmp_path / "app.py").write_text(
        "import time\nprint('importing', flush=True)\nwhile True: time.sleep(0.01)\n"
    )
    process = gestalt("run", "app:main")
    process.wait_for("importing")
    process.send(number)
    assert process.end() == -number
    assert process.errors == ""


def test_an_interrupt_that_the_application_raises_itself_is_death_by_sigint(gestalt):
    process = gestalt("run", "app:part", "app:interrupt")
    assert process.end() == -signal.SIGINT
    assert process.lines == ["open", "close"]
    assert process.errors == ""


@pytest.mark.parametrize(
    ("target", "sentence"),
    {
        "app": "'app' is not of the form module:attribute",
        ":main": "':main' is not of the form module:attribute",
        "app:": "'app:' is not of the form module:attribute",
        ".app:main": "'.app:main' is not of the form module:attribute",
        "app:main()": "'app:main()' is not of the form module:attribute",
        "app.py:main": "'app.py:main' names a file: name its module",
        "./app:main": "'./app:main' names a file: name its module",
        "nowhere:main": "'nowhere:main': there is no module 'nowhere', looked for from /",
        "app.nowhere:main": "'app.nowhere:main': there is no module 'app.nowhere'",
        "app:missing": "'app:missing': module 'app' has no attribute 'missing'",
        "app:Namespace.missing": "'app:Namespace.missing': 'Namespace' has no attribute 'missing'",
        "app:number": "'app:number': run() takes components, factories of them, coroutines",
        "app:nothing": "got None",
        "app:url": "'app:url': run() takes components, factories of them, coroutines",
        "app:secretive": "got an object of type Secretive",
        "app:Namespace.value": "got an object of type Secretive",
        "app:settings": "got an object of type dict",
        "app:Secretive": "got the class Secretive",
        "app:Part": "got the class Part: give an instance of it",
        "app:generator": "got a generator function: generator yields",
    }.items(),
)
def test_a_wrong_target_is_status_2_and_a_sentence_that_names_it(gestalt, target, sentence):
    process = gestalt("run", target)
    assert process.end() == 2
    assert sentence in process.errors
    assert process.errors.startswith("usage: gestalt run ")
    assert target in process.errors
    assert "secret" not in process.errors.replace("app:secretive", "")
    assert "Traceback" not in process.errors


def test_what_a_function_that_is_not_async_returned_is_not_told(gestalt):
    process = gestalt("run", "app:plain")
    assert process.end() == 1
    assert "plain must be an async function, or return a component" in process.errors
    assert "it returned an object of type Secretive" in process.errors
    assert "secret" not in process.errors.lower().replace("secretive", "")


def test_an_import_that_fails_inside_the_target_is_shown_whole(gestalt, tmp_path):
    (tmp_path / "app.py").write_text("import a_module_that_is_missing\n")
    process = gestalt("run", "app:main")
    assert process.end() == 1
    assert "ModuleNotFoundError: No module named 'a_module_that_is_missing'" in process.errors
    # It begins in the application, and not on the way there.
    place = (
        f'Traceback (most recent call last):\n  File "{tmp_path / "app.py"}", line 1, in <module>'
    )
    assert place in process.errors


def test_a_syntax_error_is_shown_by_its_place_alone(gestalt, tmp_path):
    (tmp_path / "app.py").write_text("def (\n")
    process = gestalt("run", "app:main")
    assert process.end() == 1
    assert process.errors.count("File ") == 1
    assert f'  File "{tmp_path / "app.py"}", line 1\n    def (\n' in process.errors
    assert process.errors.endswith("SyntaxError: invalid syntax\n")


def test_on_exception_continue_goes_on_and_stop_stops(gestalt):
    goes_on = gestalt("run", "app:survive", "--on-exception", "continue")
    stops = gestalt("run", "app:survive", "app:part", "--on-exception", "stop")
    by_default = gestalt("run", "app:survive")
    assert goes_on.end() == 0
    assert goes_on.lines == ["went on"]
    assert stops.end() == by_default.end() == 1
    for process in (goes_on, stops, by_default):
        assert "ZeroDivisionError" in process.errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--shutdown-timeout", "soon"], "must be a number of seconds, 0 or more, got 'soon'"),
        (["--shutdown-timeout", "-1"], "must be a number of seconds, 0 or more, got '-1'"),
        (["--shutdown-timeout", "inf"], "must be a number of seconds, 0 or more, got 'inf'"),
        (
            ["--on-exception", "ignore"],
            "--on-exception: must be one of stop, continue, got 'ignore'",
        ),
        (["--loop", "trio"], "--loop: must be one of auto, asyncio, uvloop, got 'trio'"),
    ],
)
def test_a_wrong_option_is_status_2_and_says_what_it_may_be(gestalt, arguments, sentence):
    process = gestalt("run", "app:main", *arguments)
    assert process.end() == 2
    assert sentence in process.errors


def test_uvloop_that_is_insisted_on_but_missing_is_status_2_and_the_remedy(gestalt, tmp_path):
    (tmp_path / "uvloop.py").write_text("raise ImportError('not here')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    options = {"within": ["env", f"PYTHONPATH={path}"]}
    process = gestalt("run", "app:main", "--loop", "uvloop", **options)
    assert process.end() == 2
    assert "pip install 'gestalt-runner[uvloop]'" in process.errors
    assert "Traceback" not in process.errors


def test_version_and_help(gestalt):
    version, help_ = gestalt("--version"), gestalt("run", "--help")
    assert version.end() == 0
    assert version.lines[0].startswith("gestalt-runner ")
    assert help_.end() == 0
    text = " ".join(" ".join(help_.lines).split())
    for word in (
        "exit status:",
        "signals:",
        "logging:",
        "--on-exception",
        "GESTALT_SHUTDOWN_TIMEOUT; default: 25.0)",
    ):
        assert word in text


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_debug_names_what_is_slow_with_its_duration_and_handler(gestalt, tmp_path, loop):
    (tmp_path / "app.py").write_text("""
import time
from gestalt.core import Timer
def sluggish(): time.sleep(0.3)
timer = Timer.after(0.01, sluggish)
""")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = gestalt("run", "app:timer", "--loop", loop, "--debug")
    quiet = gestalt("run", "app:timer", "--loop", loop)
    assert process.end() == quiet.end() == 0
    assert f"at sluggish ({tmp_path}/app.py:4)" in process.errors
    assert re.search(r"took \d+\.\d+ seconds|took \d+\.\d+ s", process.errors)
    assert quiet.errors == ""


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("closed", ["0<&- 1>&- 2>&-", "0<&-", "1>&-", "2>&-", "1>&- 2>&-"])
def test_closed_standard_streams_change_nothing(gestalt, tmp_path, loop, closed):
    (tmp_path / "app.py").write_text("""
import asyncio, os, socket, subprocess, sys
kept = socket.socket()
async def main():
    server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.close()
    server.close()
    print("to nowhere, or somewhere")
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "input")
    with open("told", "w") as told:
        print(await child.wait(), kept.fileno() > 2, file=told)
""")
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    process = gestalt("run", "app:main", "--loop", loop, shell=closed)
    assert process.end() == 0, process.errors
    assert (tmp_path / "told").read_text() == "0 True\n"


def test_without_a_command_it_says_which_there_are(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "a command is needed: run, " in capsys.readouterr().err
