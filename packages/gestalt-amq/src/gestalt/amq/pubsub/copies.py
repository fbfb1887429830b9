"""The copy of a message that is moved out of its queue's way: one that can always be written.

What came is passed on as it came, unread, wherever it can be: brokers and other clients write
headers that this one would not.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gestalt.amq.headers import (
    ATTEMPTS_HEADER,
    BCC_HEADER,
    CC_HEADER,
    COMPRESSION_HEADER,
    ERROR_HEADER,
    EXCHANGE_HEADER,
    LEFT_OUT_HEADER,
    MAX_NAME,
    QUEUE_HEADER,
    REASON_HEADER,
    ROUTING_KEY_HEADER,
    SEQUENCE_HEADER,
    TYPE_ID_HEADER,
    error_name,
    error_text,
    safe_text,
)
from gestalt.amq.wire import (
    CONTENT_HEADER,
    PERSISTENT,
    Delivery,
    FieldError,
    Properties,
    decode_value,
    encode_properties,
    encode_table,
    split_headers,
)

# Keys by which brokers route a message further, and what a copy calls them.
_ROUTING = {"CC": CC_HEADER, "BCC": BCC_HEADER}
# What the broker itself adds while a message travels is not for the next journey.
_TRAVEL = (
    "x-death",
    "x-first-death-exchange",
    "x-first-death-queue",
    "x-first-death-reason",
    "x-last-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-delivery-count",
    "x-acquired-count",
    SEQUENCE_HEADER,
)
# Without these the body cannot be decoded.
_OF_BODY = (TYPE_ID_HEADER, COMPRESSION_HEADER)
# What a header takes, at most, that tells a name of AMQP's.
_LARGEST_NAME = 2 * 256 + 4


def failure_headers(
    delivery: Delivery, queue: str, error: BaseException, attempts: int
) -> dict[str, Any]:
    """The headers that tell of a failure."""
    return {
        ATTEMPTS_HEADER: attempts,
        EXCHANGE_HEADER: delivery.exchange,
        ROUTING_KEY_HEADER: delivery.routing_key,
        QUEUE_HEADER: queue,
        ERROR_HEADER: error_name(error),
        REASON_HEADER: error_text(error),
    }


def readable_headers(delivery: Delivery) -> dict[str, Any]:
    """The headers of a delivery, without those that cannot be read."""
    if delivery.unreadable is None:
        return dict(delivery.properties.headers or {})
    found = {}
    for key, value in passed_on(delivery).items():
        try:
            found[key] = decode_value(value)
        except FieldError:
            # It is told apart from the others, and that is all.
            continue
    return found


def passed_on(delivery: Delivery) -> dict[str, Any]:
    """The headers of a delivery as a copy can carry them: those that cannot be are left out."""
    try:
        return split_headers(delivery.header)
    except FieldError:
        # Nothing of it can be told apart from the rest.
        return {}


def copy_properties(
    delivery: Delivery,
    ours: Mapping[str, Any],
    frame_limit: int,
    *,
    without: tuple[str, ...] = (),
    bare: bool = False,
) -> Properties:
    """The properties of a copy, which fit into a frame of the channel.

    Of what does not fit, the largest headers of the message are left out first, except for those
    that its body cannot be decoded without; then, with `bare` at once, all headers and all
    properties that do not describe the body. The copy tells the names of what was left out.

    Args:
        ours: headers that the copy gets; where it was published stays as it is told already.
        frame_limit: how much a frame of the channel carries, in bytes.
        without: headers that the copy does not get.
        bare: take nothing from the message but what describes its body.
    """
    # Brokers add headers of their own, and other clients are not bound to take large frames.
    room = frame_limit - CONTENT_HEADER.size - min(4096, frame_limit // 8)
    own = dict(ours)
    if REASON_HEADER in own:
        own[REASON_HEADER] = own[REASON_HEADER].encode()[: room // 4].decode("utf-8", "ignore")
    headers = passed_on(delivery)
    known = delivery.properties.headers or {}
    for name in (EXCHANGE_HEADER, ROUTING_KEY_HEADER):
        told = isinstance(known.get(name), str) or delivery.unreadable is not None
        if name in headers and told and _size(name, headers[name]) <= _LARGEST_NAME:
            own[name] = headers[name]
    for name in (*_TRAVEL, *without):
        headers.pop(name, None)
    for name, other in _ROUTING.items():
        if name in headers:
            headers[other] = headers.pop(name)
    headers |= own
    copy = replace(
        delivery.properties,
        headers=headers,
        delivery_mode=PERSISTENT,
        # Its own time to live would end the wait early, and the parking, too.
        expiration=None,
        # The broker checks it against the connection's user, which is not the sender's.
        user_id=None,
    )
    left_out = list(headers.keys() - own.keys() - set(_OF_BODY)) if bare else []
    excess = len(encode_properties(copy)) - room
    if not bare and excess > 0:
        sizes = {
            key: _size(key, headers[key]) for key in headers.keys() - own.keys() - set(_OF_BODY)
        }
        excess += MAX_NAME + len(LEFT_OUT_HEADER)
        for key in sorted(sizes, key=sizes.__getitem__, reverse=True):
            if excess <= 0:
                break
            left_out.append(key)
            excess -= sizes[key]
    if not left_out and excess <= 0:
        return copy
    names = safe_text(", ".join(left_out), MAX_NAME).encode()[:MAX_NAME].decode("utf-8", "ignore")
    headers = {key: value for key, value in headers.items() if key not in left_out}
    headers[LEFT_OUT_HEADER] = names
    if not bare and excess <= 0:
        return replace(copy, headers=headers)
    return _bare(copy, headers, own, names, room)


def _size(key: str, value: Any) -> int:
    return len(encode_table({key: value})) - 4


def _bare(
    copy: Properties, headers: dict[str, Any], own: dict[str, Any], names: str, room: int
) -> Properties:
    headers = {key: headers[key] for key in headers if key in own or key in _OF_BODY}
    bare = Properties(
        content_type=copy.content_type,
        content_encoding=copy.content_encoding,
        type=copy.type,
        delivery_mode=PERSISTENT,
        headers=headers | {LEFT_OUT_HEADER: names},
    )
    if len(encode_properties(bare)) > room:
        bare = replace(bare, headers=own)
    return bare
