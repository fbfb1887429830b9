"""One deadline for the whole stop: what it cuts is named, and is no failure."""

import inspect
import signal

import pytest

from gestalt.core import Component
from gestalt.runner import run
from gestalt.runner.stop_time import StopTime

each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)

# A component with a handler under way, such as a server has it.
SLOW = """
class Slow(Part):
    seconds = 1000
    async def _open(self):
        await super()._open()
        self.task = self._spawn(self.handle(), name="handler")
    async def handle(self):
        await asyncio.sleep(self.seconds)
        say(f"handled {self.name}")
    async def _drain(self):
        say(f"drain {self.name}")
        await asyncio.wait([self.task])
"""


class Plain(Component):
    async def _open(self):
        pass

    async def _close(self):
        pass


def test_the_default_leaves_room_below_what_kubernetes_grants_and_above_what_components_take():
    default = inspect.signature(run).parameters["shutdown_timeout"].default
    assert Plain().stop_timeout < default
    assert default + 3 < 30


@each_loop
def test_a_slow_handler_is_cut_at_the_deadline_without_a_failure(script):
    process = script(f"{SLOW}\nrun(Slow(name='server'), shutdown_timeout=0.2, loop=LOOP)")
    process.wait_for("open server")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["open server", "drain server", "close server"]
    assert process.errors.count("\n") == 1
    assert "server handler" in process.errors


@each_loop
def test_slow_components_share_the_deadline_and_each_is_named(script):
    process = script(f"""{SLOW}
begin = []
def finalize():
    took = time.monotonic() - begin[0]
    say("in time" if 0.35 < took < 2 else f"took {{took}}")
parts = [Slow(name=f"part {{n}}", stop_timeout=1000) for n in range(5)]
async def main():
    say("running")
    try:
        await asyncio.Event().wait()
    finally:
        begin.append(time.monotonic())
run(*parts, main, shutdown_timeout=0.5, loop=LOOP, finalize=finalize)
    """)
    process.wait_for("running")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-1] == "in time"
    for n in range(5):
        assert process.errors.count(f"part {n} handler") == 1
        assert f"close part {n}" in process.lines


def test_a_handler_that_ends_before_the_deadline_is_not_cut(script):
    process = script(f"""{SLOW}
class Short(Slow):
    seconds = 0.3
run(Short(name="a"), Short(name="b"), loop=LOOP)
    """)
    process.wait_for("open b")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert {"handled a", "handled b"} <= set(process.lines)
    assert process.errors == ""


def test_a_stop_timeout_that_is_shorter_holds(script):
    process = script(f"{SLOW}\nrun(Slow(stop_timeout=0.1), shutdown_timeout=1000, loop=LOOP)")
    process.wait_for("open Slow")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "Slow handler" in process.errors


def test_a_component_that_was_stopping_by_itself_gets_the_deadline_too(script):
    process = script(f"""{SLOW}
async def main():
    leaving.request_stop()
    await asyncio.Event().wait()
leaving = Slow(name="leaving", stop_timeout=1000)
run(leaving, main, shutdown_timeout=0.2, loop=LOOP)
    """)
    process.wait_for("drain leaving")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-1] == "close leaving"


@each_loop
def test_what_does_not_even_end_when_it_is_cut_fails_the_stop(script):
    process = script(f"""{SLOW}
class Stubborn(Slow):
    async def handle(self):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass
run(Stubborn(name="a"), Part(name="b"), shutdown_timeout=0.1, loop=LOOP, finalize=lambda: say("f"))
    """)
    process.wait_for("open b")
    process.send(signal.SIGTERM)
    assert process.end() == 1
    assert process.lines[-1] == "f"
    assert "a did not end in time; still running:" in process.errors
    assert "a handler: handle (" in process.errors


def test_the_second_signal_cuts_every_drain_from_then_on_without_a_failure(script):
    process = script(f"""{SLOW}
parts = [Slow(name=f"part {{n}}", stop_timeout=1000) for n in range(3)]
run(*parts, shutdown_timeout=1000, loop=LOOP)
    """)
    process.wait_for("open part 2")
    process.send(signal.SIGTERM)
    process.wait_for("drain part 2")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-1] == "close part 0"
    assert "Traceback" not in process.errors


@each_loop
def test_the_finalizers_keep_their_second_however_long_the_parts_took(script):
    process = script(f"""{SLOW}
async def clean_up():
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.3)
async def flush():
    await asyncio.sleep(0.45)
    say("flushed")
run(clean_up, Slow(stop_timeout=1000), shutdown_timeout=0.1, loop=LOOP, finalize=flush)
    """)
    process.wait_for("open Slow")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert process.lines[-1] == "flushed"


@each_loop
def test_a_task_that_cleans_up_beyond_the_deadline_is_named_and_no_failure(script):
    process = script("""
        async def background():
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(1000)
        async def main():
            task = asyncio.create_task(background(), name="background work")
            await asyncio.sleep(0)
            say("running")
            await asyncio.Event().wait()
        run(main, shutdown_timeout=0.1, loop=LOOP)
    """)
    process.wait_for("running")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.errors.count("background work: background (") == 1
    assert "Traceback" not in process.errors


def test_with_no_time_at_all_everything_is_cut_and_finalized(script):
    process = script(f"""{SLOW}
run(Slow(name="a"), Slow(name="b"), shutdown_timeout=0, loop=LOOP, finalize=lambda: say("f"))
    """)
    process.wait_for("open b")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    ends = [line for line in process.lines[2:] if not line.startswith("drain")]
    assert ends == ["close b", "close a", "f"]


def test_what_drains_until_the_end_leaves_the_others_time_to_close(script):
    # Such as connections to brokers: the grace beyond the deadline alone were too short for all.
    process = script(f"""{SLOW}
from gestalt.core import Group
class Closing(Slow):
    async def _close(self):
        await asyncio.sleep(0.2)
        await super()._close()
parts = [Closing(name=f"part {{n}}", stop_timeout=1000) for n in range(7)]
async def main():
    say("running")
    await asyncio.Event().wait()
groups = Group(Group(parts[3], parts[4]), Group(parts[5], parts[6], together=True))
run(*parts[:3], groups, main, shutdown_timeout=3, loop=LOOP)
    """)
    process.wait_for("running")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert {f"close part {n}" for n in range(7)} <= set(process.lines)
    assert "Traceback" not in process.errors


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize("seconds", [0, 0.5, 7, 25, 300])
def test_the_stop_has_its_time_and_three_seconds_whatever_hangs(seconds):
    clock = Clock()
    time = StopTime(clock, seconds)
    time.begin()
    for _kind_of_work in ("parts", "finalizers", "the event loop"):
        for _each in range(50):
            clock.now += time.patience()
        time.begin_grace()
    assert seconds <= clock.now - 100 <= seconds + 3


@pytest.mark.parametrize("seconds", [7, 25, 300])
def test_what_takes_all_the_time_leaves_some_to_each_after_it(seconds):
    clock = Clock()
    time = StopTime(clock, seconds)
    time.begin()
    assert time.draining() == pytest.approx(seconds - min(seconds / 5, 5))
    clock.now += time.patience()
    assert time.draining() == 0
    assert time.patience() > 0.5
    clock.now += time.patience()
    time.begin_grace()
    assert time.patience(0.9) >= 0.9
