"""Runs pages, each in a process of its own that is forked where everything is imported already.

`python -m tests.support.pages.server` takes a page and a side in each line, and answers with a line
of JSON: what went wrong, or an empty text.
"""

import faulthandler
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import IO, Any, Self

from .markdown import ROOT

DEADLINE = 30.0
"""How long a page may take, in seconds."""
IMPORTED = ("aio_pika", "gestalt.runner", "gestalt.net", "gestalt.amq", "gestalt.codecs")


class PageServer:
    """The process that runs pages."""

    def __init__(self) -> None:
        path = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": path},
        )

    def run(self, page: Path, side: str = "") -> str:
        """Run a page, and return what went wrong: a text for people, or an empty one."""
        writer, reader = self._process.stdin, self._process.stdout
        assert writer is not None
        assert reader is not None
        print(json.dumps([str(page), side]), file=writer, flush=True)
        return str(json.loads(reader.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


def _serve() -> None:
    for name in IMPORTED:
        __import__(name)
    for line in sys.stdin:
        page, side = json.loads(line)
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as said:
            # What is in a buffer now would be written by both.
            sys.stdout.flush()
            if (child := os.fork()) == 0:
                _be_page(Path(page), side, folder, said)
            _, status = os.waitpid(child, 0)
            said.seek(0)
            text = said.read().decode(errors="replace")
        if status and not text:
            text = f"The process ended with {os.waitstatus_to_exitcode(status)}."
        print(json.dumps(text), flush=True)


def _be_page(page: Path, side: str, folder: str, said: IO[Any]) -> None:
    status = 1
    try:
        for descriptor in (1, 2):
            os.dup2(said.fileno(), descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(folder)
        faulthandler.dump_traceback_later(DEADLINE, exit=True)
        from .running import PageRun

        PageRun(page, side).run()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
