"""Makes this process look to Gestalt as it would on Windows, as far as that can be."""

import asyncio
import asyncio.subprocess
import concurrent.futures.thread
import logging.handlers
import multiprocessing
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from functools import partial

from tests.support.completion_loop import CompletionLoop

# The standard library has decided by now which system this is.
LOADED = (asyncio, concurrent, logging, multiprocessing, ssl, subprocess, tempfile)

LACKING = {
    os: ("fork", "register_at_fork", "O_CLOEXEC", "O_DIRECTORY", "getuid", "geteuid", "getpgid"),
    socket: ("AF_UNIX", "SO_REUSEPORT"),
    signal: ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGCHLD", "SIGKILL", "pthread_sigmask"),
}
MODULES = ("fcntl", "resource", "pwd", "grp", "termios", "uvloop")


def pretend() -> None:
    """Take away what Windows has not; no event loop watches sockets from now on."""
    # There, it is a pair of TCP.
    pair = partial(socket.socketpair, socket.AF_UNIX)
    socket.socketpair = lambda *_: pair()
    for module, names in LACKING.items():
        for name in names:
            delattr(module, name)
    for name in MODULES:
        sys.modules[name] = None  # type: ignore[assignment]
    sys.platform = "win32"
    fstat = os.fstat

    def fstat_of_files(descriptor: int) -> os.stat_result:
        if descriptor > 2:
            raise OSError(9, "a socket is no descriptor")
        return fstat(descriptor)

    os.fstat = fstat_of_files  # type: ignore[assignment]
    asyncio.DefaultEventLoopPolicy._loop_factory = CompletionLoop  # type: ignore[attr-defined]
