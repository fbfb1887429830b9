"""Waiting for the threads of an executor."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor


async def join(executor: ThreadPoolExecutor) -> None:
    """Shut an executor down, and wait until its threads have ended; this may be cancelled."""
    loop = asyncio.get_running_loop()
    joined = asyncio.Event()

    def wait() -> None:
        executor.shutdown(cancel_futures=True)
        # The event loop may be closed by the time that a late thread ends.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(joined.set)

    threading.Thread(target=wait, name="join executor", daemon=True).start()
    await joined.wait()
