"""What broke the runner of gestalt 20.1.1, each by its name."""

import signal

import pytest

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


def test_crash_in_a_task_does_not_end_with_status_0(script):
    process = script("""
        async def crash():
            raise ValueError("boom")
        async def main():
            asyncio.create_task(crash())
            await asyncio.Event().wait()
        run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert "ValueError: boom" in process.errors
    assert "in crash" in process.errors


def test_crash_in_a_task_that_is_kept_does_not_end_with_status_0(script):
    process = script("""
        kept = []
        async def crash():
            raise ValueError("boom")
        async def main():
            kept.append(asyncio.create_task(crash()))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert "ValueError: boom" in process.errors


def test_context_without_exception_is_no_key_error(script):
    process = script("""
        async def main():
            asyncio.get_running_loop().call_exception_handler({"message": "odd thing"})
            await asyncio.Event().wait()
        run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert "odd thing" in process.errors
    assert "KeyError" not in process.errors


def test_second_signal_does_not_skip_the_clean_up(script):
    process = script("""
        async def flush():
            await asyncio.sleep(0.05)
            say("finalized")
        run(Draining(stop_timeout=1000), finalize=flush, shutdown_timeout=1000, loop=LOOP)
    """)
    process.wait_for("open Draining")
    process.send(signal.SIGTERM)
    process.wait_for("draining")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-2:] == ["close Draining", "finalized"]


def test_clean_up_of_five_tasks_finishes_in_all(script):
    process = script("""
        async def worker(n):
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.2)
                say(f"clean {n}")
        async def main():
            tasks = [asyncio.create_task(worker(n)) for n in range(5)]
            await asyncio.sleep(0)
            say("ready")
            await asyncio.Event().wait()
        run(main, loop=LOOP)
    """)
    process.wait_for("ready")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert sorted(process.lines[1:]) == [f"clean {n}" for n in range(5)]
