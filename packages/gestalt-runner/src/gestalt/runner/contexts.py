"""What an event loop tells its exception handler: failures of the application, and other things.

A task, a future or a callback that failed is work of the application that did not get done, and
so is a component that ended: that stops the application. What concerns a single connection does
not: the event loop, or the protocol's own transport, has dealt with it already, and it may be a
peer's doing. Nor does a library's remark that something of its own was left open.
"""

import asyncio
import re
from typing import Any

from gestalt.core.calling import name_of

# Whose failure it is that a context tells of.
_WORK = frozenset({"task", "future", "component", "asyncgen"})
_CONNECTION = frozenset({"transport", "protocol", "socket"})
# What asyncio says of connections without saying which.
_WORDS = (
    "Error on transport creation for incoming connection",
    "An open stream was garbage collected prior to establishing network connection",
)
_CALLBACK = "Exception in callback"
# How uvloop names what it calls itself.
_UVLOOP = re.compile(rf"{_CALLBACK} (UV[\w.]*)")
_DETAILS = frozenset({"message", "exception", "source_traceback", "handle_traceback"})


def is_survived(context: dict[str, Any]) -> bool:
    """Whether an application goes on after what `context` tells of."""
    if not _WORK.isdisjoint(context):
        return False
    message = str(context.get("message") or "")
    if not _CONNECTION.isdisjoint(context) or message.startswith(_WORDS):
        return True
    if "handle" in context:
        return _belongs_to_connection(context)
    if "exception" in context:
        # Without a word, uvloop tells what the reading of a socket, or an accept, came to.
        return not message
    # Such as an HTTP client that was not closed.
    return not context.keys() <= _DETAILS


def describe_context(context: dict[str, Any]) -> str:
    """What happened, and to whom."""
    message = str(context.get("message") or "Unhandled error in a callback of the event loop")
    if "handle" in context and message.startswith(_CALLBACK):
        # Both asyncio and uvloop print the callback with all that it was given.
        message = f"{_CALLBACK} {_callback(context, message)}".rstrip()
    source = context.get("task") or context.get("future") or context.get("component")
    if isinstance(source, asyncio.Task):
        return f"{message} (task {source.get_name()!r})"
    transport = context.get("transport")
    if isinstance(transport, asyncio.BaseTransport):
        peer = transport.get_extra_info("peername")
        if peer:
            return f"{message} (peer {peer})"
    return message


def _callback(context: dict[str, Any], message: str) -> str:
    """How a callback is called, as far as that can be told; where it is, its traceback says."""
    if (callback := getattr(context["handle"], "_callback", None)) is not None:
        return name_of(callback)
    # What a handle of uvloop calls, nothing but the traceback tells, or its own message.
    if (own := _UVLOOP.match(message)) is not None:
        return own[1]
    traceback = getattr(context.get("exception"), "__traceback__", None)
    while traceback is not None:
        if (code := traceback.tb_frame.f_code).co_filename.endswith(".py"):
            return str(code.co_qualname)
        traceback = traceback.tb_next
    return ""  # pragma: no cover - uvloop, of what is not written in Python


def _belongs_to_connection(context: dict[str, Any]) -> bool:
    """Whether a callback that failed is one by which an event loop serves its sockets.

    An accept that the system refused, a datagram protocol, a connection that is lost: they come as
    a failed callback, as those of the application do. There is no public name for whose it is.
    """
    callback = getattr(context["handle"], "_callback", None)
    if callback is None:
        return _UVLOOP.match(str(context.get("message"))) is not None
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, asyncio.AbstractEventLoop):
        return str(callback.__name__).startswith("_")
    return isinstance(owner, (asyncio.BaseTransport, asyncio.BaseProtocol))
