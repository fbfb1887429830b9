"""Wrong command lines are told of without what may be secret."""

import pytest

from gestalt.core.arguments import Parser
from gestalt.core.masking import masked


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--token=secret", "unrecognized arguments: --token"),
        ("4 --token secret --other", "unrecognized arguments: --token --other"),
        ("-psecret", "unrecognized arguments: -p"),
        ("4 words 5 --token secret", "unrecognized arguments: words 5 --token"),
        ("4 amqp://me:secret@host/", "unrecognized arguments: amqp://...@host/"),
        ("--loud=secret", "argument --loud: it takes no value"),
        ("http://me:secret@host:1", "argument port: invalid int value: 'http://...@host:1'"),
        ("http://me:se/cr/et@host", "argument port: invalid int value: 'http://...@host'"),
        ("me:secret@host", "argument port: invalid int value: '...@host'"),
        ("amqp://user:password@host", "invalid int value: 'amqp://user:password@host'"),
    ],
)
def test_an_error_shows_no_password_and_no_value_of_an_unknown_option(
    words: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = Parser(prog="serve")
    parser.add_argument("port", type=int, nargs="?")
    parser.add_argument("--loud", action="store_true")
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words.split())
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.endswith(f"{told}\n")
    assert "secret" not in error


def test_a_text_is_quoted_without_user_password_and_query() -> None:
    assert masked("app:main") == "'app:main'"
    assert masked("http://me:secret@host:80/a?token=secret") == "'http://...@host:80/a?...'"
    assert masked("http://host#secret") == "'http://host?...'"
    assert masked("it's") == '"it\'s"'
