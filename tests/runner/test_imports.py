"""What `gestalt run` loads: the start of an application stays quick, which is told by modules."""

import json

import pytest

from tests.runner.conftest import MEASURED

TELL = "import json, sys; print(json.dumps(sorted(sys.modules)))"

# What it takes to read a command line, to find files and to define what is immutable. What is
# slow to import and would come easily, such as shutil, tempfile, tomllib, importlib.metadata and
# zoneinfo, is not among it.
ALLOWED = {
    *("app", "argparse", "gettext", "importlib", "json", "pkgutil", "runpy"),
    *("pathlib", "fnmatch", "ipaddress", "ntpath", "urllib", "glob"),
    *("copy", "dataclasses", "datetime", "gc", "platform"),
    *("bisect", "hashlib", "random"),
    *("grp", "pwd"),
}

# Where the processes are measured.
MEASURING = {"unicodedata"} if MEASURED else set()


def outside(modules):
    """The topmost packages, without private modules of the standard library."""
    return {name.partition(".")[0] for name in modules if not name.startswith("_")}


@pytest.mark.parametrize("arguments", [[], ["--no-inspect"], ["--log-level", "debug"]])
def test_an_empty_application_loads_little_more_than_asyncio(launch, tmp_path, arguments):
    (tmp_path / "app.py").write_text(f"async def main():\n    {TELL}\n")
    alone = launch("-c", f"import asyncio, concurrent.futures.thread\n{TELL}")
    process = launch("-m", "gestalt.runner", "run", "app:main", "--loop", "asyncio", *arguments)
    assert (alone.end(), process.end()) == (0, 0), process.errors
    loaded = set(json.loads(process.lines[0])) - set(json.loads(alone.lines[0]))
    assert outside(loaded) - {"gestalt"} - ALLOWED - MEASURING == set()
    assert "importlib.metadata" not in loaded
    # What other options and commands need is not loaded for those that do not ask for it.
    others = ("commands.", "restarting", "top", "json_lines", "workers", "exporters")
    names = {name.removeprefix("gestalt.runner.") for name in loaded}
    assert not [name for name in names - {"commands.run"} if name.startswith(others)]


def test_a_library_that_only_run_uses_loads_no_command(launch):
    process = launch("-c", f"import gestalt.runner\n{TELL}")
    assert process.end() == 0
    loaded = {name for name in json.loads(process.lines[0]) if name.startswith("gestalt.runner.")}
    for part in ("options", "commands", "command", "inspection", "argparse"):
        assert f"gestalt.runner.{part}" not in loaded
