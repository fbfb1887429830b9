"""A contender's process: started, told what to do, heard, and ended with all it has started."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.harness.environments import keeping_compiled
from benchmarks.harness.model import Options, Unavailable

ROOT = Path(__file__).parents[2]

LINE = 1 << 20
"""The longest answer of a child, in bytes; a failed one's traceback is an answer."""

PRINTED = 1 << 14
"""How much of what a child prints is kept, in bytes: the last of it."""

MARK = "GESTALT_BENCHMARK_PROCESS"
"""The variable that tells whose a process is, whatever session it has gone into."""

LAST_WORDS = 1.0
"""How long what a child has said may still be under way when it has ended, in seconds."""


class ContenderError(Exception):
    """A contender failed, hung, or gave no result.

    Attributes:
        sentence: names it, and says what happened.
        details: where, as far as that is known: a traceback, and what it printed last.
        hung: whether it had to be ended.
    """

    def __init__(self, sentence: str, details: str = "", *, hung: bool = False) -> None:
        super().__init__(f"{sentence}\n{details}" if details else sentence)
        self.sentence = sentence
        self.details = details
        self.hung = hung


class Process:
    """One running child.

    Args:
        label: how it is called in errors.
        process: the child; whoever made it reaps it.
        reader: where its answers come from.
        writer: where its commands go to.
        errors: what it prints.
    """

    def __init__(
        self,
        label: str,
        process: subprocess.Popen[bytes],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        errors: asyncio.StreamReader,
    ) -> None:
        self._label = label
        self._pid = process.pid
        self._reader = reader
        self._writer = writer
        self._errors = errors
        self._printed = b""
        self._due = 0.0
        self._deadline = 0.0
        self._reading = asyncio.create_task(self._read_errors())
        self._ending = asyncio.create_task(asyncio.to_thread(self._wait))

    @property
    def printed(self) -> str:
        """The last that it printed."""
        return self._printed.decode(errors="replace")

    def send(self, command: Options) -> None:
        """Write a command; they are far smaller than the socket's buffer."""
        if "call" in command:
            self._deadline = command["call"]["deadline"]
            self._due = time.monotonic() + self._deadline
        self._writer.write(json.dumps(command).encode() + b"\n")

    async def answer(self, kind: str) -> dict[str, Any]:
        """Wait for an answer of this kind.

        Raises:
            ContenderError: the child has ended, or has answered something else.
            Unavailable: it cannot run here.
        """
        line = await self._line()
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise ContenderError(f"{self._label} gave no answer, but {line[:80]!r}", self.printed)
        if "unavailable" in answer:
            raise Unavailable(answer["unavailable"])
        if "failed" in answer:
            sentence = f"{self._label} failed: {answer['reason']}"
            raise ContenderError(sentence, f"{answer['failed']}{self.printed}")
        if kind not in answer or not isinstance(answer[kind], dict):
            raise ContenderError(f"{self._label}: {', '.join(answer)} came instead of {kind}")
        found: dict[str, Any] = answer[kind]
        return found

    async def release(self) -> None:
        """Let go of its pipes; it was killed."""
        await self._ending
        self._reading.cancel()
        self._writer.close()

    async def _line(self) -> bytes:
        reading = asyncio.create_task(self._reader.readline())
        try:
            # What it has started may hold its end of the socket open: that it has ended counts.
            await asyncio.wait([reading, self._ending], return_when=asyncio.FIRST_COMPLETED)
            if not reading.done():
                await asyncio.wait([reading, self._reading], timeout=LAST_WORDS)
            if reading.done() and (line := reading.result()):
                return line
        except ValueError as error:
            raise ContenderError(f"{self._label} gave no answer: {error}", self.printed) from None
        except ConnectionError:
            pass  # how it has ended says more
        finally:
            reading.cancel()
        # It ends itself at its deadline, and shows where it hung.
        await asyncio.wait([self._ending], timeout=LAST_WORDS)
        await asyncio.wait([self._reading], timeout=LAST_WORDS)
        if hung := time.monotonic() >= self._due:
            sentence = f"{self._label} did not end within {self._deadline:g} s"
        else:
            sentence = f"{self._label} ended too early{self._how()}"
        raise ContenderError(sentence, self.printed, hung=hung)

    async def _read_errors(self) -> None:
        while data := await self._errors.read(1 << 16):
            self._printed = (self._printed + data)[-PRINTED:]

    def _wait(self) -> int:
        # Without reaping it: until then, its number and that of its group are nobody else's.
        ended = os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT)
        assert ended is not None
        return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status

    def _how(self) -> str:
        if not self._ending.done():
            return ""
        status = self._ending.result()
        return f", with status {status}" if status >= 0 else f", by {signal.Signals(-status).name}"


@asynccontextmanager
async def start(label: str, python: str) -> AsyncIterator[Process]:
    """Start a child under an interpreter; it and all it has started is gone when the context ends.

    Raises:
        ContenderError: the interpreter does not run.
    """
    mark = uuid.uuid4().hex
    ours, theirs = socket.socketpair()
    errors, printing = os.pipe()
    with theirs, os.fdopen(printing, "wb"):
        try:
            child = launch(python, mark, theirs.fileno(), printing)
        except OSError as error:
            ours.close()
            os.close(errors)
            raise ContenderError(f"{label} cannot be started: {error}") from None
    try:
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE)
        printed = asyncio.StreamReader()
        pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(printed), os.fdopen(errors, "rb")
        )
        process = Process(label, child, reader, writer, printed)
        try:
            yield process
        finally:
            await end(child, mark)
            await process.release()
            pipe.close()
    finally:
        await end(child, mark)
        child.wait()


def launch(python: str, mark: str, commands: int, errors: int) -> subprocess.Popen[bytes]:
    """Run a child in a group of its own, so that Ctrl-C is the harness's alone."""
    places = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return subprocess.Popen(
        [python, "-m", "benchmarks.harness.child"],
        stdin=commands,
        stdout=commands,
        stderr=errors,
        cwd=ROOT,
        env=keeping_compiled(PYTHONPATH=os.pathsep.join(places), **{MARK: mark}),
        start_new_session=True,
    )


async def end(child: subprocess.Popen[bytes], mark: str) -> None:
    """Kill a child and whatever it has started, and wait until the latter is gone."""
    # It was not reaped yet, so that its number is still that of its group.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    give_up = time.monotonic() + LAST_WORDS
    while (pids := marked(mark)) and time.monotonic() < give_up:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.005)


def marked(mark: str) -> list[int]:
    """The processes that bear a mark, where the system tells."""
    found = []
    for variables in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in variables.read_bytes().split(b"\0"):
                found.append(int(variables.parent.name))
        except OSError:
            # It has ended, or is somebody else's.
            continue
    return found
