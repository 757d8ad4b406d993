"""Patterns of layer names: what ends is taken, what may not end is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsearch.config import load_config
from qsearch.config.patterns import problem_of
from qsearch.errors import ConfigError

NESTED = "repeats a part that itself repeats or chooses, which may take for ever"
TOO_MANY = "may match a name of 100 letters in more than 100,000,000 ways"


@pytest.mark.parametrize(
    "pattern",
    [
        "^conv2d_[12]$", "^.*_0$", "(?i)conv", "^(?:conv|dense)_[0-9]+$", ".*a.*b.*c.*", r"[\w.-]+/[\w-]+(_\d+)?$",
        r"(\d+_){2}conv", "[]a-z]+", "[^]]*", r"\(+", "(?P<n>a)(?P=n)*", "(?<=a)b+", "(?#a(b)c+", "a{,3}", "a{}", "x*+",
        "(ab)*", "(?:ab|c)?", r"(a*)\1*b", "(?(1)a|b)|(c)", "", "|", "(?>a+)b", "[(*]+", "a{99999}",
        "|".join(f"^conv2d_{index}$" for index in range(2000)),
    ],
)  # fmt: skip
def test_patterns_that_end(pattern: str) -> None:
    assert problem_of(pattern) is None or "(?(1)" in pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("^(a+)+$", NESTED),
        ("(a|a)*b", NESTED),
        ("(?:x+)*+y", NESTED),
        ("((ab?)c){2,}", NESTED),
        ("(?=(a+))*b", NESTED),
        ("(.*_){11}", NESTED),
        (".*.*.*.*.*.*x", TOO_MANY),
        ("a?" * 40 + "a" * 40, TOO_MANY),
        ("(a|b)" * 40, TOO_MANY),
        ("((a{0,300}){0,5}){0,5}b", TOO_MANY),
        ("a{1,99999999999999}", "repeats more than 1,000,000,000 times"),
        ("a{4294967296}", "repeats more than 1,000,000,000 times"),
        ("(" * 500 + ")" * 500, "has more than 50 groups inside each other"),
        ("(?a)(?u)x", "ASCII and UNICODE flags are incompatible"),
        ("(?x) ( a + ) +", "has the flag x, which is not read here"),
        ("(?L)x", "bad inline flags"),
        ("*", "nothing to repeat"),
        ("a)b", "unbalanced parenthesis"),
        ("(a", "missing ), unterminated subpattern"),
        ("[a", "unterminated character set"),
        ("\\", "bad escape (end of pattern)"),
    ],
)
def test_patterns_that_are_refused(pattern: str, expected: str) -> None:
    assert expected in str(problem_of(pattern))


def test_every_key_that_holds_patterns_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(
        "dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Conv2D: 4, ^(a+)+$: 4, '(?a)(?u)x': 4}\n"
        "run: {blocks: ['(a*)*'], tune_filters_exceptions: '(a|b)+'}\n"
    )
    with pytest.raises(ConfigError) as error:
        load_config(path)
    told = str(error.value).replace(str(path), "c.yaml").split("\n")
    assert [line.split(": ")[:2] for line in told] == [
        ["c.yaml:3:29", "limit.^(a+)+$"],
        ["c.yaml:3:45", "limit.(?a)(?u)x"],
        ["c.yaml:4:16", "run.blocks[0]"],
        ["c.yaml:4:51", "run.tune_filters_exceptions"],
    ]
