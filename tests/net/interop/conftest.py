"""Twisted's protocols, in a process of their own for the whole run."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.foreign import ForeignPeer, running


@pytest.fixture(scope="session")
def twisted() -> Iterator[ForeignPeer]:
    with running(sys.executable, Path(__file__).parent / "twisted_peer.py") as peer:
        yield peer
