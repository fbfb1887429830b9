"""What a block shows of its own output: `# -> text` behind a statement, or a block below it."""

import ast
import io
import re
import tokenize

SHOW = "__show__"


def shown_in(code: str) -> dict[int, str]:
    """The lines that comments show, by their number."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT and token.string.startswith("# -> "):
            found[token.start[0]] = token.string.removeprefix("# -> ")
    return found


def print_values(tree: ast.Module, lines: set[int]) -> None:
    """Have each expression that a comment shows the value of print that."""
    _Printing(lines).visit(tree)
    ast.fix_missing_locations(tree)


class _Printing(ast.NodeTransformer):
    def __init__(self, lines: set[int]) -> None:
        self._lines = lines

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        if node.end_lineno in self._lines:
            call = ast.Call(ast.Name(SHOW, ast.Load()), [node.value], [])
            node.value = ast.copy_location(call, node.value)
        return node


def show(value: object) -> None:
    """Print what an interactive interpreter would."""
    if value is not None:
        print(repr(value))


def differ(shown: str, printed: str, *, any_number: bool = False) -> str:
    """What is wrong, empty where nothing is.

    Args:
        shown: `...` stands for anything within a line, and alone in a line for any lines.
        printed: what was printed.
        any_number: whether a number stands for any other, too, such as the time of day.
    """
    if re.fullmatch(_pattern(shown, any_number), _lines(printed)):
        return ""
    return f"The page shows:\n{shown.rstrip()}\nWhat is printed is:\n{printed.rstrip()}"


def begins(shown: str, printed: str, *, any_number: bool = False) -> bool:
    """Whether all that is shown has been printed so far; the arguments are those of `differ`."""
    return re.match(_pattern(shown, any_number), _lines(printed)) is not None


def _pattern(shown: str, any_number: bool) -> str:
    pattern = ""
    for line in shown.rstrip("\n").split("\n") if shown else ():
        if line.strip() == "...":
            pattern += "(?:.*\n)*"
        else:
            pattern += re.escape(line.rstrip()).replace(r"\.\.\.", ".*") + "\n"
    return re.sub(r"\d+", r"\\d+", pattern) if any_number else pattern


def _lines(printed: str) -> str:
    text = printed.strip("\n")
    return "".join(f"{line.rstrip()}\n" for line in text.split("\n") if text)
