"""Contenders that the tests of the harness run in real processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.harness import Measured, Run, Stopwatch, Unavailable


def hundred(run: Run) -> Measured:
    return Measured(100, 2.0, cpu=0.5, extra={"lost": 0})


def burning(run: Run) -> Measured:
    watch, end = Stopwatch(), time.process_time() + run.seconds
    while time.process_time() < end:
        pass
    return watch.stop(1)


async def serve(run: Run) -> Measured:
    received = 0
    closed = asyncio.Event()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        while data := await reader.read(65536):
            received += len(data)
        writer.close()
        closed.set()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        watch = Stopwatch()
        run.ready(port=server.sockets[0].getsockname()[1])
        outcome = await run.finished()
        await closed.wait()
        return watch.stop(received, {"options": len(run.options), "told": len(outcome)})


async def send(run: Run) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", run.partner["port"])
    writer.write(b"x" * run.options["size"])
    await writer.drain()
    writer.close()
    await writer.wait_closed()


def serve_blocking(run: Run) -> None:
    run.ready()
    outcome = run.wait_finished()
    if outcome != {"count": 100, "seconds": 2.0}:
        raise AssertionError(outcome)


def cores(run: Run) -> Measured:
    """The core that a process is bound to, or -1, as an extra number."""
    allowed = os.sched_getaffinity(0)
    return Measured(1, 1.0, extra={"core": min(allowed) if len(allowed) == 1 else -1})


def chatter(run: Run) -> Measured:
    print("this is not an answer")
    os.write(1, b"nor is this\n")
    return hundred(run)


def fail(run: Run) -> Measured:
    raise ValueError("the reason")


def import_what_is_not_there(run: Run) -> Measured:
    import a_library_that_nobody_has  # type: ignore[import-not-found]

    return a_library_that_nobody_has.measure(run)


def crash(run: Run) -> Measured:
    os._exit(3)


def kill_itself(run: Run) -> Measured:
    os.kill(os.getpid(), signal.SIGSEGV)
    return hundred(run)


def leave(run: Run) -> Measured:
    sys.exit("it leaves")


def crash_beside_a_child(run: Run) -> Measured:
    """The child holds all that this process had open."""
    if os.fork() == 0:
        note(run)
        time.sleep(1000)
    wait_for_a_note(run)
    os._exit(3)


def fork_and_return_twice(run: Run) -> Measured:
    os.fork()
    return hundred(run)


def leave_a_child(run: Run) -> Measured:
    if os.fork() == 0:
        note(run)
        time.sleep(1000)
    wait_for_a_note(run)
    return hundred(run)


def leave_a_child_in_a_session_of_its_own(run: Run) -> Measured:
    sleep = [sys.executable, "-c", "import time; time.sleep(1000)"]
    note(run, subprocess.Popen(sleep, start_new_session=True).pid)
    return hundred(run)


def note(run: Run, pid: int | None = None) -> None:
    """Leave the number of a process where the test finds it."""
    file = Path(run.options["folder"]) / "children"
    with file.open("a") as written:
        written.write(f"{pid or os.getpid()}\n")


def wait_for_a_note(run: Run) -> None:
    while not (Path(run.options["folder"]) / "children").exists():
        time.sleep(0.01)


def answer_garbage(run: Run) -> Measured:
    """Writes to whatever socket it finds."""
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"this is no answer\n")
        except OSError:
            continue
    return hundred(run)


def answer_without_end(run: Run) -> Measured:
    for descriptor in range(3, 20):
        try:
            while True:
                os.write(descriptor, b"x" * 65536)
        except OSError:
            continue
    return hundred(run)


def flood(run: Run) -> Measured:
    line, end = b"x" * 1023 + b"\n", time.monotonic() + run.seconds
    while time.monotonic() < end:
        os.write(1, line)
        os.write(2, line)
    print("the last line")
    raise ValueError("after a flood")


def give_words(run: Run) -> Measured:
    return Measured("many", 1.0)  # type: ignore[arg-type]


def give_no_number(run: Run) -> Measured:
    return Measured(1, 1.0, extra={"p99 µs": float("nan")})


def give_what_is_no_json(run: Run) -> Measured:
    return Measured(1, 1.0, extra={"p99 µs": object()})  # type: ignore[dict-item]


def stop_itself(run: Run) -> Measured:
    os.kill(os.getpid(), signal.SIGSTOP)
    return hundred(run)


def hang_where_no_signal_helps(run: Run) -> Measured:
    """As a library that hangs, and has taken the signals for itself."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGABRT):
        signal.signal(number, signal.SIG_IGN)
    while True:
        time.sleep(1)


def read_input(run: Run) -> Measured:
    return Measured(1, 1.0, extra={"read": len(sys.stdin.read())})


def hang(run: Run) -> Measured:
    while True:
        time.sleep(1)


def hang_in_the_second(run: Run) -> Measured:
    """Hangs from the second benchmark on, and tells its number."""
    folder = Path(os.environ["FOLDER"])
    if not (folder / "first").exists():
        (folder / "first").touch()
        return hundred(run)
    written = folder / "hanging.part"
    written.write_text(str(os.getpid()))
    written.replace(folder / "hanging")
    return hang(run)


def serve_and_hang_at_the_end(run: Run) -> None:
    """Ignores what asks it to stop, too."""
    run.ready()
    run.wait_finished()
    hang_where_no_signal_helps(run)


def note_the_call(run: Run) -> Measured:
    with (Path(os.environ["FOLDER"]) / "calls").open("a") as file:
        file.write("called\n")
    return hundred(run)


def note_the_call_and_hang(run: Run) -> Measured:
    note_the_call(run)
    return hang(run)


def lacking(run: Run) -> Measured:
    raise Unavailable("no broker is here")


def nothing(run: Run) -> None:
    return None


def zero(run: Run) -> Measured:
    return Measured(0, 1.0)
