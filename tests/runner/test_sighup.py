"""SIGHUP reloads what can be without a restart, and ends nothing by itself."""

import os
import signal
import sys
import time

import pytest

from tests.runner.conftest import ENVIRONMENT, PRELUDE, PYTHON
from tests.support.terminal import Terminal

RELOADABLE = """
from gestalt.core.reloading import reloads
class Prices(Part):
    @reloads
    def _read(self): say("read again")
"""


def test_components_come_before_on_reload(script):
    process = script(f"{RELOADABLE}\nrun(Prices(), on_reload=lambda: say('reload'), loop=LOOP)")
    process.wait_for("open Prices")
    process.send(signal.SIGHUP)
    process.wait_for("reload")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["open Prices", "read again", "reload", "close Prices"]


def test_while_the_application_is_imported_it_ends_nothing_and_is_made_up_for(launch, tmp_path):
    body = "say('importing')\nsys.stdin.readline()\nprices = Prices()"
    imported = PRELUDE.replace("import run", "import run as _")
    (tmp_path / "app.py").write_text(f"{imported}\n{RELOADABLE}\n{body}")
    process = launch("-m", "gestalt.runner", "run", "app:prices", stdin=True)
    process.wait_for("importing")
    process.send(signal.SIGHUP)
    process.write("\n")
    process.wait_for("read again")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["importing", "open Prices", "read again", "close Prices"]


def test_a_server_shows_a_renewed_certificate_and_keeps_the_old_one_when_the_new_is_bad(
    script, tmp_path
):
    trustme = pytest.importorskip("trustme")
    pytest.importorskip("gestalt.net")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")

    def issue(name):
        issued = authority.issue_cert("localhost", common_name=name)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")

    issue("first")
    process = script("""
        import ssl
        from gestalt.net import Mti, StreamServer, Tls, Wire

        async def tell_certificate():
            context = ssl.create_default_context(cafile="ca.pem")
            port = server.address.port
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost"
            )
            subject = dict(pair for [pair] in writer.get_extra_info("peercert")["subject"])
            say(subject["commonName"])
            writer.close()
            await writer.wait_closed()

        async def main():
            await tell_certificate()
            await asyncio.Event().wait()

        tls = Tls(certificate="server.pem")
        server = StreamServer("tls://127.0.0.1:0", Wire(Mti()), on_message=print, tls=tls)
        run(server, main, on_reload=tell_certificate, loop=LOOP)
    """)
    process.wait_for("first")
    issue("second")
    process.send(signal.SIGHUP)
    process.wait_for("second")
    (tmp_path / "server.pem").write_text("nonsense")
    process.send(signal.SIGHUP)
    process.wait_for("second")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert "the TLS certificate file 'server.pem'" in process.errors


TERMINAL = """
def told(text):
    with open("told", "a") as file:
        print(text, file=file)
class Telling(Component):
    async def _open(self):
        say("running")
    async def _close(self):
        told("closed")
    @reloads
    def _read(self):
        told("reloaded")
        say("reloaded")
run(Telling())
"""


@pytest.fixture
def terminal(tmp_path):
    """Run TERMINAL in a terminal, by a command in front of it."""
    (tmp_path / "script.py").write_text(f"{PRELUDE}\n{RELOADABLE}\n{TERMINAL}")
    terminals = []

    def terminal(*within):
        variables = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [*within, *PYTHON, "script.py"]
        terminals.append(Terminal(command, variables=variables, cwd=tmp_path))
        terminals[-1].wait_for("running")
        return terminals[-1]

    yield terminal
    for each in terminals:
        each.__exit__(None, None, None)


def test_the_end_of_the_terminal_is_a_graceful_stop(terminal, tmp_path):
    window = terminal()
    window.process.send_signal(signal.SIGHUP)
    window.wait_for("reloaded")
    window.hang_up()
    assert window.process.wait(30) == -signal.SIGHUP
    assert (tmp_path / "told").read_text() == "reloaded\nclosed\n"


def test_under_nohup_the_end_of_the_terminal_is_no_stop(terminal, tmp_path):
    window = terminal("nohup", "sh", "-c", 'exec "$@" >/dev/tty', "sh")
    window.hang_up()
    window.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 30
    while not (tmp_path / "told").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    window.process.send_signal(signal.SIGTERM)
    assert window.process.wait(30) == -signal.SIGTERM
