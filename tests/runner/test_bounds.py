"""A shutdown ends in its time, whatever hangs; what hangs is named."""

import signal

import pytest

each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)

HANGING = """
held = []
async def hang(name):
    # Otherwise it may be collected, with its task.
    held.append(never := asyncio.Event())
    while True:
        try:
            await never.wait()
        except asyncio.CancelledError:
            say(f"cancelled {name}")
"""


@each_loop
def test_task_that_ignores_cancellation_is_named_once_with_the_place_it_hangs_at(script):
    process = script(f"""{HANGING}
async def main():
    task = asyncio.create_task(hang("task"), name="the-stubborn-one")
    await asyncio.sleep(0)
run(main, shutdown_timeout=0.1, finalize=lambda: say("f"), loop=LOOP)
    """)
    assert process.end() == 1
    assert "f" in process.lines
    assert process.errors.count("the-stubborn-one: hang (") == 1
    assert "destroyed" not in process.errors


def test_component_that_drains_beyond_the_deadline_is_named_and_cut(script):
    process = script("""
        run(Part(name="a"), Draining(stop_timeout=1000), shutdown_timeout=0.1, loop=LOOP)
    """)
    process.wait_for("open Draining")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[2:] == ["draining", "close Draining", "close a"]
    assert process.errors.count("Draining") == 2, process.errors
    assert "the time to drain is over, it is cut short" in process.errors
    assert "Traceback" not in process.errors


def test_coroutine_that_cleans_up_beyond_the_deadline_is_named_and_cut(script):
    process = script("""
        async def main():
            try:
                say("running")
                await asyncio.Event().wait()
            finally:
                try:
                    await asyncio.Event().wait()
                finally:
                    say("cut")
        run(main, shutdown_timeout=0.1, loop=LOOP)
    """)
    process.wait_for("running")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["running", "cut"]
    assert process.errors.count("main did not end within the 0.1 s") == 1
    assert "> main (" in process.errors
    assert "Traceback" not in process.errors


def test_coroutine_whose_turn_comes_after_the_deadline_still_cleans_up(script):
    process = script("""
        async def main():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.01)
                say("clean")
        run(main, Draining(stop_timeout=1000), shutdown_timeout=0.1, loop=LOOP)
    """)
    process.wait_for("open Draining")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-2:] == ["close Draining", "clean"]
    assert "main did not" not in process.errors


@each_loop
def test_async_finalizer_is_cut_at_the_deadline_and_reported_once(script):
    process = script("""
        async def flush():
            try:
                await asyncio.Event().wait()
            finally:
                say("cut")
        async def main(): pass
        run(main, finalize=[flush, lambda: say("next")], shutdown_timeout=0.1, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["cut", "next"]
    assert process.errors.count("finalizer flush did not end in time; still running:") == 1
    assert process.errors.count("gestalt.runner.errors.ShutdownTimeout:") == 1
    assert "cancelled" not in process.errors


def test_finalizer_that_is_cancelled_from_inside_does_not_end_with_status_0(script):
    process = script("""
        async def flush():
            raise asyncio.CancelledError
        async def main(): pass
        run(main, finalize=flush, loop=LOOP)
    """)
    assert process.end() == 1
    assert "finalizer flush failed" in process.errors


@each_loop
def test_everything_that_hangs_together_has_the_timeout_and_one_second_more(script):
    process = script(f"""{HANGING}
class Hanging(Part):
    async def _open(self): self._spawn(hang(self.name))
    async def _drain(self): await hang(self.name)
    async def _close(self): await hang(self.name)
parts = [Hanging(name=f"part {{n}}", stop_timeout=1000) for n in range(6)]
async def main():
    asyncio.create_task(hang("task"))
    asyncio.get_running_loop().call_soon(lambda: os.kill(os.getpid(), signal.SIGTERM))
    asyncio.get_running_loop().call_soon(begin.append, time.monotonic())
    await hang("main")
async def finalize():
    await hang("finalizer")
begin = []
try:
    run(*parts, main, finalize=[finalize] * 6 + [lambda: say("last")],
        shutdown_timeout=0.2, loop=LOOP)
finally:
    took = time.monotonic() - begin[0]
    # Were the second for each, and not for all, this would take more than 12.
    say("in time" if took < 6 else f"took {{took}}")
    """)
    assert process.end() == 1, process.errors
    assert process.lines[-1] == "in time"
    assert "last" in process.lines
    for n in range(6):
        assert f"cancelled part {n}" in process.lines


@each_loop
def test_thread_that_does_not_end_is_reported_and_does_not_hold_run(script):
    process = script("""
        released = threading.Event()
        async def main():
            asyncio.get_running_loop().run_in_executor(None, released.wait)
        try:
            run(main, shutdown_timeout=0.1, loop=LOOP)
        finally:
            say("left")
            released.set()
    """)
    assert process.end() == 1
    assert process.lines == ["left"]
    assert "threads of the default executor did not end in time" in process.errors
