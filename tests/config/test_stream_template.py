"""-T and -F: what is accepted of them."""

import pytest

from daemonlogger_py.config.stream_template import (
    BIN_LETTERS,
    FORMAT_LETTERS,
    TOKENS,
    parse_format,
    parse_template,
)


@pytest.mark.parametrize(
    "text",
    [
        "%A.%a-%B.%b%V%v%C%c",
        "%A/%a/%B/%b/%c%N.flow",
        "stream",
        "100%%",
        "%t..%T",
        "ä%#%S%E%e%K%M%G",
    ],
)
def test_templates(text: str) -> None:
    assert parse_template(text) == text


def test_every_token_that_is_told_of_is_accepted() -> None:
    text = "-".join(tokens for tokens, _ in TOKENS)
    assert parse_template(text) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "a path inside"),
        ("/tmp/%A", "a path inside"),
        ("../%A", "a path inside"),
        ("%A/..", "a path inside"),
        ("%A/../../x", "a path inside"),
        ("%x", "'%x' is none of them"),
        ("%A%", "'%' is none of them"),
        ("%A\n", "printable"),
        ("%A\0", "printable"),
        ("a" * 1025, "at most 1024"),
    ],
)
def test_templates_that_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match="is not accepted; accepted: ") as error:
        parse_template(text)
    assert reason in str(error.value)
    assert repr(text[:80]) in str(error.value)


def test_letters() -> None:
    assert FORMAT_LETTERS == "ctTXMkmg"
    assert set(BIN_LETTERS) < set(FORMAT_LETTERS)
    assert parse_format("Fkt"[1:]) == "kt"
    for text in ("", "Z", "kZ", "k t"):
        with pytest.raises(ValueError, match="letters of ctTXMkmg"):
            parse_format(text)
