"""What accompanies an application is told of each step in its life, and is no part of it."""

import signal

import pytest

from gestalt.runner import run
from gestalt.runner.attendants import Attendant

each_loop = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)

TELLING = """
from gestalt.runner.attendants import Attendant

class Telling(Attendant):
    def __init__(self, name="a"): self.name = name
    async def begin(self, view):
        self.view = view
        say(f"{self.name} begin {view.state}")
    def started(self): self.tell("started")
    def stopping(self, seconds): self.tell(f"stopping {seconds}")
    def reloading(self): self.tell("reloading")
    def reloaded(self): self.tell("reloaded")
    async def end(self): self.tell("end")
    def tell(self, step):
        names = [component.name for component in self.view.components]
        say(f"{self.name} {step} {self.view.state} {names} {len(self.view.errors)}")
"""


@each_loop
def test_each_step_is_told_in_order_and_the_end_in_reverse(script):
    process = script(f"""{TELLING}
run(Part(name="one"), Part(name="two"), attendants=[Telling("a"), Telling("b")], loop=LOOP,
    shutdown_timeout=5, finalize=lambda: say("finalize"), on_reload=lambda: say("reload"))
    """)
    names = "['one', 'two']"
    process.wait_for(f"b started running {names} 0")
    process.send(signal.SIGHUP)
    process.wait_for(f"b reloaded running {names} 0")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert process.lines == [
        "a begin starting",
        "b begin starting",
        "open one",
        "open two",
        f"a started running {names} 0",
        f"b started running {names} 0",
        f"a reloading running {names} 0",
        f"b reloading running {names} 0",
        "reload",
        f"a reloaded running {names} 0",
        f"b reloaded running {names} 0",
        f"a stopping 5.0 stopping {names} 0",
        f"b stopping 5.0 stopping {names} 0",
        "close two",
        "close one",
        "finalize",
        f"b end stopping {names} 0",
        f"a end stopping {names} 0",
    ]


def test_without_on_reload_sighup_is_told_and_ends_nothing(script):
    process = script(f"{TELLING}\nrun(Part(), attendants=[Telling()], loop=LOOP)")
    process.wait_for("a started running ['Part'] 0")
    process.send(signal.SIGHUP)
    process.wait_for("a reloaded running ['Part'] 0")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM


@pytest.mark.parametrize("step", ["begin", "started", "stopping", "end"])
def test_an_attendant_that_fails_is_reported_and_status_1(script, step):
    process = script(f"""{TELLING}
class Failing(Attendant):
    {"async " if step in ("begin", "end") else ""}def {step}(self, *_):
        raise OSError("no socket")
async def main():
    say("main")
run(main, attendants=[Failing(), Telling("b")], loop=LOOP)
    """)
    assert process.end() == 1
    assert process.errors.splitlines().count("OSError: no socket") == 1
    assert "Failing" in process.errors
    assert ("main" in process.lines) is (step != "begin")
    if step != "begin":
        assert process.lines[-1].startswith("b end stopping")


@each_loop
def test_one_that_hangs_delays_neither_start_nor_end_for_ever(script):
    process = script("""
from gestalt.runner.attendants import Attendant
class Hanging(Attendant):
    async def begin(self, view):
        say("hanging")
        await asyncio.Event().wait()
    async def end(self):
        await asyncio.Event().wait()
run(Part(), attendants=[Hanging()], loop=LOOP)
    """)
    process.wait_for("hanging")
    process.send(signal.SIGTERM)
    assert process.end() == 1
    assert process.lines == ["hanging"]
    assert "Hanging end did not end in time" in process.errors


def test_its_tasks_outlive_the_parts_and_finalizers_and_end_with_it(script):
    process = script("""
from gestalt.runner.attendants import Attendant
class Beating(Attendant):
    async def begin(self, view):
        self.task = view.attend(self.beat(), "beat")
    async def beat(self):
        try:
            await asyncio.Event().wait()
        finally:
            say("beat ends")
    async def end(self):
        say("end")
run(Part(), attendants=[Beating()], loop=LOOP, finalize=lambda: say("finalize"))
    """)
    process.wait_for("open Part")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines == ["open Part", "close Part", "finalize", "end", "beat ends"]


def test_a_task_of_it_that_fails_is_a_failure_of_the_application(script):
    process = script("""
from gestalt.runner.attendants import Attendant
class Beating(Attendant):
    async def begin(self, view):
        self.task = view.attend(self.beat(), "beat")
    async def beat(self):
        raise OSError("no socket")
run(Part(), attendants=[Beating()], loop=LOOP)
    """)
    assert process.end() == 1
    assert process.errors.count("OSError: no socket") == 1


class Secretive:
    def __repr__(self):
        return "<password=secret>"


@pytest.mark.parametrize("wrong", [Secretive(), [Secretive()], [Attendant], None])
def test_what_is_no_attendant_is_refused_without_telling_its_contents(wrong):
    async def main():
        pass

    with pytest.raises(TypeError, match="attendants") as caught:
        run(main, attendants=wrong)
    assert "secret" not in str(caught.value)
