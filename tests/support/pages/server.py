"""Runs pages, each in a process of its own that is forked where everything is imported already.

`python -m tests.support.pages.server` takes a page and a side in each line, and answers for each in
a line of JSON, in the order in which they end: page, side and what went wrong, or an empty text.
"""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, NoReturn, Self, TypeAlias

from .markdown import ROOT

Asked: TypeAlias = tuple[Path, str]
"""A page, and its side."""

DEADLINE = 100
"""How long a page may take, in seconds."""
TOGETHER = 6
"""How many run at a time: they wait more than they compute."""
IMPORTED = ("aio_pika", "gestalt.runner", "gestalt.net", "gestalt.amq", "gestalt.codecs")


class PageServer:
    """The process that runs pages.

    Args:
        pages: all that are run, from the start on.
    """

    def __init__(self, pages: Iterable[Asked]) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self._wrong: dict[Asked, str] = {}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )
        assert self._process.stdin is not None
        with self._process.stdin as writer:
            for page, side in pages:
                print(json.dumps([str(page), side]), file=writer)

    def result(self, page: Path, side: str = "") -> str:
        """Wait until a page has run, and return what went wrong: for people, or an empty text."""
        assert self._process.stdout is not None
        while (page, side) not in self._wrong:
            name, of, text = json.loads(self._process.stdout.readline())
            self._wrong[Path(name), of] = text
        return self._wrong[page, side]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


def _serve() -> None:
    for name in IMPORTED:
        __import__(name)
    running: dict[int, _Run] = {}
    for line in sys.stdin:
        if len(running) == TOGETHER:
            _await_one(running)
        page, side = json.loads(line)
        run = _Run(page, side)
        running[run.child] = run
    while running:
        _await_one(running)


def _await_one(running: "dict[int, _Run]") -> None:
    child, status = os.waitpid(-1, 0)
    print(json.dumps(running.pop(child).result(status)), flush=True)


class _Run:
    """A page that runs in a child."""

    def __init__(self, page: str, side: str) -> None:
        self._asked = page, side
        self._folder = tempfile.TemporaryDirectory()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `result` closes it
        # What is in a buffer now would be written by both.
        sys.stdout.flush()
        self.child = os.fork()
        if self.child == 0:
            _be_page(Path(page), side, self._folder.name, self._said)

    def result(self, status: int) -> tuple[str, str, str]:
        with self._folder, self._said as said:
            said.seek(0)
            text = said.read().decode(errors="replace")
        if status and not text:
            text = f"The process ended with {os.waitstatus_to_exitcode(status)}."
        return *self._asked, text if status else ""


def _be_page(page: Path, side: str, folder: str, said: IO[Any]) -> None:
    status = 1
    try:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(DEADLINE)
        from .running import PageRun

        PageRun(page, side).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _give_up(*_: object) -> NoReturn:
    # What it has started is ended on the way out.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(10)
    faulthandler.dump_traceback()
    raise TimeoutError(f"The page takes longer than {DEADLINE} s.")


if __name__ == "__main__":
    _serve()
