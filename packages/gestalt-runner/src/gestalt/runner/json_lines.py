"""Log records as JSON, one line each."""

import datetime
import json
import logging

from gestalt.core.tracing import trace_ids

# What a record has without anybody's doing; all else came by `extra=`, or from a filter.
_OWN = frozenset(
    {*vars(logging.LogRecord("", 0, "", 0, "", (), None)), "message", "asctime", "taskName"}
)

# What `gestalt.core.TraceIds` has set, which the formatter looks up by itself.
_TRACE = frozenset({"trace_id", "span_id"})


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; then the extra fields of the record.

    Within a span of OpenTelemetry, trace_id and span_id come before these.
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
        if (ids := trace_ids()) is not None:
            line["trace_id"], line["span_id"] = ids
        if record.exc_info and not record.exc_text:
            record.exc_text = self.formatException(record.exc_info)
        if record.exc_text:
            line["exception"] = record.exc_text
        if record.stack_info:
            line["stack"] = self.formatStack(record.stack_info)
        for name, value in vars(record).items():
            if name not in _OWN and not (name in _TRACE and value in ("", line.get(name))):
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
