"""What a worker tells the process that keeps it running: that it is ready, or has reloaded."""

import contextlib
import os
import signal
import socket

from .attendants import Attendant

NUMBER = "GESTALT_WORKER"
"""The environment variable that tells a worker, and all that it runs, its number, from 1 on."""

VARIABLE = "GESTALT_WORKER_VOICE"
"""The environment variable that tells a worker the descriptor to speak on."""

QUESTIONS = "GESTALT_WORKER_QUESTIONS"
"""The environment variable that tells a worker the descriptor of the socket that it is asked on."""

READY, RELOADED = b"r", b"l"


class Voice(Attendant):
    """The end of the worker.

    Args:
        number: that of the worker.
        descriptor: where it is heard; it is open as long as the process lives.
        questions: the socket that the parent asks on.
    """

    def __init__(self, number: int, descriptor: int, questions: socket.socket) -> None:
        self.number = number
        self.questions = questions
        self._descriptor = descriptor

    def started(self) -> None:
        self._say(READY)

    def reloaded(self) -> None:
        self._say(RELOADED)

    def _say(self, word: bytes) -> None:
        # Nobody hears when the parent is gone, and the lifeline says so.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._descriptor, word)


def take_voice() -> Voice | None:
    """The voice that this process was given; None when it is no worker.

    The processes that it starts itself are not workers.
    """
    given = [os.environ.pop(name, "") for name in (VARIABLE, QUESTIONS)]
    try:
        number, descriptor, asked = map(int, [os.environ.get(NUMBER, ""), *given])
        os.set_inheritable(descriptor, False)
        os.set_inheritable(asked, False)
        questions = socket.socket(fileno=asked)
    except (ValueError, OSError):
        os.environ.pop(NUMBER, None)
        return None
    if os.environ.get("LISTEN_PID") == str(os.getppid()):
        # Sockets that systemd has handed over to the parent, which hands them on.
        os.environ["LISTEN_PID"] = str(os.getpid())
    if signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL:  # pragma: no branch - it is ignored
        # Where a signal is sent to all processes, the rolling restart is the parent's business.
        signal.signal(signal.SIGUSR2, lambda *_: None)
    return Voice(number, descriptor, questions)


def is_worker() -> bool:
    """Whether this process was started as a worker."""
    return VARIABLE in os.environ
