"""Matching of a message's headers against the bindings of a headers exchange.

https://www.rabbitmq.com/tutorials/amqp-concepts#exchange-headers
"""

from collections.abc import Mapping

from gestalt.amq.wire import AmqpError, FieldValue

_MODES = ("all", "any", "all-with-x", "any-with-x")


def check_match_mode(arguments: Mapping[str, FieldValue]) -> None:
    """Check the argument x-match of a binding.

    Raises:
        AmqpError: it is none of the four modes.
    """
    mode = arguments.get("x-match", "all")
    if not isinstance(mode, str):
        raise AmqpError(
            "PRECONDITION_FAILED",
            f"Invalid x-match field type {type(mode).__name__} (value {mode!r}); expected longstr",
        )
    if mode not in _MODES:
        raise AmqpError(
            "PRECONDITION_FAILED",
            f'Invalid x-match field value <<"{mode}">>; '
            "expected all, any, all-with-x, or any-with-x",
        )


def headers_match(arguments: Mapping[str, FieldValue], headers: Mapping[str, FieldValue]) -> bool:
    """Tell whether a message with these headers matches a binding with these arguments.

    An argument without a value (void) asks only that the header is there. Without anything to
    compare, `all` matches and `any` does not.
    """
    mode = arguments.get("x-match", "all")
    with_x = mode in ("all-with-x", "any-with-x")
    results = [
        name in headers and (wanted is None or _equal(wanted, headers[name]))
        for name, wanted in arguments.items()
        if name != "x-match" and (with_x or not name.startswith("x-"))
    ]
    return any(results) if mode in ("any", "any-with-x") else all(results)


def _equal(wanted: FieldValue, value: FieldValue) -> bool:
    # True equals 1 in Python, and is another value in AMQP.
    return wanted == value and isinstance(wanted, bool) == isinstance(value, bool)
