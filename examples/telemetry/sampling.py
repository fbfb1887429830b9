"""Readings of this host, by psutil."""

import socket
import time
import uuid
from collections.abc import Iterator
from itertools import count
from typing import Any

import psutil

from .messages import Cpu, Disk, Memory, Network, Sample


class Sampler:
    """Takes readings, and numbers them."""

    def __init__(self) -> None:
        self._host = socket.gethostname()
        self._agent = uuid.uuid4().hex
        self._numbers = count(1)
        psutil.cpu_percent()  # the first call has nothing to compare with

    def read(self) -> Iterator[Sample]:
        """One sample of each kind."""
        memory = psutil.virtual_memory()
        yield Cpu(**self._header(), percent=psutil.cpu_percent(), load=psutil.getloadavg()[0])
        yield Memory(**self._header(), used=memory.total - memory.available, total=memory.total)
        if network := psutil.net_io_counters():
            yield Network(**self._header(), received=network.bytes_recv, sent=network.bytes_sent)
        # A container may show no disks.
        if disk := psutil.disk_io_counters():
            yield Disk(**self._header(), read=disk.read_bytes, written=disk.write_bytes)

    def _header(self) -> dict[str, Any]:
        return {
            "host": self._host,
            "agent": self._agent,
            "sequence": next(self._numbers),
            "time": time.time(),
        }
