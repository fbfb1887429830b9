"""`gestalt schema`: what an application exchanges with others, as a document, and compared."""

import sys
from collections.abc import Sequence
from typing import Any

from gestalt.runner.errors import OptionError
from gestalt.runner.options.arguments import given, parser_of
from gestalt.runner.options.option import Given, Option
from gestalt.runner.options.shared import JSON
from gestalt.runner.options.table import APP_DIR, ENV_FILE
from gestalt.runner.output import show
from gestalt.runner.schema.loading import described, loaded
from gestalt.runner.schema.writing import FORMATS, write

TARGETS: Option[tuple[str, ...]] = Option(
    name="targets",
    help="a component, or a plain function that makes one; it is not started",
    default=(),
    metavar="module:attribute",
    several=True,
    positional=True,
    shown="the targets of [tool.gestalt] in pyproject.toml",
)
FORMAT: Option[str] = Option(
    name="format",
    help="of the document; YAML needs the extra gestalt-runner[schema]",
    default="",
    choices=FORMATS,
    shown="as the name of the output ends, else json",
)
OUTPUT: Option[str] = Option(
    name="output", help="the file to write", default="", metavar="FILE", path=True, shown="stdout"
)
TITLE: Option[str] = Option(
    name="title", help="what the application is called", default="", shown="the name of the target"
)
API_VERSION: Option[str] = Option(
    name="api-version", help="the version of the application", default="0.0.0"
)
EXPORT: tuple[Option[Any], ...] = (TARGETS, FORMAT, OUTPUT, TITLE, API_VERSION, APP_DIR, ENV_FILE)

DOCUMENTS: Option[tuple[str, ...]] = Option(
    name="documents",
    help="the old document, and the new one: files, - for stdin, or targets as export has them",
    default=(),
    metavar="FILE|module:attribute",
    several=True,
    positional=True,
)
FAIL_ON: Option[str] = Option(
    name="fail-on",
    help="whose trouble is an error: of old readers, where readers are not updated first; of new "
    "readers, where old messages may still come; the trouble of all peers always is",
    default="any",
    choices=("any", "old-readers", "new-readers", "peers"),
)
DIFF: tuple[Option[Any], ...] = (DOCUMENTS, FAIL_ON, JSON, APP_DIR, ENV_FILE)

ACTION: Option[str] = Option(
    name="action",
    help="what to do",
    default="",
    choices=("export", "diff"),
    positional=True,
)
OPTIONS: tuple[Option[Any], ...] = (ACTION, *dict.fromkeys((*EXPORT[1:], *DIFF[1:])))

DESCRIPTION = "Tell what an application exchanges with others."

EPILOG = """\
  gestalt schema export app:bus                  writes a document of AsyncAPI 3.0
  gestalt schema diff old.json app:bus           tells what has changed, and for whom that breaks

'gestalt schema export --help' and 'gestalt schema diff --help' tell of their options.
"""

EXPORT_DESCRIPTION = """\
Write what an application exchanges with others as a document of AsyncAPI 3.0: servers, channels,
operations from its own view, and messages with their schemas. Nothing is started or connected.
"""

EXPORT_EPILOG = """\
exit status:
  0  the document is written
  2  an option is wrong, or names nothing that can be described
"""

DIFF_DESCRIPTION = """\
Compare what an application exchanges with others with what it did, and tell which changes are
incompatible, and for whom.
"""

DIFF_EPILOG = """\
exit status:
  0  there is no incompatible change
  1  there is one
  2  an option is wrong, or names nothing that can be described
"""


def main(arguments: Sequence[str]) -> None:
    """Run the command.

    Raises:
        SystemExit: 1 where documents are compared and not compatible, 2 when an option is wrong, or
            names nothing that can be described.
    """
    actions = {"export": _export, "diff": _diff}
    if arguments and arguments[0] in actions:
        actions[arguments[0]](arguments[1:])
        return
    parser = parser_of("schema", (ACTION,), description=DESCRIPTION, epilog=EPILOG)
    given(parser, arguments)
    parser.error(f"say what to do: {', '.join(actions)}")


def _export(arguments: Sequence[str]) -> None:
    parser = parser_of(
        "schema export", EXPORT, description=EXPORT_DESCRIPTION, epilog=EXPORT_EPILOG
    )
    said: Given = given(parser, arguments)
    try:
        settings, document = described(EXPORT, said, TITLE, API_VERSION)
        write(document, settings[FORMAT], settings[OUTPUT])
    except OptionError as error:
        parser.error(str(error))


def _diff(arguments: Sequence[str]) -> None:
    from gestalt.runner.schema.comparing import compare
    from gestalt.runner.schema.report import as_data, text_of

    parser = parser_of("schema diff", DIFF, description=DIFF_DESCRIPTION, epilog=DIFF_EPILOG)
    said: Given = given(parser, arguments)
    try:
        settings, old, new = loaded(DIFF, said, DOCUMENTS)
    except OptionError as error:
        parser.error(str(error))
    try:
        changes = compare(old, new)
    except Exception as error:
        # The status 1 would tell of an incompatible change.
        parser.error(f"the documents cannot be compared, one is malformed: {type(error).__name__}")
    failed = [each for each in changes if each.fails(settings[FAIL_ON])]
    if settings[JSON]:
        import json

        show(json.dumps(as_data(changes, settings[FAIL_ON]), ensure_ascii=False, indent=2))
    else:
        show(text_of(changes, settings[FAIL_ON]))
    sys.exit(1 if failed else 0)
