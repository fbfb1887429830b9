"""An application's own logging is respected, and a fatal error is told whatever it says."""

import pytest


@pytest.fixture
def gestalt(launch, tmp_path):
    """Run app.py, whose main logs as the body says, by the command."""

    def gestalt(body: str, *arguments: str):
        (tmp_path / "app.py").write_text(
            "import logging, logging.config\nfrom gestalt.core import Component\n" + body
        )
        return launch("-m", "gestalt.runner", "run", "app:main", *arguments)

    return gestalt


SPEAK = """
    logging.getLogger("app").debug("fine")
    logging.getLogger("app").info("spoken")
    logging.getLogger("app").warning("warned")
"""

AT_IMPORT = """
logging.basicConfig(format="MINE %(levelname)s %(message)s", level={level})
async def main():
{speak}
"""

IN_MAIN = """
async def main():
    logging.basicConfig(format="MINE %(levelname)s %(message)s", level={level})
{speak}
"""


def test_without_a_configuration_of_its_own_it_logs_to_stderr_from_info_on(gestalt):
    process = gestalt(f"async def main():\n{SPEAK}")
    assert process.end() == 0
    lines = process.errors.splitlines()
    assert [line.split(" ", 2)[2] for line in lines] == [
        "INFO app: spoken",
        "WARNING app: warned",
    ]


@pytest.mark.parametrize(("level", "expected"), [("debug", 3), ("warning", 1), ("critical", 0)])
def test_the_level_is_that_of_the_command_line(gestalt, level, expected):
    process = gestalt(f"async def main():\n{SPEAK}", "--log-level", level)
    assert process.end() == 0
    assert len([line for line in process.errors.splitlines() if " app: " in line]) == expected


@pytest.mark.parametrize("where", [AT_IMPORT, IN_MAIN], ids=["import", "main"])
def test_basic_config_of_the_application_takes_effect(gestalt, where):
    process = gestalt(where.format(level="logging.WARNING", speak=SPEAK))
    assert process.end() == 0
    assert process.errors == "MINE WARNING warned\n"


@pytest.mark.parametrize("where", [AT_IMPORT, IN_MAIN], ids=["import", "main"])
def test_basic_config_of_the_application_may_log_more(gestalt, where):
    process = gestalt(where.format(level="logging.DEBUG", speak=SPEAK))
    assert process.end() == 0
    lines = [line for line in process.errors.splitlines() if "selector" not in line]
    assert lines == ["MINE DEBUG fine", "MINE INFO spoken", "MINE WARNING warned"]


def test_a_handler_of_one_logger_alone_is_not_doubled_by_another(gestalt):
    process = gestalt("""
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("APP %(message)s"))
logging.getLogger("app").addHandler(handler)
async def main():
    logging.getLogger("app").info("spoken")
    logging.getLogger("other").info("by another")
""")
    assert process.end() == 0
    first, second = process.errors.splitlines()
    assert first == "APP spoken"
    assert second.endswith("INFO other: by another")


DICT_CONFIG = """
    logging.config.dictConfig({
        "version": 1,
        "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
        "handlers": {"mine": {"class": "logging.StreamHandler", "formatter": "mine"}},
        "root": {"handlers": ["mine"], "level": "WARNING"},
    })
"""

FILE_CONFIG = """
    import io
    logging.config.fileConfig(io.StringIO('''
[loggers]
keys=root
[handlers]
keys=mine
[formatters]
keys=mine
[logger_root]
handlers=mine
level=WARNING
[handler_mine]
class=StreamHandler
formatter=mine
args=()
[formatter_mine]
format=MINE %(name)s %(message)s
'''))
"""


@pytest.mark.parametrize("config", [DICT_CONFIG, FILE_CONFIG], ids=["dict", "file"])
@pytest.mark.parametrize("where", ["import", "main"])
def test_a_configuration_that_disables_loggers_does_not_silence_a_fatal_error(
    gestalt, config, where
):
    at_import = f"if True:\n{config}" if where == "import" else ""
    in_main = config if where == "main" else ""
    process = gestalt(f"""
{at_import}
async def main():
{in_main}
    logging.getLogger("asyncio").warning("disabled")
    raise OSError("the reason")
""")
    assert process.end() == 1
    assert process.errors.startswith("MINE gestalt.runner main failed\nTraceback")
    assert process.errors.endswith("OSError: the reason\n")
    assert "disabled" not in process.errors


SILENCERS = {
    "disabled logger": "logging.getLogger('gestalt.runner').disabled = True",
    "severe logger": "logging.getLogger('gestalt').setLevel(logging.CRITICAL + 1)",
    "all disabled": "logging.disable(logging.CRITICAL)",
    "severe handler": (
        "h = logging.StreamHandler(); h.setLevel(60); logging.getLogger().addHandler(h)"
    ),
    "null handler": "logging.getLogger('gestalt').addHandler(logging.NullHandler())",
    "not propagated": "logging.getLogger('gestalt').propagate = False",
    "root without handlers": "logging.getLogger().handlers.clear()",
    "no last resort": "logging.lastResort = None",
    "severe last resort": "logging.lastResort.setLevel(60)",
    "filter": "logging.getLogger('gestalt.runner').addFilter(lambda record: False)",
    "handler's filter": (
        "h = logging.StreamHandler(); h.addFilter(lambda record: False);"
        " logging.getLogger().addHandler(h)"
    ),
    "handler that fails": (
        "h = logging.StreamHandler(); h.emit = lambda record: {}[record];"
        " logging.getLogger().addHandler(h)"
    ),
}


@pytest.mark.parametrize("silencer", SILENCERS.values(), ids=SILENCERS.keys())
@pytest.mark.parametrize("by", ["command", "run"])
def test_nothing_silences_the_report_of_a_fatal_error(gestalt, script, silencer, by):
    body = f"{silencer}\nasync def main():\n    raise OSError('the reason')\n"
    process = gestalt(body) if by == "command" else script(f"import logging\n{body}\nrun(main)")
    assert process.end() == 1
    assert "main failed" in process.errors
    assert process.errors.count("OSError: the reason") == 1
    assert ("A handler of the logger failed" in process.errors) == ("emit" in silencer)


def test_a_fatal_error_is_told_once_where_a_handler_takes_it(script):
    process = script("""
        import logging
        logging.getLogger("gestalt.runner").addHandler(logging.FileHandler("log"))
        async def main():
            raise OSError("the reason")
        try:
            run(main, loop=LOOP)
        finally:
            say(str(open("log").read().count("OSError: the reason")))
    """)
    assert process.end() == 1
    assert process.lines == ["1"]
    assert process.errors == ""


def test_a_filter_may_change_the_record_of_a_fatal_error(script):
    process = script("""
        import logging
        def add(record):
            record.request = "r-7"
            return True
        logging.basicConfig(format="%(request)s %(message)s")
        logging.getLogger("gestalt.runner").addFilter(add)
        async def main():
            raise OSError("the reason")
        run(main, loop=LOOP)
    """)
    assert process.end() == 1
    assert process.errors.startswith("r-7 main failed")


def test_the_runner_adds_no_handler_and_no_filter_of_its_own(script):
    process = script("""
        import logging
        async def main():
            say(str(logging.getLogger().handlers + logging.getLogger("gestalt").handlers))
            say(logging.getLevelName(logging.getLogger().level))
        run(main, loop=LOOP)
    """)
    assert process.end() == 0
    assert process.lines == ["[]", "WARNING"]
