"""The headers that messages carry: the name of each, and what may be written in them.

Headers are the sender's to write: what is read from them and makes no sense counts as absent.
"""

TYPE_ID_HEADER = "x-type-id"
"""The type id of a body whose type has no name; gestalt 20 puts it there, too."""
COMPRESSION_HEADER = "compression"
"""How kombu, and gestalt 20 after it, name the compression of a body."""
SEQUENCE_HEADER = "x-gestalt-publish"
"""Of a mandatory publish: its number on its channel, which the broker does not return otherwise."""

ATTEMPTS_HEADER = "x-gestalt-attempts"
"""How often a message was handled before."""
EXCHANGE_HEADER = "x-gestalt-exchange"
"""Of a copy: the exchange that the message was published to."""
ROUTING_KEY_HEADER = "x-gestalt-routing-key"
"""Of a copy: the routing key that the message was published with."""
QUEUE_HEADER = "x-gestalt-queue"
"""Of a copy: the queue that the message could not be handled from."""
PARKED_AT_HEADER = "x-gestalt-parked-at"
"""Of a parked message: when, in seconds since the epoch."""
LEFT_OUT_HEADER = "x-gestalt-left-out"
"""Of a copy: the names of those headers that it had no room for."""
CC_HEADER = "x-gestalt-cc"
"""Of a copy: the routing keys that were in CC, by which brokers route further."""
BCC_HEADER = "x-gestalt-bcc"
"""The same for BCC."""

ERROR_HEADER = "x-gestalt-error"
"""Of a failure: the class of the exception."""
REASON_HEADER = "x-gestalt-reason"
"""Of a failure: what the exception says."""
DETAILS_HEADER = "x-gestalt-details"
"""Of a reply that is an error: the details that the exception carries."""
TRACEBACK_HEADER = "x-gestalt-traceback"
"""Of a reply that is an error: the responder's traceback."""

DEADLINE_HEADER = "x-gestalt-deadline"
"""Of a request: when its caller gives up, in milliseconds since the epoch."""
IDEMPOTENT_HEADER = "x-gestalt-idempotent"
"""Of a request: it may be worked on twice."""
WINDOW_HEADER = "x-gestalt-window"
"""Of a request: a stream of replies is wanted, and so many before more are asked for."""
CONTROL_HEADER = "x-gestalt-control"
"""Of what is no request, but about one, or about the service: a word of the protocol's."""
STATUS_HEADER = "x-gestalt-status"
"""Of a reply that is not simply the one value: a word of the protocol's."""
ITEM_HEADER = "x-gestalt-item"
"""Of a reply in a stream: its number, from 1; of the end: how many there were."""
INSTANCE_HEADER = "x-gestalt-instance"
"""Of a reply to a request that went to every instance: which one replies."""

# Headers are for people to read, too: a text of megabytes helps nobody.
MAX_REASON = 2000
MAX_NAME = 255


def as_integer(value: object) -> int | None:
    """The value of a header that is a number, None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def as_text(value: object) -> str | None:
    """The value of a header that is a text, None for anything else."""
    return value if isinstance(value, str) else None


def safe_text(text: str, limit: int = MAX_REASON) -> str:
    """At most `limit` characters of a text, such that it can be encoded whatever it holds."""
    return text[:limit].encode("utf-8", "backslashreplace").decode()


def error_name(error: BaseException) -> str:
    """The class of an exception, for a header or a line of a log."""
    return safe_text(type(error).__qualname__, MAX_NAME)


def error_text(error: BaseException) -> str:
    """What an exception says, for a header or a line of a log, whatever its author made of it."""
    try:
        text = str(error)
    except Exception as failure:
        text = f"(its text cannot be had: {type(failure).__qualname__})"
    return safe_text(text)
