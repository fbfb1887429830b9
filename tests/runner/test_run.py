"""run(): order, signals, errors, arguments."""

import re
import signal
import sys

import pytest

from gestalt.core import Component, StateError
from gestalt.runner import LoopNotAvailable, run

each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)


def test_main_that_returns_ends_with_status_0_after_components_in_order(script):
    process = script("""
        async def main():
            say("main")
        run(Part(name="a"), Part(name="b"), main, finalize=[lambda: say("f1"), lambda: say("f2")],
            loop=LOOP)
        say("returned")
    """)
    assert process.end() == 0
    expected = "open a,open b,main,close b,close a,f1,f2,returned"
    assert process.lines == expected.split(",")
    assert process.errors == ""


@each_loop
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_stops_gracefully_and_is_raised_again(script, number):
    process = script("run(Part(name='a'), finalize=lambda: say('f'), loop=LOOP)")
    process.wait_for("open a")
    process.send(number)
    assert process.end() == -number
    assert process.lines == ["open a", "close a", "f"]


def test_signal_returns_when_it_is_not_to_be_raised_again_and_handlers_are_restored(script):
    process = script(
        """
        run(Part(name="a"), loop=LOOP, reraise_signals=False)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    """,
        measured=False,
    )
    process.wait_for("open a")
    process.send(signal.SIGTERM)
    assert process.end() == 0, process.errors


@each_loop
def test_third_signal_ends_a_process_whose_loop_is_blocked(script):
    process = script("""
        import time
        async def main():
            say("blocked")
            while True:
                time.sleep(0.01)
        run(main, loop=LOOP, shutdown_timeout=1000)
    """)
    process.wait_for("blocked")
    process.send_until_it_ends(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


@each_loop
def test_failing_component_stops_the_others_with_status_1(script):
    process = script("""
        class Failing(Part):
            async def _open(self):
                self._spawn(self.work())
            async def work(self):
                await asyncio.sleep(0)
                raise OSError("lost")
        run(Part(name="a"), Failing(name="b"), finalize=lambda: say("f"), loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close b", "close a", "f"]
    assert "OSError: lost" in process.errors


def test_component_that_cannot_start_stops_those_before_it(script):
    process = script("""
        class Bad(Part):
            async def _open(self):
                raise OSError("in use")
        run(Part(name="a"), Bad(name="b"), Part(name="c"), loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close b", "close a"]
    assert "b did not start: OSError: in use\n" in process.errors


@each_loop
def test_signal_during_a_start_cancels_it(script):
    process = script("""
        class Slow(Part):
            async def _open(self):
                say("opening")
                await asyncio.Event().wait()
        run(Part(name="a"), Slow(name="b"), loop=LOOP)
    """)
    process.wait_for("opening")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-2:] == ["close b", "close a"]


def test_every_finalizer_runs_whatever_the_others_do(script):
    process = script("""
        def bad(): raise OSError("first")
        async def worse(): raise LookupError("second")
        async def main(): pass
        run(main, finalize=[bad, worse, lambda: say("f")], loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["f"]
    assert "OSError: first" in process.errors
    assert "LookupError: second" in process.errors


def test_exception_group_is_reported_with_every_leaf(script):
    process = script("""
        async def main():
            raise ExceptionGroup("many", [ValueError(f"leaf-{n}-") for n in range(40)])
        run(main, loop=LOOP)
    """)
    assert process.end() == 1
    for n in range(40):
        assert f"leaf-{n}-" in process.errors


def test_on_exception_continue_reports_and_goes_on(script):
    process = script("""
        async def main():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            say("went on")
        run(main, on_exception="continue", loop=LOOP)
    """)
    assert process.end() == 0
    assert process.lines == ["went on"]
    assert "ZeroDivisionError" in process.errors


def test_on_exception_function_gets_the_error_and_stops_by_raising(script):
    process = script("""
        def decide(error, context):
            say(type(error).__name__)
            raise error
        async def main():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.Event().wait()
        run(main, on_exception=decide, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["ZeroDivisionError"]


@each_loop
@pytest.mark.parametrize("where", ["main", "task"])
def test_system_exit_shuts_down_and_keeps_its_status(script, where):
    process = script(f"""
        async def leave():
            sys.exit(7)
        async def task():
            kept = asyncio.create_task(leave())
            await asyncio.Event().wait()
        run(Part(name="a"), {"leave" if where == "main" else "task"}, loop=LOOP)
    """)
    assert process.end() == 7, process.errors
    assert process.lines == ["open a", "close a"]


def test_sighup_calls_on_reload(script):
    process = script("""
        async def reload():
            say("reloaded")
        run(Part(name="a"), on_reload=reload, loop=LOOP)
    """)
    process.wait_for("open a")
    process.send(signal.SIGHUP)
    process.wait_for("reloaded")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


def test_sighups_during_a_reload_cause_one_more_after_it(script):
    process = script("""
        calls = 0
        async def reload():
            global calls
            calls += 1
            say(f"reload {calls}")
            if calls == 1:
                for _ in range(3):
                    os.kill(os.getpid(), signal.SIGHUP)
                    await asyncio.sleep(0)
            say("done")
        run(Part(name="a"), on_reload=reload, loop=LOOP)
    """)
    process.wait_for("open a")
    process.send(signal.SIGHUP)
    process.wait_for("reload 2")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["open a", "reload 1", "done", "reload 2", "done", "close a"]


def test_failing_reload_is_an_unhandled_error(script):
    process = script("""
        def reload():
            raise OSError("no such file")
        run(Part(name="a"), on_reload=reload, loop=LOOP)
    """)
    process.wait_for("open a")
    process.send(signal.SIGHUP)
    assert process.end() == 1
    assert process.lines == ["open a", "close a"]
    assert "OSError: no such file" in process.errors


def test_runs_off_the_main_thread(script):
    process = script("""
        async def main():
            say("main")
        thread = threading.Thread(target=run, args=[main], kwargs={"loop": LOOP})
        thread.start()
        thread.join()
    """)
    assert process.end() == 0
    assert process.lines == ["main"]


async def never() -> None:
    pytest.fail("must not run")


@pytest.mark.parametrize(
    ("mains", "options", "error", "sentence"),
    [
        ([], {}, TypeError, "at least one component, coroutine or async function"),
        ([3], {}, TypeError, "coroutines and async functions, got an object of type int"),
        (["amqp://u:secret@h"], {}, TypeError, "async functions, got an object of type str"),
        ([never, Component], {}, TypeError, "got the class Component: give an instance of it"),
        ([never], {"loop": "trio"}, ValueError, "'auto', 'asyncio' or 'uvloop', got 'trio'"),
        ([never], {"shutdown_timeout": -1}, ValueError, "must be finite and not negative, got -1"),
        ([never], {"shutdown_timeout": 10**400}, ValueError, "finite, got an int of 1329 bits"),
        ([never], {"shutdown_timeout": "5"}, TypeError, "seconds, got an object of type str"),
        ([never], {"shutdown_timeout": True}, TypeError, "seconds, got an object of type bool"),
        ([never], {"drain_delay": -1}, ValueError, "drain_delay must be finite and not negative"),
        ([never], {"drain_delay": 25}, ValueError, "part of shutdown_timeout, which must be long"),
        ([never], {"on_exception": "ignore"}, ValueError, "a function, got 'ignore'"),
        ([never], {"on_exception": [1]}, ValueError, "a function, got an object of type list"),
        ([never], {"on_reload": 3}, TypeError, "on_reload must be a function, got an object of"),
        ([never], {"finalize": 3}, TypeError, "finalize must be a function or several, got an"),
        ([never], {"finalize": [3]}, TypeError, "finalize takes functions, got an object of"),
    ],
)
def test_wrong_arguments_are_refused(mains, options, error, sentence):
    with pytest.raises(error, match=re.escape(sentence)):
        run(*mains, **options)


async def test_run_inside_a_running_event_loop_is_refused():
    with pytest.raises(StateError, match="an event loop, and one is running in this thread"):
        run(never())


def test_uvloop_that_is_insisted_on_but_missing_is_an_error_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(LoopNotAvailable, match=re.escape("pip install 'gestalt-runner[uvloop]'")):
        run(never(), loop="uvloop")


def test_auto_runs_without_uvloop(script):
    process = script("""
        sys.modules["uvloop"] = None
        async def main():
            say(type(asyncio.get_running_loop()).__module__.partition(".")[0])
        run(main)
    """)
    assert process.end() == 0
    assert process.lines == ["asyncio"]


def test_a_coroutine_among_wrong_arguments_is_closed_without_a_warning(script):
    process = script("""
        async def main(): pass
        for wrong in ({"shutdown_timeout": -1}, {"finalize": [3]}, {"on_exception": 3}):
            try:
                run(main(), **wrong)
            except (TypeError, ValueError) as error:
                say(type(error).__name__)
        try:
            run(main(), 3)
        except TypeError:
            say("refused")
    """)
    assert process.end() == 0
    assert process.lines == ["ValueError", "TypeError", "ValueError", "refused"]
    assert process.errors == ""


def test_a_finalizer_with_arguments_of_its_own_is_named_without_them(script):
    process = script("""
        import functools
        def flush(password): raise OSError("full")
        async def main(): pass
        run(main, finalize=functools.partial(flush, "secret"), loop=LOOP)
    """)
    assert process.end() == 1
    assert "finalizer flush failed" in process.errors
    assert "secret" not in process.errors.replace('partial(flush, "secret")', "")
