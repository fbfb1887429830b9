"""A cancellation that is not the runner's own, and functions that return what they should not."""

import signal

import pytest


def test_a_component_that_ends_by_a_cancelled_future_ends_the_application(script):
    process = script("""
        from gestalt.core import Timer
        def call():
            raise asyncio.CancelledError
        run(Timer.every(0.001, call), Part(name="a"), loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == ["open a", "close a"]
    assert "failed" in process.errors
    assert "CancelledError" in process.errors


@pytest.mark.parametrize("on_exception", ["'stop'", "'continue'"])
def test_a_reload_that_awaits_a_cancelled_future_is_an_error(script, on_exception):
    process = script(f"""
        async def reload():
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            say("reload")
            await future
        run(Part(name="a"), on_reload=reload, on_exception={on_exception}, loop=LOOP)
    """)
    process.wait_for("open a")
    process.send(signal.SIGHUP)
    process.wait_for("reload")
    process.send(signal.SIGTERM)
    status = process.end()
    assert "reload failed" in process.errors
    assert "it was cancelled from inside" in process.errors
    assert status == (1 if on_exception == "'stop'" else -signal.SIGTERM)


def test_an_async_function_that_is_to_handle_exceptions_is_told_of(script):
    process = script("""
        async def handle(error, context):
            say("never")
        async def main():
            asyncio.get_running_loop().call_soon(lambda: 1 / 0)
            await asyncio.Event().wait()
        run(main, on_exception=handle, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.lines == []
    assert "on_exception must be a plain function, it returned a coroutine" in process.errors
