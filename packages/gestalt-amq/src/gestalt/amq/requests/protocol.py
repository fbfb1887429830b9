"""What requests and replies say of themselves: queues, headers, and how errors travel.

docs/amq/requests.md specifies it for those who write the other end.
"""

import time
from collections.abc import Mapping
from typing import Any

from gestalt.amq.errors import (
    DeadlineExceeded,
    NoResponder,
    OutcomeUnknown,
    RemoteError,
    RequestError,
    RequestRefused,
)
from gestalt.amq.headers import (
    DEADLINE_HEADER,
    DETAILS_HEADER,
    ERROR_HEADER,
    IDEMPOTENT_HEADER,
    REASON_HEADER,
    STATUS_HEADER,
    TRACEBACK_HEADER,
    as_integer,
    error_name,
    error_text,
)
from gestalt.amq.link.unsendable import DIRECT_REPLY_TO
from gestalt.amq.topology import Exchange
from gestalt.amq.wire import Delivery, encode_table
from gestalt.codecs import Encoded
from gestalt.core.numbers import choice_of

REPLY_TO = DIRECT_REPLY_TO
"""Where replies go: straight to the channel that sent the request, by no queue."""

REQUESTS = Exchange("gestalt.requests", type="direct")
"""Reaches the queue that the instances of the service share that the routing key names."""
INSTANCES = Exchange("gestalt.instances", type="direct")
"""Reaches every instance of the service that the routing key names."""
SERVING = Exchange("gestalt.serving", type="direct")
"""Reaches every instance of it that is not about to stop."""

# What the control header says.
PING, INFO, CANCEL, CREDIT, PROBE = "ping", "info", "cancel", "credit", "probe"

# What the status header says: of a stream's items and its end, and of what is no reply.
ITEM, END = "item", "end"
FAILED, REFUSED, LATE, ABANDONED, UNSERVED = "failed", "refused", "late", "abandoned", "unserved"

NOTHING = Encoded(b"", "application/octet-stream", None, None, None)
"""The body of what says everything by its headers."""

# A header frame has at most 128 KiB with RabbitMQ, for all headers together.
MAX_DETAILS = 32 * 1024
MAX_TRACEBACK = 32 * 1024
# In seconds, as a message's time to live: RabbitMQ ends the channel of whoever sends a longer one.
MAX_LEFT = 4_000_000.0


def request_queue(service: str) -> str:
    """The queue of a service's requests, which its instances share."""
    return f"{service}.requests"


def remaining(headers: Mapping[str, Any]) -> float | None:
    """Seconds until the caller gives up, below 0 when it has; None when it does not say."""
    deadline = headers.get(DEADLINE_HEADER)
    # The usual case without a call.
    if type(deadline) is not int and (deadline := as_integer(deadline)) is None:
        return None
    return deadline / 1000 - time.time()


def may_have_begun(delivery: Delivery) -> bool:
    """Whether a request that must not be worked on twice may have been begun by a responder."""
    headers = delivery.properties.headers or {}
    return delivery.redelivered and headers.get(IDEMPOTENT_HEADER) is not True


def error_headers(status: str, error: BaseException, trace: str | None) -> dict[str, Any]:
    """The headers of a reply that is an error."""
    headers: dict[str, Any] = {
        STATUS_HEADER: status,
        ERROR_HEADER: error_name(error),
        REASON_HEADER: error_text(error),
    }
    if trace is not None:
        # The end of a traceback tells most.
        data = trace.encode("utf-8", "replace")[-MAX_TRACEBACK:]
        headers[TRACEBACK_HEADER] = data.decode("utf-8", "ignore")
    return headers


def error_summary(error: BaseException) -> str:
    """An error in a line of a log, whatever it is."""
    return f"{error_name(error)}: {error_text(error)[:200]}"


def details_of(error: BaseException) -> Mapping[str, Any] | None:
    """The details of an error; what others mean by an attribute of that name is left alone."""
    try:
        details = getattr(error, "details", None)
        return details if isinstance(details, Mapping) and details else None
    except Exception:
        # Looking at an error of the application's may raise; it is the error itself that is told.
        return None


def check_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details of an error, as a header.

    Raises:
        TypeError, ValueError: they cannot be carried, or are too large.
        Exception: whatever a mapping of the application's own raises.
    """
    plain = dict(details)
    size = len(encode_table(plain))
    if size > MAX_DETAILS:
        raise ValueError(f"details of {size} bytes are more than {MAX_DETAILS}")
    return plain


def is_abandoned(delivery: Delivery) -> bool:
    """Whether a reply says that the request was begun, and not finished."""
    return (delivery.properties.headers or {}).get(STATUS_HEADER) == ABANDONED


def read_error(service: str, delivery: Delivery) -> RequestError | OutcomeUnknown:
    """The error that a reply means."""
    headers = delivery.properties.headers or {}
    status = headers.get(STATUS_HEADER)
    reason = str(headers.get(REASON_HEADER, "no reason given"))
    if status == UNSERVED:
        return NoResponder(f"{service}: the last responder has stopped")
    if status == LATE:
        return DeadlineExceeded(
            f"{service}: the responder gave up at the deadline; where that seems too early, the "
            "clocks of the two hosts differ"
        )
    if status == ABANDONED:
        return OutcomeUnknown(f"{service}: the responder that had the request did not finish it")
    if status not in (FAILED, REFUSED):
        return RequestError(
            f"{service}: a reply of status {choice_of(status)} is not one of its kind"
        )
    remote_type = str(headers.get(ERROR_HEADER, ""))
    details = headers.get(DETAILS_HEADER)
    trace = headers.get(TRACEBACK_HEADER)
    cls = RequestRefused if status == REFUSED else RemoteError
    return cls(
        f"{service}: {remote_type}: {reason}",
        remote_type,
        details if isinstance(details, Mapping) else None,
        trace if isinstance(trace, str) else None,
    )
