"""What belongs to an event loop is used in its thread."""

import asyncio

from .errors import WrongThread


def check_thread(loop: asyncio.AbstractEventLoop, what: object) -> None:
    """Refuse a call from another thread than the one in which `loop` runs.

    Without it, such a call would mostly work: the loop would take notice of it some time later, and
    now and then something would be lost, or done twice.

    Args:
        loop: the event loop that `what` belongs to.
        what: what is used, as it is to be called in the error.

    Raises:
        WrongThread: the loop runs in another thread; the error says how to call it there.
    """
    try:
        running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is not loop and loop.is_running():
        raise WrongThread(
            f"{what} belongs to an event loop in another thread, and nothing was done. From "
            "here, call loop.call_soon_threadsafe(function, ...) for a plain function such as "
            "send_nowait, or asyncio.run_coroutine_threadsafe(coroutine, loop) for the coroutine "
            "of an async one such as send"
        )
