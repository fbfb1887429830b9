"""The command that runs peers' suites, on a peer of the test's own."""

import contextlib
import sys

import pytest

from . import __main__ as command
from .brokers import Embedded
from .running import run
from .suites import SUITES, Suite

PEER = """
import subprocess, time
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_is_left_out(): assert False
@pytest.mark.skip(reason="no")
def test_is_skipped(): pass
@pytest.fixture
def broken():
    yield
    assert False
def test_fails_at_its_end(broken): pass
def test_asks_the_broker_by_its_command():
    subprocess.run(["rabbitmqctl", "stop_app"], check=True)
    subprocess.run(["rabbitmqctl", "start_app"], check=True)
def test_hangs(): time.sleep(600)
"""
CONTAINERS = """
def check_docker_available(): raise RuntimeError("there are no containers")
def pytest_configure(): check_docker_available()
"""


class NoBroker:
    name = "none"

    @contextlib.contextmanager
    def running(self, folder):
        script = folder / "rabbitmqctl"
        script.write_text("#!/bin/sh\nexit 0\n")
        script.chmod(0o755)
        yield


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "peer"
    folder.mkdir()
    (folder / "test_it.py").write_text(PEER)
    (folder / "conftest.py").write_text(CONTAINERS)
    return folder


def test_a_suite_that_hangs_has_told_all_that_came_before(source, tmp_path):
    suite = Suite(
        "peer", ["test_it.py", "-p", "no:randomly"], left_out={"so": ["is_left_out"]}, seconds=8.0
    )
    outcome = run(suite, source, sys.executable, NoBroker(), tmp_path / "run")
    assert outcome.problem == "not done after 8 s"
    assert {name.split("::")[1]: told for name, told in outcome.tests.items()} == {
        "test_passes": "passed",
        "test_fails": "failed",
        "test_is_skipped": "skipped",
        "test_fails_at_its_end": "failed",
        "test_asks_the_broker_by_its_command": "passed",
        "test_hangs": "unfinished",
    }
    assert len(outcome.failures) == 3


def test_every_suite_says_why_it_leaves_tests_out():
    for suite in SUITES.values():
        assert all(reason and words for reason, words in suite.left_out.items())


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--sources", ".", "--only", "odd"], "there is no suite odd; there are pika"),
        (["--sources", "no/such/folder"], "no/such/folder is no folder"),
    ],
)
def test_the_command_refuses_what_cannot_be(arguments, text, capsys):
    with pytest.raises(SystemExit, match="2"):
        command.main(arguments)
    assert text in capsys.readouterr().err


def test_a_peer_without_sources_is_left_out(tmp_path, capsys):
    assert command.main(["--sources", str(tmp_path), "--only", "pika"]) == 0
    assert f"pika: left out, {tmp_path / 'pika'} is not there" in capsys.readouterr().out


def test_what_fails_here_alone_is_named(capsys):
    suite = Suite("peer", [])
    here = command.Outcome({"a": "failed", "b": "failed", "c": "passed"})
    there = command.Outcome({"a": "failed", "b": "passed", "c": "passed"})
    brokers = [Embedded("4.3"), NoBroker()]
    assert command._print_details((suite, "1", [here, there]), brokers) == 1
    told = capsys.readouterr().out
    assert "peer: 1 failed on embedded, like 4.3 and not on none\n  b\n" in told
    assert command._print_details((suite, "1", [there, there]), brokers) == 0
