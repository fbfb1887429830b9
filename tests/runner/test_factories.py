"""What a function makes runs as what is given by itself; a group is one part."""

import signal

import pytest

each_kind = pytest.mark.parametrize("kind", ["def", "async def"])


def test_what_a_plain_function_makes_starts_in_its_place_and_stops_in_reverse(script):
    process = script("""
        async def main():
            say("main")
            await asyncio.sleep(0)
        run(Part(name="a"), lambda: Part(name="b"), Part(name="c"), main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["open a", "open b", "open c", "main", "close c", "close b", "close a"]


@each_kind
def test_a_component_that_is_made_is_made_within_the_loop_and_drains_at_a_signal(script, kind):
    process = script(f"""
        from gestalt.core import Group
        class Drains(Part):
            async def _drain(self):
                await asyncio.sleep(0)
                say(f"drained {{self.name}}")
        {kind} make():
            asyncio.get_running_loop()
            return Group(Drains(name="a"), Drains(name="b"))
        run(make, asyncio.Event().wait(), loop=LOOP)
    """)
    process.wait_for("open b")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert process.errors == ""
    assert process.lines[-4:] == ["drained b", "close b", "drained a", "close a"]


@each_kind
def test_an_application_of_what_is_made_ends_when_that_has_ended(script, kind):
    process = script(f"""
        from gestalt.core import Timer
        {kind} make():
            return Timer.every(0.01, lambda: say("tick"), times=2)
        run(make, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["tick", "tick"]


@each_kind
def test_a_failing_start_of_what_is_made_is_status_1_and_named(script, kind):
    process = script(f"""
        from gestalt.core import Group
        class Broken(Part):
            async def _open(self):
                raise OSError("no port")
        {kind} make():
            return Group(Part(name="a"), Broken(name="broken"), name="app")
        run(make, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close a", "close broken"] or (
        process.lines == ["open a", "close broken", "close a"]
    )
    assert "app did not start" in process.errors
    assert "OSError: no port" in process.errors
    assert "<Broken 'broken' failed> of <Group 'app' starting> did not start" in process.errors
    assert process.errors.count("Traceback") == 1


@each_kind
def test_a_factory_that_raises_is_status_1_and_named(script, kind):
    process = script(f"""
        {kind} make():
            raise LookupError("no configuration")
        run(Part(name="a"), make, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close a"]
    assert "LookupError: no configuration" in process.errors


def test_what_an_async_function_makes_while_the_application_stops_is_not_started(script):
    process = script("""
        async def make():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return Part(name="late")
        run(Part(name="a"), make, loop=LOOP)
    """)
    process.wait_for("open a")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM, process.errors
    assert process.lines == ["open a", "close a"]


def test_a_part_of_a_group_that_fails_stops_the_application_and_is_named_once(script):
    process = script("""
        from gestalt.core import Group, Timer
        def fails():
            raise LookupError("nothing there")
        run(Group(Part(name="a"), Timer.after(0.01, fails), name="app"), Part(name="z"), loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "open z", "close a", "close z"]
    assert "LookupError: nothing there" in process.errors
    assert process.errors.count("Traceback") == 1
    assert "<Timer 'fails' failed> of <Group 'app' running> failed" in process.errors


def test_a_group_drains_until_the_deadline_of_the_application(script):
    process = script("""
        from gestalt.core import Group
        begun = []
        def finalize():
            say("in time" if 0.2 < time.monotonic() - begun[0] < 2 else "late")
        class First(Part):
            async def _drain(self):
                begun.append(time.monotonic())
                await asyncio.Event().wait()
        group = Group(Draining(name="a"), First(name="b"), stop_timeout=1000)
        run(group, shutdown_timeout=0.3, loop=LOOP, finalize=finalize)
    """)
    process.wait_for("open b")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-1] == "in time"
    assert {"close a", "close b"} <= set(process.lines)
