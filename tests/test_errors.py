"""What messages show of other people's text."""

from __future__ import annotations

import pytest

from qsearch.errors import did_you_mean, printable, reason_of, shown


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ünï", "plain ünï"),
        ("a\x1b[31mb\x07", r"a\x1b[31mb\x07"),
        ("two\nlines\r", "two\nlines\\r"),
        ("\udcff\u202e\x00", r"\udcff\u202e\x00"),
        ("x" * 3_000, "x" * 2_000 + "... (3,000 characters)"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_printable_tells_how_many_lines_are_left_out() -> None:
    assert printable("a\n" * 300).endswith("a\n... and 201 lines more")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("it's\n\x1b", r'"it\'s\n\x1b"'.replace("\\'", "'")),
        (["\x00", 1], r"['\x00', 1]"),
        pytest.param(10**5000, "a int that cannot be shown", id="digits"),
        ("x" * 100_000, "'" + "x" * 199 + "... (100,000 characters)"),
    ],
)
def test_shown(value: object, expected: str) -> None:
    assert shown(value) == expected


def test_no_name_is_near_a_long_text() -> None:
    assert did_you_mean("a" * 100_000, ["a"]) == ""


@pytest.mark.parametrize(
    "said",
    [
        "The Conv2D op currently only supports the NHWC tensor format on the CPU. The op was given the format: NCHW",
        "Current CPU implementations do not yet support dilation rates larger than 1.",
    ],
)
def test_what_a_processor_cannot_do_without_onednn(said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    assert (
        reason_of(ValueError(said)) == f"{said}; TF_ENABLE_ONEDNN_OPTS=1 in the environment lets TensorFlow compute it"
    )
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    assert reason_of(ValueError(said)) == said
