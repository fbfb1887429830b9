"""Forked children of an application have the signal behaviour of any Python process."""

import signal

import pytest

pytestmark = pytest.mark.parametrize("loop", ["asyncio", "uvloop"], indirect=True)

# Python 3.12 and later warn of a fork while there are threads, which is beside the point here.
FORKS = """
import contextlib, multiprocessing, warnings
warnings.simplefilter("ignore", DeprecationWarning)
context = multiprocessing.get_context("fork")

def sleep_for_ever(*_):
    while True:
        time.sleep(0.05)

def told():
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)]
"""


def test_a_child_ends_at_the_first_sigterm_however_early_it_comes(script):
    process = script(f"""{FORKS}
async def main():
    for _ in range(100):
        child = context.Process(target=sleep_for_ever, daemon=True)
        child.start()
        child.terminate()
        child.join(10)
        if child.exitcode != -signal.SIGTERM:
            say(f"exit code {{child.exitcode}}")
            child.kill()
            return
    say("all ended")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["all ended"]


def test_a_pool_in_a_thread_can_be_left_while_it_works(script):
    process = script(f"""{FORKS}
def work():
    with context.Pool(2) as pool:
        pool.apply_async(sleep_for_ever, (1,))
        say(str(pool.apply(abs, (-7,))))
async def main():
    await asyncio.to_thread(work)
    say("left")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["7", "left"]


def test_workers_of_an_executor_end_at_the_first_sigterm(script):
    process = script(f"""{FORKS}
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        pid = await loop.run_in_executor(executor, os.getpid)
        working = loop.run_in_executor(executor, sleep_for_ever)
        os.kill(pid, signal.SIGTERM)
        try:
            await asyncio.wait_for(working, 10)
        except BrokenProcessPool:
            say("the worker ended")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["the worker ended"]


def test_a_child_and_its_child_have_the_handlers_that_were_there_before_run(script):
    process = script(f"""{FORKS}
def mine(number, frame): pass
signal.signal(signal.SIGTERM, mine)
before = told()

def child(depth):
    # On Python 3.11, uvloop's descriptor for signals would still be the parent's.
    alone = signal.set_wakeup_fd(-1) == -1
    say(f"child {{depth}}: {{told() == before and alone}}")
    if depth < 3:
        grandchild = context.Process(target=child, args=(depth + 1,))
        grandchild.start()
        grandchild.join()

async def main():
    runs = told()
    process = context.Process(target=child, args=(1,))
    process.start()
    process.join()
    say(f"parent as before: {{told() == runs}}")
run(main, loop=LOOP, on_reload=lambda: None)
    """)
    assert process.end() == 0, process.errors
    expected = "child 1: True,child 2: True,child 3: True,parent as before: True"
    assert process.lines == expected.split(",")


def test_a_plain_fork_in_a_thread_leaves_the_parents_handlers_alone(script):
    process = script(f"""{FORKS}
before = told()[:2]
def fork():
    pid = os.fork()
    if pid == 0:
        default = told()[:2] == before
        unblocked = not signal.pthread_sigmask(signal.SIG_BLOCK, [])
        os._exit(0 if default and unblocked else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
async def main():
    say(f"child {{await asyncio.to_thread(fork)}} {{fork()}}")
    say(f"blocked {{signal.pthread_sigmask(signal.SIG_BLOCK, [])}}")
    await asyncio.Event().wait()
run(Part(name="a"), main, loop=LOOP)
    """)
    process.wait_for("open a")
    process.wait_for("child 0 0")
    process.wait_for("blocked set()")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert process.lines[-1] == "close a"


def test_what_the_application_handles_by_itself_stays_with_its_children(script):
    process = script(f"""{FORKS}
def mine(number, frame):
    say("mine")
    os._exit(3)
def child():
    os.kill(os.getpid(), signal.SIGTERM)
    sleep_for_ever()
async def main():
    signal.signal(signal.SIGTERM, mine)
    process = context.Process(target=child)
    process.start()
    process.join()
    say(str(process.exitcode))
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["mine", "3"]


def test_a_child_may_run_an_application_of_its_own(script):
    process = script(f"""{FORKS}
class Ending(Part):
    async def _open(self):
        await super()._open()
        os.kill(os.getpid(), signal.SIGTERM)
def child():
    run(Ending(name="inner"), loop=LOOP)
async def main():
    process = context.Process(target=child)
    process.start()
    await asyncio.to_thread(process.join)
    say(f"ended {{process.exitcode}}")
run(main, loop=LOOP)
    """)
    assert process.end() == 0, process.errors
    assert process.lines == ["open inner", "close inner", f"ended {-signal.SIGTERM}"]
