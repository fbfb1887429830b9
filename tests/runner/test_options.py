"""Every option from the command line, the environment and pyproject.toml, in this precedence."""

import os
import signal
from pathlib import Path

import pytest

from gestalt.runner.errors import OptionError
from gestalt.runner.options.arguments import given, parser_of
from gestalt.runner.options.resolving import Sources
from gestalt.runner.options.table import (
    APP_DIR,
    DEBUG,
    ENV_FILE,
    LOG_LEVEL,
    RUN,
    SHUTDOWN,
    TARGETS,
    WORKERS,
)

# For each kind of option: what is said in pyproject.toml, the environment and on the command line.
SAID = {
    "a text of some": (LOG_LEVEL, '"error"', "debug", ["--log-level", "warning"]),
    "a number": (SHUTDOWN, "1.5", "2", ["--shutdown-timeout", "3"]),
    "a flag": (DEBUG, "true", "off", ["--debug"]),
    "several": (TARGETS, '["a:a", "b:b"]', "c:c, d:d", ["e:e", "f:f"]),
}
VALUES = {
    "a text of some": ("info", "error", "debug", "warning"),
    "a number": (25.0, 1.5, 2.0, 3.0),
    "a flag": (False, True, False, True),
    "several": ((), ("a:a", "b:b"), ("c:c", "d:d"), ("e:e", "f:f")),
}


@pytest.fixture
def read(tmp_path):
    """What the options are, as the sources say."""

    def read(project="", environment=(), arguments=(), folder=tmp_path):
        if project:
            (tmp_path / "pyproject.toml").write_text(project)
        said = given(parser_of("run", RUN, description=""), list(arguments))
        return Sources(RUN, said, folder).read(dict(environment))

    return read


@pytest.mark.parametrize("kind", SAID)
def test_command_line_over_environment_over_pyproject_over_default(read, kind):
    option, toml, text, arguments = SAID[kind]
    project, environment = f"[tool.gestalt]\n{option.name} = {toml}\n", {option.variable: text}
    found = [
        read()[option],
        read(project)[option],
        read(project, environment)[option],
        read(project, environment, arguments)[option],
    ]
    assert tuple(found) == VALUES[kind]


@pytest.mark.parametrize("option", RUN, ids=lambda option: option.name)
def test_every_option_is_in_the_help_with_its_variable_and_can_be_said_everywhere(read, option):
    text = option.choices[-1] if option.choices else "7"
    if option.flag:
        text = "false" if option.default else "true"
    quoted = f'["{text}"]' if option.several else f'"{text}"'
    arguments = [text] if option.positional else [option.flags[0], text]
    if option.flag:
        arguments = [option.flags[1] if option.default else option.flags[0]]
    by_variable = read("", {option.variable: text})
    by_argument = read("", {}, arguments)
    by_project = read(f"[tool.gestalt]\n{option.name} = {quoted}\n")
    assert by_variable[option] == by_argument[option] == by_project[option]
    assert by_variable[option] != option.default or option.choices
    assert option.variable in parser_of("run", RUN, description="").format_help()


@pytest.mark.parametrize("option", RUN, ids=lambda option: option.name)
def test_every_option_is_in_the_documentation(option):
    page = Path(__file__).parents[2] / "docs" / "runner" / "command.md"
    assert f"`{option.name}" in page.read_text("utf-8")


def test_a_flag_is_undone_on_the_command_line(read):
    assert read("", {"GESTALT_DEBUG": "1"}, ["--no-debug"])[DEBUG] is False
    assert read("", {}, ["--no-debug", "--debug"])[DEBUG] is True


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="it tells of the machine alone")
def test_auto_is_a_worker_for_each_processor_of_this_process(read):
    assert read("", {"GESTALT_WORKERS": "auto"})[WORKERS] == len(os.sched_getaffinity(0))


def test_an_empty_variable_says_nothing(read):
    assert read('[tool.gestalt]\nlog-level = "error"\n', {"GESTALT_LOG_LEVEL": ""})[LOG_LEVEL] == (
        "error"
    )


def test_targets_and_options_may_be_mixed(read):
    settings = read("", {}, ["a:a", "--log-level", "error", "b:b", "--debug", "c:c"])
    assert settings[TARGETS] == ("a:a", "b:b", "c:c")


def test_pyproject_is_found_upwards_and_its_paths_are_relative_to_it(read, tmp_path):
    below = tmp_path / "some" / "where"
    below.mkdir(parents=True)
    settings = read('[tool.gestalt]\napp-dir = "src"\nenv-file = [".env"]\n', folder=below)
    assert settings[APP_DIR] == str(tmp_path / "src")
    assert settings[ENV_FILE] == (str(tmp_path / ".env"),)
    given_here = read(environment={"GESTALT_APP_DIR": "src"}, folder=below)
    assert given_here[APP_DIR] == str(below / "src")


def test_the_nearest_pyproject_counts_also_without_a_table(read, tmp_path):
    below = tmp_path / "inner"
    below.mkdir()
    (below / "pyproject.toml").write_text("[project]\nname = 'inner'\n")
    assert read('[tool.gestalt]\nlog-level = "error"\n', folder=below)[LOG_LEVEL] == "info"


@pytest.mark.parametrize(
    ("project", "environment", "arguments", "sentences"),
    [
        ('log-level = "loud"', {}, [], ["pyproject.toml: [tool.gestalt] log-level: must be one of",
                                        "got 'loud'"]),
        ("log-level = 3", {}, [], ["[tool.gestalt] log-level: must be one of"]),
        ("shutdown-timeout = -1", {}, [], ["shutdown-timeout: must be a number of seconds, 0 or"]),
        ('debug = "perhaps"', {}, [], ["debug: must be true or false, got 'perhaps'"]),
        ('log-level = ["info"]', {}, [], ["log-level must be one value, not a list"]),
        ("log-level = {}", {}, [], ["log-level must be a text, a number, true or false"]),
        ('log-levle = "info"', {}, [], ["[tool.gestalt] has no option 'log-levle'; did you mean "
                                        "'log-level'?"]),
        ('log_level = "info"', {}, [], ["did you mean 'log-level'?"]),
        ("colour = 3", {}, [], ["[tool.gestalt] has no option 'colour'"]),
        ("", {"GESTALT_LOG_LEVEL": "loud"}, [], ["variable GESTALT_LOG_LEVEL: must be one of"]),
        ("", {"GESTALT_DEBUG": "2"}, [], ["GESTALT_DEBUG: must be true or false, got '2'"]),
        ("", {}, ["--log-level", "loud"], ["argument --log-level: must be one of debug, info"]),
        ("", {}, ["--shutdown-timeout", "nan"], ["must be a number of seconds, 0 or more"]),
    ],
)  # fmt: skip
def test_a_wrong_value_names_where_it_was_said(read, project, environment, arguments, sentences):
    with pytest.raises(OptionError) as caught:
        read(f"[tool.gestalt]\n{project}\n", environment, arguments)
    for sentence in sentences:
        assert sentence in str(caught.value)


@pytest.mark.parametrize("text", ["[tool.gestalt\n", "[tool]\ngestalt = 3\n", "\udcff"])
def test_a_pyproject_that_cannot_be_read_is_named(read, tmp_path, text):
    (tmp_path / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(OptionError, match=r"pyproject\.toml"):
        read()


# What follows is the command itself.

APPLICATION = """
import asyncio, logging, os
from gestalt.core import Component

class Part(Component):
    async def _open(self):
        log = logging.getLogger("app")
        log.debug("fine")
        log.info("spoken")
        print("open", os.environ.get("COLOUR"), os.environ.get("SHAPE"), flush=True)
    async def _close(self): print("close", flush=True)

part = Part()
async def main(): print("main", os.environ.get("COLOUR"), os.environ.get("SHAPE"))
"""


@pytest.fixture
def gestalt(launch, tmp_path):
    """Run the command; `environment` are variables on top."""
    (tmp_path / "app.py").write_text(APPLICATION)

    def gestalt(*arguments, environment=()):
        variables = [f"{name}={value}" for name, value in dict(environment).items()]
        return launch("-m", "gestalt.runner", *arguments, within=["env", *variables])

    return gestalt


def test_run_without_arguments_takes_what_pyproject_says(gestalt, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.gestalt]\ntargets = ["app:part", "app:main"]\nlog-level = "debug"\n'
        "blocked-after = 0\n"
    )
    process = gestalt("run")
    assert process.end() == 0, process.errors
    assert process.lines == ["open None None", "main None None", "close"]
    assert "DEBUG app: fine" in process.errors


def test_without_a_target_there_is_nothing_to_run(gestalt):
    process = gestalt("run")
    assert process.end() == 2
    assert "there is nothing to run: name a target" in process.errors


def test_modules_are_looked_for_in_the_app_dir(gestalt, tmp_path):
    inner = tmp_path / "src"
    inner.mkdir()
    (inner / "inner.py").write_text(APPLICATION)
    process = gestalt("run", "inner:main", "--app-dir", "src")
    missing = gestalt("run", "inner:main")
    assert process.end() == 0, process.errors
    assert missing.end() == 2
    assert f"there is no module 'inner', looked for from {tmp_path}" in missing.errors


@pytest.mark.parametrize("file", ["pyproject.toml", "environment"])
def test_a_wrong_value_is_status_2_with_its_source(gestalt, tmp_path, file):
    (tmp_path / "pyproject.toml").write_text("[tool.gestalt]\nloop = 'trio'\n")
    environment = {"GESTALT_LOOP": "curio"} if file == "environment" else {}
    process = gestalt("run", "app:main", environment=environment)
    assert process.end() == 2
    told = "variable GESTALT_LOOP" if environment else "pyproject.toml: [tool.gestalt] loop"
    assert told in process.errors
    assert "Traceback" not in process.errors


def test_a_variable_that_is_misspelt_is_told_and_another_is_not(gestalt):
    environment = {"GESTALT_LOG_LEVLE": "debug", "GESTALT_RABBITMQ": "/rabbit"}
    process = gestalt("run", "app:main", environment=environment)
    assert process.end() == 0
    assert process.errors.count("\n") == 1
    assert "GESTALT_LOG_LEVLE stands for no option; did you mean 'GESTALT_LOG_LEVEL'?" in (
        process.errors
    )


def test_the_environment_wins_over_environment_files_and_the_first_file_over_the_next(
    gestalt, tmp_path
):
    pytest.importorskip("dotenv")
    (tmp_path / "one.env").write_text("COLOUR=blue\nGESTALT_LOG_LEVEL=debug\n")
    (tmp_path / "two.env").write_text("# all\nexport COLOUR=red\nSHAPE='a \"square\"'\n")
    files = ["--env-file", "one.env", "--env-file", "two.env"]
    process = gestalt("run", "app:part", "app:main", *files)
    assert process.end() == 0, process.errors
    assert process.lines[0] == 'open blue a "square"'
    assert "DEBUG app: fine" in process.errors
    wins = gestalt("run", "app:main", *files, environment={"COLOUR": "green"})
    assert wins.end() == 0, wins.errors
    assert wins.lines == ['main green a "square"']


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (None, "the environment file {path} cannot be read: "),
        ("COLOUR=blue\n= = =\n", "the environment file {path} is wrong at line 2"),
        ("GESTALT_LOOP=trio\n", "variable GESTALT_LOOP: must be one of auto, asyncio, uvloop"),
    ],
)
def test_a_wrong_environment_file_is_status_2(gestalt, tmp_path, text, sentence):
    pytest.importorskip("dotenv")
    path = tmp_path / "some.env"
    if text is not None:
        path.write_text(text)
    process = gestalt("run", "app:main", "--env-file", "some.env")
    assert process.end() == 2
    assert sentence.format(path=path) in process.errors


def test_without_python_dotenv_the_error_names_the_extra(gestalt, tmp_path):
    (tmp_path / "dotenv.py").write_text("raise ImportError('not here')\n")
    (tmp_path / "some.env").write_text("")
    process = gestalt("run", "app:main", "--env-file", "some.env")
    assert process.end() == 2
    assert "pip install 'gestalt-runner[dotenv]'" in process.errors


def test_sighup_reads_the_log_level_anew_and_a_wrong_one_changes_nothing(gestalt, tmp_path):
    (tmp_path / "app.py").write_text("""
import asyncio, logging, signal
from gestalt.core import Component
log = logging.getLogger("app")
class Telling(logging.Handler):
    def emit(self, record): print(record.getMessage().split(":")[0], flush=True)
logging.getLogger("gestalt.runner").addHandler(Telling())
async def main():
    print("running", flush=True)
    level = logging.INFO
    while True:
        log.debug("fine")
        if log.getEffectiveLevel() != level:
            level = log.getEffectiveLevel()
            print(logging.getLevelName(level), flush=True)
        await asyncio.sleep(0.005)
""")
    project = tmp_path / "pyproject.toml"
    process = gestalt("run", "app:main")
    process.wait_for("running")
    project.write_text("[tool.gestalt]\nlog-level = 'debug'\n")
    process.send(signal.SIGHUP)
    process.wait_for("DEBUG")
    project.write_text("[tool.gestalt]\nlog-level = 'loud'\n")
    process.send(signal.SIGHUP)
    process.wait_for("the settings stay as they were")
    project.unlink()
    process.send(signal.SIGHUP)
    process.wait_for("INFO")
    process.send(signal.SIGTERM)
    assert process.end() == -signal.SIGTERM
    assert "DEBUG app: fine" in process.errors
