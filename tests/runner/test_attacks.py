"""Signals and interrupts at the worst moments."""

import os
import signal
import sys
from pathlib import Path

import pytest

each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


@each_loop
def test_a_signal_during_a_finalizer_lets_it_and_the_next_finish(script):
    process = script("""
        async def slow():
            say("finalizing")
            await asyncio.sleep(0.3)
            say("finalized")
        async def main(): pass
        run(main, finalize=[slow, lambda: say("next")], loop=LOOP)
    """)
    process.wait_for("finalizing")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["finalizing", "finalized", "next"]


@each_loop
def test_two_signals_at_once_stop_and_cut(script):
    process = script("""
        async def main():
            both = {signal.SIGTERM, signal.SIGINT}
            signal.pthread_sigmask(signal.SIG_BLOCK, both)
            for number in both:
                os.kill(os.getpid(), number)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, both)
            await asyncio.Event().wait()
        try:
            run(Draining(stop_timeout=1000), main, finalize=lambda: say("f"), loop=LOOP)
        except KeyboardInterrupt:
            # SIGINT has the lower number, and comes first.
            say("interrupted")
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["open Draining", "draining", "close Draining", "f", "interrupted"]


def test_a_storm_of_signals_ends_the_process_by_that_signal_without_a_traceback(script):
    process = script("""
        run(Draining(stop_timeout=1000), finalize=lambda: time.sleep(60), loop=LOOP)
    """)
    process.wait_for("open Draining")
    process.send_until_it_ends(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "Traceback" not in process.errors


def test_a_signal_as_the_loop_has_just_been_closed_is_not_lost_and_no_error(script):
    process = script("""
        async def main():
            loop = asyncio.get_running_loop()
            close = loop.close
            def closing():
                close()
                signal.raise_signal(signal.SIGTERM)
            loop.close = closing
        run(main, loop=LOOP, on_reload=lambda: None)
    """)
    assert process.end() == -signal.SIGTERM
    assert process.errors == ""


@each_loop
def test_a_plain_handler_that_sleeps_is_ended_by_the_third_signal(script):
    process = script("""
        from gestalt.core import Timer
        def handle():
            say("sleeping")
            time.sleep(1000)
        run(Timer.after(0, handle), loop=LOOP)
    """)
    process.wait_for("sleeping")
    process.send_until_it_ends(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


@each_loop
def test_a_start_that_ignores_its_cancellation_is_given_up(script):
    process = script("""
        class Stubborn(Part):
            async def _open(self):
                say("opening")
                while True:
                    try:
                        await asyncio.Event().wait()
                    except asyncio.CancelledError:
                        pass
        run(Part(name="a"), Stubborn(name="b"), shutdown_timeout=0.1, loop=LOOP)
    """)
    process.wait_for("opening")
    process.send(signal.SIGTERM)
    assert process.end() == 1
    assert process.lines[-1] == "close a"
    assert "the start of b did not end in time" in process.errors


INTERRUPTS = {
    "main": "run(Part(name='a'), interrupt, loop=LOOP)",
    "open": """
class Bad(Part):
    async def _open(self): raise KeyboardInterrupt
run(Part(name="a"), Bad(name="b"), loop=LOOP)
""",
    "task": """
async def main():
    task = asyncio.create_task(interrupt())
    await asyncio.Event().wait()
run(Part(name="a"), main, loop=LOOP)
""",
    "callback": """
def fail(): raise KeyboardInterrupt
async def main():
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.Event().wait()
run(Part(name="a"), main, loop=LOOP)
""",
    "finalizer": """
async def main(): pass
run(Part(name="a"), main, finalize=[interrupt, lambda: None], loop=LOOP)
""",
}


@each_loop
@pytest.mark.parametrize("body", INTERRUPTS.values(), ids=INTERRUPTS.keys())
def test_an_interrupt_that_user_code_raises_shuts_down_and_comes_out(script, body):
    process = script(f"""
async def interrupt(): raise KeyboardInterrupt
try:
{chr(10).join("    " + line for line in body.splitlines())}
except KeyboardInterrupt:
    say("came out")
    """)
    assert process.end() == 0, process.errors
    assert process.lines[0] == "open a"
    assert process.lines[-2:] == ["close a", "came out"]
    assert process.errors == ""


@each_loop
def test_run_within_a_callback_of_run_is_refused_and_reported(script):
    process = script("""
        async def inner(): pass
        async def main():
            asyncio.get_running_loop().call_soon(lambda: run(inner, loop=LOOP))
            await asyncio.Event().wait()
        run(Part(name="a"), main, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close a"]
    assert "StateError: run() starts an event loop, and one is running" in process.errors


@each_loop
def test_run_in_a_thread_of_an_application_leaves_the_signals_to_the_outer_one(script):
    process = script("""
        async def inner():
            say("inner")
        async def main():
            await asyncio.to_thread(run, inner, loop=LOOP)
            say("outer")
            await asyncio.Event().wait()
        run(main, Part(name="a"), loop=LOOP)
    """)
    process.wait_for("outer")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "close a" in process.lines


def test_run_again_after_run_has_its_signals_anew(script):
    process = script("""
        for n in range(3):
            run(Draining(name=f"{n}", stop_timeout=1000), loop=LOOP, reraise_signals=False)
    """)
    for n in range(3):
        process.wait_for(f"open {n}")
        process.send(signal.SIGTERM)
        process.wait_for("draining")
        process.send(signal.SIGTERM)
        process.wait_for(f"close {n}")
    assert process.end() == 0, process.errors


def test_a_previous_handler_gets_the_signal_at_the_end_and_decides(script):
    process = script("""
        signal.signal(signal.SIGTERM, lambda *_: say("previous"))
        run(Part(name="a"), loop=LOOP)
        say("returned")
    """)
    process.wait_for("open a")
    process.send(signal.SIGTERM)
    assert process.end() == 0
    assert process.lines == ["open a", "close a", "previous", "returned"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
def test_an_eager_task_factory_changes_nothing(script):
    process = script("""
        async def main():
            asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
            say("running")
            await asyncio.Event().wait()
        def reload():
            say("reloaded")
        async def work():
            say("work")
        run(main, Draining(stop_timeout=0.1), work, on_reload=reload, loop=LOOP)
    """)
    process.wait_for("work")
    for _ in range(2):
        process.send(signal.SIGHUP)
        process.wait_for("reloaded")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert process.lines[-1] == "close Draining"


def test_a_signal_that_another_thread_takes_is_heard_at_once(script):
    # The main thread waits for input meanwhile, and takes no step by itself.
    process = script("""
        def send():
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        async def main():
            threading.Timer(0.1, send).start()
            await asyncio.Event().wait()
        run(main, loop=LOOP)
    """)
    assert process.end() == -signal.SIGTERM, process.errors


def test_a_death_by_sigterm_leaves_no_folders_and_no_daemonic_children_and_waits_for_no_others(
    script,
):
    process = script(
        """
        import atexit
        atexit.register(threading.Event().wait)
        import multiprocessing, tempfile, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        folder = tempfile.TemporaryDirectory()
        context = multiprocessing.get_context("fork")
        async def main():
            child = context.Process(target=time.sleep, args=(1000,), daemon=True)
            child.start()
            say(f"{folder.name} {child.pid}")
            await asyncio.Event().wait()
        run(main, loop=LOOP)
    """,
        measured=False,
    )
    folder, child = process.next_line().split()
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert not Path(folder).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(child), 0)
