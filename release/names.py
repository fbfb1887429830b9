"""The names that a distribution takes from another, and those that the other has."""

import ast
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path


def imported(source: Path, package: str) -> Iterator[tuple[str, str | None, Path]]:
    """What the modules below a folder import of a package.

    Args:
        source: the folder.
        package: as `gestalt.core`.

    Returns:
        The module, the name taken from it (None for the module itself), and the file that does so.
    """
    for file in sorted(source.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"), str(file))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if _within(alias.name, package):
                        yield alias.name, None, file
            elif isinstance(node, ast.ImportFrom) and not node.level:
                module = node.module or ""
                for alias in node.names:
                    if _within(module, package):
                        yield module, alias.name, file
                    elif _within(f"{module}.{alias.name}", package):
                        yield f"{module}.{alias.name}", None, file


class Names:
    """The names that a distribution's modules have at their top.

    Args:
        files: its files, from the folder that holds the namespace on, as `gestalt/core/timer.py`.
        read: gives the text of one of them.
    """

    def __init__(self, files: Iterable[str], read: Callable[[str], str]) -> None:
        self._files = set(files)
        self._read = read
        self._known: dict[str, set[str] | None] = {}

    def has(self, module: str, name: str | None) -> bool:
        """Whether there is such a module and, unless `name` is None, such a name in it."""
        path = module.replace(".", "/")
        file = next((f for f in (f"{path}/__init__.py", f"{path}.py") if f in self._files), None)
        if file is None:
            return any(known.startswith(f"{path}/") for known in self._files) and name is None
        if name is None or self.has(f"{module}.{name}", None):
            return True
        if file not in self._known:
            self._known[file] = _top_names(ast.parse(self._read(file), file))
        names = self._known[file]
        return names is None or name in names


def _within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def _top_names(tree: ast.Module) -> set[str] | None:
    """The names that a module binds, wherever at its top; None when it makes them on demand."""
    names: set[str] = set()
    pending: list[ast.AST] = [tree]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(node.name)
                continue
            if isinstance(node, ast.Import | ast.ImportFrom):
                names.update((a.asname or a.name).partition(".")[0] for a in node.names)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                names.add(node.id)
            pending.append(node)
    return None if "__getattr__" in names else names
