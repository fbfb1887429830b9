"""A contender's process: calls one function, once to warm up and once measured.

Commands come as lines of JSON on what was the standard input, answers leave as lines of JSON on
what was the standard output. The contender itself reads nothing, and whatever it prints goes to the
standard error.

Commands: `{"call": ...}` runs the function once, `{"finish": ...}` tells a server that its client
is done. The end of the input ends the process and what it has started, since the harness is gone.
Answers: `{"ready": ...}`, `{"done": ...}`,
`{"unavailable": sentence}`, `{"failed": traceback, "reason": its last line}`.
"""

import asyncio
import faulthandler
import gc
import importlib
import importlib.metadata
import inspect
import json
import os
import queue
import signal
import threading
import time
import traceback
from typing import Any, TextIO

from benchmarks.harness.model import Function, Measured, Run, Unavailable


class Child:
    """The process's side of the pipe."""

    def __init__(self, commands: TextIO, answers: TextIO) -> None:
        self._answers = answers
        self._commands = commands
        self._pid = os.getpid()
        self._calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._run: Run | None = None

    def serve(self) -> None:
        """Carry out calls, one after the other, until the input ends."""
        threading.Thread(target=self._read, daemon=True).start()
        while True:
            call = self._calls.get()
            answer: dict[str, Any]
            try:
                answer = {"done": self._call(call)}
            except Unavailable as error:
                answer = {"unavailable": str(error)}
            except Exception as error:
                answer = {"failed": traceback.format_exc(), "reason": reason(error)}
            self._answer(answer)

    def _read(self) -> None:
        for line in self._commands:
            command = json.loads(line)
            if "call" in command:
                call = command["call"]
                # The run exists before the call begins, so that a finish can never come too early.
                self._run = call["run"] = Run(
                    call["seconds"],
                    call["options"],
                    partner=call["partner"],
                    deadline=call["deadline"],
                    on_ready=lambda info: self._answer({"ready": info}),
                )
                self._calls.put(call)
            elif self._run is not None:
                self._run.finish(command["finish"])
        if os.getpgrp() == self._pid:
            os.killpg(self._pid, signal.SIGKILL)
        os._exit(1)

    def _answer(self, answer: dict[str, Any]) -> None:
        if os.getpid() != self._pid:
            # A contender has forked, and its child has come back in its place.
            os._exit(0)
        self._answers.write(json.dumps(answer) + "\n")
        self._answers.flush()

    def _call(self, call: dict[str, Any]) -> dict[str, Any]:
        # A contender that hangs shows where, and ends by itself even when the harness is gone.
        faulthandler.dump_traceback_later(call["deadline"], exit=True)
        if call["core"] is not None:
            os.sched_setaffinity(0, {call["core"]})
        function = find(call["function"])
        gc.collect()
        began = time.process_time()
        measured = invoke(function, call["run"], call["loop"])
        cpu = time.process_time() - began
        faulthandler.cancel_dump_traceback_later()
        answer: dict[str, Any] = {"cpu": cpu, "version": version(call["package"])}
        if measured is not None:
            answer |= {"count": measured.count, "seconds": measured.seconds}
            answer |= {"extra": dict(measured.extra)}
            if measured.cpu is not None:
                answer["cpu"] = measured.cpu
        return answer


def reason(error: Exception) -> str:
    """Return what stands in the last line of a traceback, where it fits into a line."""
    lines = traceback.format_exception_only(error)[-1].splitlines()
    return lines[0][:200]


def find(name: str) -> Function:
    """Return the function that `module:function` names."""
    module, _, function = name.partition(":")
    found: Function = getattr(importlib.import_module(module), function)
    return found


def invoke(function: Function, run: Run, loop: str) -> Measured | None:
    """Call a contender's function, on an event loop of the given kind when it is async."""
    if not inspect.iscoroutinefunction(function):
        measured = function(run)
    else:
        factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            measured = runner.run(function(run))
    if measured is not None and not isinstance(measured, Measured):
        raise TypeError(f"{function.__qualname__} returned {measured!r}, not a Measured or None")
    return measured


def version(package: str | None) -> str | None:
    """Return the version of a distribution that is installed here."""
    return None if package is None else importlib.metadata.version(package)


def main() -> None:
    """Serve on this process's pipes."""
    commands = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    Child(commands, answers).serve()


if __name__ == "__main__":
    main()
