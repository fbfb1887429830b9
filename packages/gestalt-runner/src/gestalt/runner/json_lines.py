"""Log records as JSON, one line each."""

import datetime
import json
import logging

# What a record has without anybody's doing; all else came by `extra=`.
_OWN = frozenset(
    {*vars(logging.makeLogRecord({})), "message", "asctime", "color_message", "taskName"}
)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message; then the extra fields of the record.

    The time is RFC 3339, in UTC. An exception is in the line, as is the stack where one was asked
    for. An extra field that JSON does not know is its text; one with the name of a field of the
    formatter's own has an underscore in front.
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
        return json.dumps(line, default=_text, ensure_ascii=False, skipkeys=True)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception as error:
        return f"<{type(value).__name__}: {type(error).__name__}>"
