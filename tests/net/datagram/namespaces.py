"""Hosts made of network namespaces, where the machine allows them."""

import ctypes
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
_numbers = itertools.count()


class Namespaces:
    """Two hosts, made of two network namespaces.

    There is a link between their interfaces `wire0`, where the default route is, and another one
    between `wire1`.
    """

    def __init__(self) -> None:
        number = f"{os.getpid()}-{next(_numbers)}"
        self.names = (f"gestalt-{number}-a", f"gestalt-{number}-b")

    def make(self) -> None:
        a, b = self.names
        for name in self.names:
            _ip("netns", "add", name)
        for wire in ("wire0", "wire1"):
            peer = ("peer", "name", wire, "netns", b)
            _ip("-n", a, "link", "add", wire, "type", "veth", *peer)
        for number, name in enumerate(self.names, 1):
            for command in (
                ("addr", "add", f"10.99.0.{number}/24", "brd", "+", "dev", "wire0"),
                ("addr", "add", f"fd99::{number}/64", "dev", "wire0", "nodad"),
                ("addr", "add", f"fe80::{number}/64", "dev", "wire0", "nodad"),
                ("addr", "add", f"10.98.0.{number}/24", "dev", "wire1"),
                ("addr", "add", f"fd98::{number}/64", "dev", "wire1", "nodad"),
                ("link", "set", "wire0", "up"),
                ("link", "set", "wire1", "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "dev", "wire0"),
            ):
                _ip("-n", name, *command)
        for name in self.names:
            _until_there_is_a_route(name)

    def remove(self) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def narrow(self, number: int) -> None:
        """Let the link of one host carry a kilobyte a second."""
        shape = ("tbf", "rate", "8kbit", "burst", "2kb", "limit", "10mb")
        name = self.names[number]
        _run("ip", "netns", "exec", name, "tc", "qdisc", "add", "dev", "wire0", "root", *shape)

    @contextmanager
    def inside(self, number: int) -> Iterator[None]:
        """Open sockets in one of the hosts; a socket stays where it was opened."""
        here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        there = os.open(Path("/run/netns", self.names[number]), os.O_RDONLY)
        libc = ctypes.CDLL(None, use_errno=True)
        try:
            assert libc.setns(there, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            yield
        finally:
            assert libc.setns(here, CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
            os.close(here)
            os.close(there)


def _until_there_is_a_route(name: str) -> None:
    """Wait for the system to notice that the link is up: IPv6 has no routes before."""
    deadline = time.monotonic() + 10
    for group, wire in (("239.0.0.1", "wire0"), ("ff15::1", "wire0"), ("ff15::1", "wire1")):
        command = ("ip", "-n", name, "route", "get", group, "oif", wire)
        while subprocess.run(command, check=False, capture_output=True).returncode:
            assert time.monotonic() < deadline, f"{name} has no route to {group}"
            time.sleep(0.01)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=10)
