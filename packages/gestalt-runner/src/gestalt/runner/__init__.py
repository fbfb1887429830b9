"""Run an asyncio application: event loop, signals, errors, graceful shutdown."""

from .errors import LoopNotAvailable, ShutdownTimeout, UnhandledError
from .launch import run

__all__ = ["LoopNotAvailable", "ShutdownTimeout", "UnhandledError", "run"]
