"""The changes that are tried in a file: those of cosmic-ray's operators that can tell something."""

import ast
import difflib
import marshal
from collections.abc import Iterator
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

# Of a dozen replacements for each operator, those that a mistake would make. Whoever notices these
# notices the others.
REPLACEMENTS = {
    "ReplaceBinaryOperator": {
        "Add": ["Sub"], "Sub": ["Add"], "Mul": ["FloorDiv"], "Div": ["Mul"], "FloorDiv": ["Mul"],
        "Mod": ["FloorDiv"], "Pow": ["Mul"], "RShift": ["LShift"], "LShift": ["RShift"],
        "BitAnd": ["BitOr"], "BitOr": ["BitAnd"], "BitXor": ["BitOr"],
    },
    "ReplaceComparisonOperator": {
        "Lt": ["LtE", "GtE"], "LtE": ["Lt", "Gt"], "Gt": ["GtE", "LtE"], "GtE": ["Gt", "Lt"],
        "Eq": ["NotEq", "LtE", "GtE"], "NotEq": ["Eq", "Lt", "Gt"],
        "Is": ["IsNot"], "IsNot": ["Is"], "In": ["NotIn"], "NotIn": ["In"],
    },
}  # fmt: skip


class Mutant(NamedTuple):
    """One change of a file."""

    line: int
    """Where it is, from 1 on."""
    was: str
    """The lines that it takes away, without their indentation."""
    becomes: str
    """Those that it puts there."""
    source: str
    """The whole file."""


def mutants_of(source: str) -> list[Mutant]:
    """Every change of a file that makes another program of it, from its first line on."""
    tree = get_ast(source)
    annotations = list(_annotations(source))
    seen = {_code(source)}
    found: list[Mutant] = []
    for name in operator_names():
        operator_class = get_operator(name)
        if not _tells_something(name.rpartition("/")[2]) or operator_class.arguments():
            continue
        operator = operator_class()
        places = [
            begin for node in ast_nodes(tree) for begin, _ in operator.mutation_positions(node)
        ]
        for number, place in enumerate(places):
            if any(begin <= place < end for begin, end in annotations):
                continue
            changed = mutate_code(source, operator, number)
            # What does not compile, and what compiles to the same, is no change.
            if changed is None or (code := _code(changed)) is None or code in seen:
                continue
            seen.add(code)
            found.append(_mutant(source, changed))
    return sorted(found)


def _tells_something(name: str) -> bool:
    kind, *operators = name.split("_")
    if kind in REPLACEMENTS:
        return operators[1] in REPLACEMENTS[kind].get(operators[0], ())
    return kind != "NoOp"


def _annotations(source: str) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where annotations begin and end: what they say is for type checkers."""
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            part = getattr(node, name, None)
            if isinstance(part, ast.expr):
                end = (part.end_lineno or part.lineno, part.end_col_offset or 0)
                yield (part.lineno, part.col_offset), end


def _code(source: str) -> bytes | None:
    try:
        # An operator can make a comparison that the compiler warns of.
        return marshal.dumps(compile(source, "mutant", "exec", dont_inherit=True))
    except (SyntaxError, SyntaxWarning):
        return None


def _mutant(source: str, changed: str) -> Mutant:
    old, new = source.splitlines(), changed.splitlines()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    blocks = [block for block in matcher.get_opcodes() if block[0] != "equal"]
    begin, end = blocks[0][1], blocks[-1][2]
    new_begin, new_end = blocks[0][3], blocks[-1][4]
    return Mutant(begin + 1, _text(old[begin:end]), _text(new[new_begin:new_end]), changed)


def _text(lines: list[str]) -> str:
    return "\n".join(filter(None, map(str.strip, lines)))
