"""docs/runner/contract-of-the-demo.md, as `gestalt schema export` writes it.

./dev run python -m tests.project.contract_page            prints it
./dev run python -m tests.project.contract_page --write    and writes it there
"""

import sys
from pathlib import Path

from gestalt.runner.schema.document import document_of
from gestalt.runner.schema.finding import operations_of
from gestalt.runner.schema.writing import text_of

PAGE = Path(__file__).parents[2] / "docs" / "runner" / "contract-of-the-demo.md"
TARGET = "examples.telemetry.contract:collector"
HEAD = """\
<!-- Written by ./dev run python -m tests.project.contract_page --write -->

"""
DESCRIPTION = f"""\
What the collector of the demo exchanges with agents, with those who read its topic, and with
those who ask it, as `gestalt schema export {TARGET} --format markdown`
writes it: [how](schema.md)."""


def page() -> str:
    """The page as it is to be."""
    operations = operations_of([TARGET], "")
    title = "The contract of the demo's collector"
    document = document_of(operations, title=title, version="1.0.0", description=DESCRIPTION)
    return HEAD + text_of(document, "markdown")


if __name__ == "__main__":
    print(page(), end="")
    if "--write" in sys.argv:
        PAGE.write_text(page())
