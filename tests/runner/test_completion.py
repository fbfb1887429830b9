"""Shells complete the commands of gestalt and their options, as real shells show it."""

import os
import shutil
import subprocess
import sys

import pytest

from gestalt.runner.commands import COMMANDS
from gestalt.runner.options.table import RUN
from tests.runner.conftest import ENVIRONMENT, PYTHON
from tests.support.terminal import Terminal

VARIABLES = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

CASES = {
    "gestalt ": {*COMMANDS},
    "gestalt ru": {"run"},
    "gestalt run --log-": {"--log-level", "--log-format"},
    "gestalt run app:main --loop ": {"auto", "asyncio", "uvloop"},
    "gestalt run --debug --on-exception st": {"stop"},
    "gestalt run --no-deb": {"--no-debug"},
    "gestalt run --app-dir s": {"src"},
    "gestalt run --env-file ": {"src", "some.env"},
    "gestalt run --shutdown-timeout ": set(),
    "gestalt completion ": {"bash", "zsh", "fish"},
    "gestalt schema e": {"export"},
    "gestalt schema export --format ": {"json", "yaml", "markdown"},
    "gestalt schema diff --fail": {"--fail-on"},
}


def needs(shell):
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"there is no {shell}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the scripts, and with something to complete."""
    folder = tmp_path_factory.mktemp("completion")
    (folder / "src").mkdir()
    (folder / "some.env").write_text("")
    for shell in ("bash", "zsh", "fish"):
        command = [*PYTHON, "-m", "gestalt.runner", "completion", shell]
        text = subprocess.run(command, env=VARIABLES, check=True, capture_output=True).stdout
        folder.joinpath(f"gestalt.{shell}").write_bytes(text)
    return folder


def ask(folder, *command):
    """The lines that a shell prints."""
    done = subprocess.run(
        command, cwd=folder, env=VARIABLES, check=True, capture_output=True, text=True, timeout=30
    )
    return done.stdout.splitlines()


def without_help(found):
    return {word.rstrip("/") for word in found} - {"--help", "--version"}


@needs("bash")
@pytest.mark.parametrize("line", CASES)
def test_bash_completes(folder, line):
    words = line.split(" ")
    script = f"""
        source ./gestalt.bash
        COMP_WORDS=({" ".join(word or "''" for word in words)}) COMP_CWORD={len(words) - 1}
        _gestalt 2>/dev/null
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    found = without_help(filter(None, ask(folder, "bash", "--norc", "--noprofile", "-c", script)))
    if line == "gestalt run --env-file ":
        found -= {f"gestalt.{shell}" for shell in ("bash", "zsh", "fish")}
    assert {word for word in found if not word.startswith("--")} | {
        word for word in found if word.startswith("--") and line.split(" ")[-1].startswith("-")
    } == CASES[line]


@needs("bash")
def test_bash_completes_behind_an_equals_sign(folder):
    script = "source ./gestalt.bash; COMP_WORDS=(gestalt run --loop = uv) COMP_CWORD=4; _gestalt"
    script += "; echo ${COMPREPLY[@]}; COMP_WORDS=(gestalt run --loop =) COMP_CWORD=3; _gestalt"
    script += "; echo ${COMPREPLY[@]}"
    assert ask(folder, "bash", "--norc", "-c", script) == ["uvloop", "auto asyncio uvloop"]


@needs("bash")
def test_every_option_of_run_is_completed(folder):
    script = "source ./gestalt.bash; COMP_WORDS=(gestalt run --) COMP_CWORD=2; _gestalt"
    found = ask(folder, "bash", "--norc", "-c", f"{script}; printf '%s\\n' ${{COMPREPLY[@]}}")
    assert sorted(found) == sorted(["--help", *(flag for option in RUN for flag in option.flags)])


@needs("bash")
def test_in_bash_at_a_terminal(folder):
    command = ["bash", "--norc", "--noprofile", "-i"]
    variables = VARIABLES | {"PS1": "ready$ ", "TERM": "xterm"}
    with Terminal(command, variables=variables, cwd=folder) as terminal:
        terminal.wait_for("ready$")
        terminal.press("source ./gestalt.bash\r")
        # What is typed while it reads the file would be echoed where the next line is to be.
        terminal.wait_until(lambda: terminal.text.count("ready$") == 2)
        terminal.press("gestalt run --shut\t5 --app-d\ts\t")
        terminal.wait_for("ready$ gestalt run --shutdown-timeout 5 --app-dir src/")


@needs("fish")
@pytest.mark.parametrize("line", CASES)
def test_fish_completes(folder, line):
    found = ask(folder, "fish", "--no-config", "-c", f"source ./gestalt.fish; complete -C '{line}'")
    words = without_help(word.split("\t")[0] for word in found)
    words -= {f"gestalt.{shell}" for shell in ("bash", "zsh", "fish")}
    assert words == CASES[line]


@needs("zsh")
@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("gestalt run --log-format j\t", "gestalt run --log-format json"),
        ("gestalt run --shut\t", "gestalt run --shutdown-timeout"),
        ("gestalt run --debug --app-dir s\t", "gestalt run --debug --app-dir src/"),
        ("gestalt run app:main --relo\t\t", "--reload-include"),
        ("gestalt completion f\t", "gestalt completion fish"),
        ("gestalt run --lo\t\t", "the event loop; auto takes uvloop"),
    ],
)
def test_zsh_completes(folder, typed, shown):
    variables = VARIABLES | {"PS1": "ready$ ", "TERM": "xterm", "HOME": str(folder)}
    with Terminal(["zsh", "-f", "-i"], variables=variables, cwd=folder) as terminal:
        begin = "autoload -U compinit && compinit -u && source ./gestalt.zsh && PS1='ready: '\r"
        terminal.press(begin)
        terminal.wait_until(lambda: terminal.text.endswith("\nready:"))
        terminal.press(typed)
        terminal.wait_for(shown)


@pytest.mark.parametrize("shell", ["/bin/zsh", "/usr/bin/fish"])
def test_the_shell_is_that_of_the_environment_by_default(folder, shell):
    command = [*PYTHON, "-m", "gestalt.runner", "completion"]
    done = subprocess.run(
        command, env=VARIABLES | {"SHELL": shell}, check=True, capture_output=True
    )
    assert done.stdout == folder.joinpath(f"gestalt.{shell.rpartition('/')[2]}").read_bytes()


def test_an_unknown_shell_is_status_2(launch):
    process = launch("-m", "gestalt.runner", "completion", "tcsh")
    assert process.end() == 2
    assert "argument SHELL: must be one of bash, zsh, fish, got 'tcsh'" in process.errors
