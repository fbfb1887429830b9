"""A blocked event loop is told while it is blocked, with what blocks it."""

import itertools
import re
import signal
import sys
import textwrap
import time

import pytest

WATCHED = """
import logging
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
from gestalt.runner.watchdog import Watchdog

async def idle():
    # The event loop has come round, and the watchdog has seen it.
    await asyncio.sleep(0.3)

def watch(*parts):
    run(*parts, loop=LOOP, attendants=[Watchdog(0.2)])
"""

LOOPS = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


@pytest.fixture
def watched(script):
    """Run a script whose event loop is watched."""
    return lambda body: script(WATCHED + textwrap.dedent(body))


@LOOPS
def test_it_is_told_while_it_happens_with_the_stack_and_the_task(watched) -> None:
    process = watched("""
        told = threading.Event()

        class Told(logging.Handler):
            def emit(self, record):
                if "has been blocked" in record.getMessage():
                    told.set()

        logging.getLogger("gestalt.runner").addHandler(Told())

        def busy():
            # It ends only when it has been told of.
            assert told.wait(10)

        async def work():
            await idle()
            busy()
            await idle()

        async def main():
            await asyncio.create_task(work(), name="the work")

        watch(main)
    """)
    assert process.end() == 0, process.errors
    text = "\n".join(process.lines)
    told = re.search(
        r"WARNING The event loop has been blocked for at least 0\.\d s by the task 'the work', "
        r"at busy \(.*script\.py:\d+\)\n(.*?)\nWARNING (.*)",
        text,
        re.DOTALL,
    )
    assert told, text
    assert "in work\n    busy()" in told[1]
    assert "in busy\n    assert told.wait(10)" in told[1]
    assert "run_until_complete" not in told[1]
    assert re.fullmatch(r"The event loop goes on; it was blocked for at least \d\.\d s", told[2])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python tells no context of a task")
@LOOPS
def test_the_component_is_named_whose_callback_or_task_it_is(watched, loop: str) -> None:
    process = watched("""
        from gestalt.core import Timer

        async def work():
            time.sleep(0.5)

        async def main():
            for name, block in (("plain", lambda: time.sleep(0.5)), ("async", work)):
                await idle()
                async with Timer.after(0.0, block, name=name) as timer:
                    await timer.wait_stopped()
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    text = "\n".join(process.lines)
    # uvloop does not tell whose callback it calls.
    assert (" within <Timer 'plain' running>, at " in text) is (loop == "asyncio")
    assert " within <Timer 'async' running>, at " in text


def test_it_is_told_again_with_growing_pauses(watched) -> None:
    process = watched("""
        async def main():
            await idle()
            time.sleep(1.2)
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    found = re.findall(r"been blocked for at least (\d\.\d) s", "\n".join(process.lines))
    told = [float(each) for each in found]
    assert 2 <= len(told) <= 4
    assert all(later >= 1.7 * sooner for sooner, later in itertools.pairwise(told))


@LOOPS
def test_what_is_not_written_in_python_is_told_of_as_well(watched) -> None:
    process = watched("""
        async def main():
            await idle()
            asyncio.get_running_loop().call_soon(time.sleep, 0.8)
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert any("has been blocked" in line for line in process.lines)
    assert any("goes on" in line for line in process.lines)


def test_what_holds_the_interpreter_is_told_when_it_is_over(watched) -> None:
    process = watched("""
        import re

        async def main():
            await idle()
            size, took = 18, 0.0
            while took < 0.5:
                began = time.process_time()
                re.match("(a+)+$", "a" * size + "b")
                took, size = time.process_time() - began, size + 1
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    text = "\n".join(process.lines)
    told = r"No thread ran for \d\.\d s: .* is now (waiting|busy by the task 'main', at main \()"
    assert re.search(told, text), text


@LOOPS
def test_a_process_that_was_stopped_is_no_blocked_loop(watched) -> None:
    process = watched("""
        async def main():
            await idle()
            before = time.monotonic()
            say("stop me")
            while time.monotonic() - before < 0.8:
                before = time.monotonic()
                await asyncio.sleep(0.01)
            await idle()

        watch(main)
    """)
    process.wait_for("stop me")
    process.send(signal.SIGSTOP)
    time.sleep(1.0)  # what is tested is that this time passes
    process.send(signal.SIGCONT)
    assert process.end() == 0, process.errors
    assert process.lines == ["stop me"]


def test_who_stands_at_a_breakpoint_is_not_told(watched) -> None:
    process = watched("""
        import pdb

        class Person(pdb.Pdb):
            def cmdloop(self, intro=None):
                time.sleep(0.8)
                self.set_continue()

        async def main():
            await idle()
            Person().set_trace()
            say("at the breakpoint")
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert "at the breakpoint" in process.lines
    assert not any("has been blocked" in line for line in process.lines)


def test_an_idle_event_loop_is_not_woken(watched) -> None:
    process = watched("""
        async def main():
            loop = asyncio.get_running_loop()
            await idle()
            calls, once = [], loop.call_soon_threadsafe

            def counting(*arguments, **options):
                calls.append(arguments)
                return once(*arguments, **options)

            loop.call_soon_threadsafe = counting
            await asyncio.sleep(1.0)
            say(f"woken {len(calls)} times")

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["woken 0 times"]


def test_a_busy_event_loop_is_asked_at_most_a_few_times_a_second(watched) -> None:
    process = watched("""
        async def main():
            loop = asyncio.get_running_loop()
            calls, once = [], loop.call_soon_threadsafe

            def counting(*arguments, **options):
                calls.append(arguments)
                return once(*arguments, **options)

            loop.call_soon_threadsafe = counting
            end, turns = time.monotonic() + 1.0, 0
            while time.monotonic() < end:
                turns += 1
                await asyncio.sleep(0)
            say(f"asked little {len(calls) <= 11}, many turns {turns > 1000}")

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["asked little True, many turns True"]
