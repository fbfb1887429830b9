"""What mypy, strict, says of the programs on the pages: `./dev run check:pages`.

All blocks of a page are one program, as in tests/support/pages/running.py. Lines of comments that
nobody sees are part of it, and what is wrong in them is not told.
"""

import ast
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tests.support.pages.markdown import PAGES, ROOT, Block, name_of
from tests.support.pages.running import blocks_of_side, sides_of

ALLOWED = (
    # A page awaits where it stands, and one block after the other is read.
    "top-level-await", "syntax", "no-redef", "used-before-def", "has-type",
    # It is short: of functions that are not what it is about, annotations are left out, and bodies.
    "no-untyped-def", "no-untyped-call", "untyped-decorator", "var-annotated", "empty-body",
    # It uses names that it does not show, and libraries without types.
    "name-defined", "import-untyped", "import-not-found",
)  # fmt: skip

ERROR = re.compile(r".*?(\d+)\.py:(\d+): error: (.*)")
TIMEOUT = 300.0
"""For mypy, in seconds."""


@dataclass(frozen=True, slots=True)
class Program:
    """What is checked at a time.

    Attributes:
        page: where it stands.
        text: its lines, each where the page has it.
        lines: those of which errors are told.
    """

    page: Path
    text: str
    lines: frozenset[int]


def programs_of(page: Path) -> Iterator[Program]:
    """The programs of a page: another begins where a block defines anew what an earlier one did."""
    for side in sides_of(page):
        # Of other libraries, we say nothing.
        if side not in ("", "Gestalt"):
            continue
        blocks = [block for block in blocks_of_side(page, side) if _is_python(block)]
        begins = [
            number
            for number, block in enumerate(blocks)
            if number == 0 or _defined(block) & set().union(*map(_defined, blocks[:number]))
        ]
        for first, end in pairwise([*begins, len(blocks)]):
            again = set().union(*map(_defined, blocks[first:end]))
            parts = [(block, again) for block in blocks[:first]]
            parts += [(block, set()) for block in blocks[first:end]]
            seen = [block for block in blocks[first:end] if block.language == "python"]
            yield Program(page, _joined(parts), frozenset(n for b in seen for n in _numbers(b)))


def faults() -> list[str]:
    """What is wrong, by page and line."""
    programs = [each for page in PAGES for each in programs_of(page) if each.lines]
    with tempfile.TemporaryDirectory() as folder:
        for number, program in enumerate(programs):
            Path(folder, f"page_{number}.py").write_text(program.text, "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "mypy", "--config-file", ROOT / "pyproject.toml",
             *(f"--disable-error-code={code}" for code in ALLOWED), folder],
            capture_output=True, check=False, cwd=ROOT, text=True, timeout=TIMEOUT,
        )  # fmt: skip
    if done.returncode not in (0, 1):
        return [done.stdout + done.stderr]
    found = []
    for number, line, what in ERROR.findall(done.stdout):
        program = programs[int(number)]
        if int(line) in program.lines:
            found.append(f"{name_of(program.page)}:{line}: {what}")
    return found


def _is_python(block: Block) -> bool:
    return "python" in (block.language, block.marker)


def _defined(block: Block) -> set[str]:
    """The names that a block gives to functions, classes, and what is open within a `with`."""
    return set().union(*(names for _, names in _definitions(block)))


def _definitions(block: Block) -> Iterator[tuple[ast.stmt, set[str]]]:
    for node in ast.parse(block.text).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node, {node.name}
        elif isinstance(node, ast.With | ast.AsyncWith):
            opened = [item.optional_vars for item in node.items]
            yield node, {name.id for name in opened if isinstance(name, ast.Name)}


def _joined(parts: list[tuple[Block, set[str]]]) -> str:
    """Blocks at their lines, each without some of its definitions."""
    lines: dict[int, str] = {}
    for block, without in parts:
        lines |= dict(zip(_numbers(block), block.text.splitlines(), strict=True))
        for node, names in _definitions(block):
            if names & without:
                lines |= dict.fromkeys(_span(block, node), "")
    return "".join(lines.get(line, "") + "\n" for line in range(1, max(lines, default=0) + 1))


def _span(block: Block, node: ast.stmt) -> range:
    first = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))])
    return range(block.line - 1 + first, block.line + (node.end_lineno or first))


def _numbers(block: Block) -> range:
    return range(block.line, block.line + len(block.text.splitlines()))


if __name__ == "__main__":
    found = faults()
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(bool(found))
