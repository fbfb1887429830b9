"""Log records as JSON, one line each."""

import datetime
import json
import logging

# What a record has without anybody's doing; all else came by `extra=`, or from a filter.
_OWN = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName"}
)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; then the extra fields of the record.

    The time is as RFC 3339 has it, in UTC. An exception is within the line, and so is the stack
    where one was asked for. A value that JSON cannot express is its text. An extra field that has
    the name of one of the others has an underscore in front. All is ASCII, whatever the encoding
    of the stream that it goes to.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, object] = {
            "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _OWN:
                line[f"_{name}" if name in line else name] = value
        return "{" + ", ".join(f"{json.dumps(key)}: {_json(line[key])}" for key in line) + "}"


def _json(value: object) -> str:
    try:
        return json.dumps(value, default=_text, skipkeys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        # Not a number, infinity, a circle.
        return json.dumps(_text(value))


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}, which has no text: {type(error).__name__}>"
