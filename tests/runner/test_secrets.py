"""What an application holds is in nothing that the runner prints or answers."""

import json
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gestalt.runner.inspection.client import connect
from tests.support.health import ask

from .conftest import Process

# No name, so that it is not taken for one: names are told.
CANARY = "cnry-0123456789-" + "8642" * 3

APPLICATION = """
import asyncio, functools, logging, os
from gestalt.core import Component, Group, Readiness, Supervisor, Timer

SECRET = os.environ["APP_TOKEN"]


class Holder(Component, Readiness):
    def __init__(self, secret):
        super().__init__(name="holder")
        self.secret = secret

    def __repr__(self):
        return f"Holder({self.secret})"

    def __call__(self, *args):
        raise LookupError("a callable failed")

    @property
    def trouble(self):
        raise LookupError(self.secret)

    async def _open(self):
        self._spawn(self.wait(self.secret), name="wait")

    async def _close(self):
        pass

    async def wait(self, secret):
        await asyncio.Event().wait()


def fail(*secrets):
    raise LookupError("a callback failed")


async def fail_later(*secrets):
    raise ArithmeticError("a task failed")


async def main(secret):
    loop = asyncio.get_running_loop()
    holder = Holder(secret)
    loop.call_soon(fail, secret, holder)
    loop.call_soon(functools.partial(fail, secret), holder)
    loop.call_soon(holder, secret)
    loop.call_later(0.001, fail, secret)
    loop.call_soon_threadsafe(fail, secret)
    asyncio.ensure_future(fail_later(secret, holder))
    future = loop.create_future()
    future.add_done_callback(functools.partial(fail, secret))
    future.set_result(secret)
    failed = loop.create_future()
    failed.set_exception(LookupError("a future failed"))
    del failed
    loop.call_exception_handler({"message": "a library said something", "holder": holder})
    await asyncio.sleep(0.05)
    print("failed", flush=True)
    await asyncio.Event().wait()


async def refuse():
    raise LookupError(SECRET)


def check():
    raise LookupError("a check failed")


secretive = functools.partial(main, SECRET)
timer = Timer.every(0.01, functools.partial(fail, SECRET), on_error="continue")
group = Group(Holder(SECRET), Supervisor(functools.partial(Holder, SECRET)), timer)
checks = {"refuse": check}
"""


def started(launch: Callable[..., Process], folder: Path, *options: str) -> Process:
    (folder / "app.py").write_text(APPLICATION)
    (folder / ".env").write_text(f"APP_TOKEN={CANARY}\nGESTALT_SHUTDOWN_TIMOUT={CANARY}\n")
    process = launch(
        "-m", "gestalt.runner", "run", "app:secretive", "app:group",
        "--env-file", ".env", "--on-exception", "continue", "--health-checks", "app:checks",
        "--health-address", f"unix:{folder}/health", *options,
        environment={"XDG_RUNTIME_DIR": str(folder), "APP_PASSWORD": CANARY},
    )  # fmt: skip
    process.wait_for("failed")
    return process


@pytest.mark.parametrize(
    "options",
    [["--loop", "asyncio"], ["--loop", "uvloop", "--log-format", "json", "--debug"]],
    ids=lambda options: options[1],
)
def test_what_an_application_holds_is_in_no_log_and_no_answer(
    launch: Callable[..., Process],
    tmp_path: Path,
    options: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    if "uvloop" in options:
        pytest.importorskip("uvloop")
    process = started(launch, tmp_path, *options)
    health = f"unix:{tmp_path}/health"
    # Until all has started, that alone is why it is not ready.
    process.wait_until(lambda: "refuse" in json.dumps(ask(health, "/readyz?verbose")))
    told: dict[str, Any] = {path: ask(health, path) for path in ("/readyz?verbose", "/livez")}
    with connect(str(process.pid)) as client:
        for name in ("application", "snapshot", "stacks", "logs", "metrics", "health"):
            told[name] = client.ask(name)
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    told |= {"errors": process.errors, "lines": process.lines}
    assert [name for name, text in told.items() if CANARY in json.dumps(text)] == []
    # What failed is told, and where.
    for failed in ("a callback", "a callable", "a task", "a future", "a check"):
        assert f"{failed} failed" in process.errors
    assert "Exception in callback fail" in process.errors
    reasons = {each["check"]: each["reason"] for each in told["/readyz?verbose"][1]["failed"]}
    assert reasons["refuse"] == "LookupError"
    assert reasons["holder"] == "its trouble cannot be told, by LookupError"


USER = f"user:{CANARY}@host"
FILES = {
    "app.py": f"""
token = "{CANARY}"
class Odd:
    def __repr__(self):
        return token
async def main():
    pass
def generator():
    yield token
def made():
    return token
odd = Odd()
""",
    "open.env": f"A={CANARY}\n{CANARY} = '{CANARY}\n",
    "odd.env": f"A={CANARY}\xff\n",
    "text.json": f'{{"a": "{CANARY}"',
    "other.json": f'{{"a": "{CANARY}"}}',
}
COMMANDS = (
    "", "run", "run app:main", "top --once", "stacks", "metrics", "health", "schema export",
    "schema diff text.json", "completion", "run app:main --workers", "health --timeout",
    "run app:main --health-checks", "run app:main --log-level",
    "run app:main --debug",
)  # fmt: skip
WRONG = [
    *[(f"{command} amqp://{USER}/vhost", {}, "") for command in COMMANDS],
    (f"run app:main --token={CANARY}", {}, ""),
    (f"run app:main --token {CANARY}", {}, ""),
    (f"run app:main -p{CANARY}", {}, ""),
    (f"run app:main --debug={CANARY}", {}, ""),
    (f"run app:main --health-address http://{USER}:1/x", {}, ""),
    (f"run app:main --health-address http://host:1/x?token={CANARY}", {}, ""),
    (f"health http://{USER}:1/x", {}, ""),
    (f"health {USER}", {}, ""),
    ("run app:main", {"GESTALT_HEALTH_ADDRESS": f"http://{USER}"}, ""),
    ("run app:main", {"GESTALT_WORKERS": f"http://{USER}"}, ""),
    ("run", {"GESTALT_TARGETS": f"http://{USER}"}, ""),
    ("completion", {"SHELL": CANARY}, ""),
    ("run app:main", {}, f"[tool.gestalt]\nworkers={CANARY}"),
    ("run app:main", {}, f"[tool.gestalt]\nworkers=['{CANARY}']"),
    ("run app:main", {}, f"[tool.gestalt]\nworkers={{a = '{CANARY}'}}"),
    ("run app:main", {}, f"[tool.gestalt]\nworkers='http://{USER}'"),
    ("run app:main", {}, f"[tool.gestalt]\nworkers='{CANARY}"),
    ("run app:main", {}, f"token='{CANARY}\xff'"),
    ("run app:main --env-file open.env", {}, ""),
    ("run app:main --env-file odd.env", {}, ""),
    ("run app:main --health-address :0 --health-checks app:token", {}, ""),
    *[(f"run app:{name}", {}, "") for name in ("token", "generator", "made", "odd")],
    *[(f"schema export app:{name}", {}, "") for name in ("token", "made", "odd")],
    ("schema diff text.json app:main", {}, ""),
    ("schema diff other.json app:main", {}, ""),
]


# Everything in one process, which it costs less to start than to tidy up.
EACH = """
import contextlib, io, json, os, sys
from pathlib import Path
from gestalt.runner.command import main

for words, environment, project in json.loads(Path("wrong.json").read_text()):
    before = dict(os.environ)
    os.environ.update(environment)
    Path("pyproject.toml").write_text(project, "latin-1")
    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            main(words.split())
            status = 0
        except SystemExit as error:
            status = error.code
    os.environ.clear()
    os.environ.update(before)
    print(json.dumps([words, told.getvalue(), status]))
"""


def test_what_a_command_is_told_wrongly_shows_no_secret(
    launch: Callable[..., Process], tmp_path: Path
) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "latin-1")
    (tmp_path / "wrong.json").write_text(json.dumps(WRONG))
    process = launch("-c", EACH, environment={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert process.end() == 0, process.errors
    answers = list(map(json.loads, process.lines))
    assert [words for words, told, status in answers if not status] == []
    # A sentence of each.
    assert [words for words, told, status in answers if len(f"{told}{status}") < 40] == []
    leaks = [words for words, told, status in answers if CANARY in f"{told}{status}"]
    assert leaks == []
    assert len(answers) == len(WRONG)
    assert CANARY not in process.errors
