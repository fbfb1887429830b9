"""The options that several commands have."""

from .option import Option
from .parsers import truth

PID: Option[str] = Option(
    name="pid",
    help="the process; of several applications in one, the second is 1234.2, and so on",
    default="",
    shown="the only application that runs",
    positional=True,
)
JSON: Option[bool] = Option(
    name="json", help="print JSON, for scripts", default=False, parse=truth, flag=True
)
