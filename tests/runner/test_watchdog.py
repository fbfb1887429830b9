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

told = threading.Semaphore(0)
told_of = threading.Lock()
told_of.acquire()

class Told(logging.Handler):
    def emit(self, record):
        if "has been blocked" in record.getMessage():
            told.release()
            if told_of.locked():
                told_of.release()

logging.getLogger("gestalt.runner").addHandler(Told())

def block(times=1):
    "Block the event loop until that was told of so often."
    for _ in range(times):
        assert told.acquire(timeout=20)

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
    return lambda body, **options: script(WATCHED + textwrap.dedent(body), **options)


@LOOPS
def test_it_is_told_while_it_happens_with_the_stack_and_the_task(watched) -> None:
    process = watched("""
        def busy():
            block()

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
        r"at \w+ \(.*\.py:\d+\)\n(.*?)\nWARNING (.*)",
        text,
        re.DOTALL,
    )
    assert told, text
    assert "in work\n    busy()" in told[1]
    assert "in busy\n    block()" in told[1]
    assert "run_until_complete" not in told[1]
    assert re.fullmatch(r"The event loop goes on; it was blocked for at least \d\.\d s", told[2])


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Python tells no context of a task")
@LOOPS
def test_the_component_is_named_whose_callback_or_task_it_is(watched, loop: str) -> None:
    process = watched("""
        from gestalt.core import Timer

        async def work():
            block()

        async def main():
            for name, function in (("plain", block), ("async", work)):
                await idle()
                async with Timer.after(0.0, function, name=name) as timer:
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
            block(times=3)
            await idle()

        watch(main)
    """)
    assert process.end() == 0, process.errors
    found = re.findall(r"been blocked for at least (\d\.\d) s", "\n".join(process.lines))
    told = [float(each) for each in found]
    assert len(told) == 3
    # What is printed is rounded to a tenth.
    assert all(later + 0.05 >= 2 * (sooner - 0.05) for sooner, later in itertools.pairwise(told))


@LOOPS
def test_what_is_not_written_in_python_is_told_of_as_well(watched) -> None:
    process = watched("""
        async def main():
            await idle()
            asyncio.get_running_loop().call_soon(told_of.acquire, True, 20)
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


def test_the_time_for_which_a_process_was_stopped_does_not_count_as_blocked(watched) -> None:
    process = watched(
        """
        async def main():
            await idle()
            began = time.monotonic()
            block()
            say("stop me")
            sys.stdin.readline()
            while told.acquire(blocking=False):
                pass
            # Told again, it has looked since.
            block(times=2)
            say(f"all in all {time.monotonic() - began}")
            await idle()

        watch(main)
    """,
        stdin=True,
    )
    process.wait_for("stop me")
    process.send(signal.SIGSTOP)
    time.sleep(1.0)  # what is tested is that this time passes
    process.send(signal.SIGCONT)
    process.write("\n")
    assert process.end() == 0, process.errors
    text = "\n".join(process.lines)
    [whole] = re.findall(r"all in all (\S+)", text)
    [blocked] = re.findall(r"it was blocked for at least (\S+) s", text)
    assert float(blocked) < float(whole) - 0.7


def test_one_that_tells_nothing_says_it_when_it_is_asked(watched) -> None:
    process = watched("""
        watchdog = Watchdog(0.2, tell=False)

        async def main():
            await idle()
            while watchdog.blocked_for() < 1.0:
                time.sleep(0.01)
            say("blocked")
            await idle()

        run(main, loop=LOOP, attendants=[watchdog])
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["blocked"]


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
            # Of ten looks, one may fall into the instants in which the loop does something.
            say(f"left alone {len(calls) <= 2}")

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["left alone True"]


def test_a_busy_event_loop_is_asked_at_most_a_few_times_a_second(watched) -> None:
    process = watched("""
        async def main():
            loop = asyncio.get_running_loop()
            calls, once = [], loop.call_soon_threadsafe

            def counting(*arguments, **options):
                calls.append(arguments)
                return once(*arguments, **options)

            loop.call_soon_threadsafe = counting
            began, turns = time.monotonic(), 0
            while time.monotonic() < began + 1.0 or turns < 1000:
                turns += 1
                await asyncio.sleep(0)
            most = 1 + (time.monotonic() - began) / 0.1
            say(f"asked little {len(calls) <= most}")

        watch(main)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["asked little True"]
