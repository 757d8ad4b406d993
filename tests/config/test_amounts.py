"""Amounts with units, as budgets have them."""

from __future__ import annotations

import pytest

from qsearch.config.amounts import operations, stored_bits, stored_bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (64, 64),
        (0.5, 0.5),
        ("64B", 64),
        ("64kB", 64_000),
        (" 62.5 KiB ", 64_000),
        ("1.5MB", 1_500_000),
        ("1e3B", 1000),
        ("512kbit", 64_000),
        ("1Mibit", 131_072),
        ("4bit", 0.5),
        (".5kB", 500),
    ],
)
def test_bytes(text: float | str, expected: float) -> None:
    assert stored_bytes(text) == expected
    if isinstance(text, str):
        assert stored_bits(text) == 8 * expected


def test_bits_and_operations() -> None:
    assert stored_bits(100) == 100
    assert [operations(text) for text in (5000, "5k", "2.5M", "7", "1.5G")] == [5000, 5000, 2.5e6, 7, 1.5e9]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("64KB", "with the unit 'KB', .*; write kB for 1,000 bytes, or KiB for 1,024"),
        ("64kib", "; write kB for 1,000 bytes, or KiB for 1,024"),
        ("64kb", "with the unit 'kb', .*; write kbit for bits, or kB for bytes"),
        ("64Mb", "; write Mbit for bits, or MB for bytes"),
        ("64b", "; write bit for bits, or B for bytes"),
        ("64mb", "; write mbit for bits|; did you mean"),
        ("64nJ", "with the unit 'nJ'"),
        ("64kbits", "; did you mean 'kbit'"),
        ("64", "a text without a unit; write the number alone"),
        ("0kB", "expected more than 0"),
        ("-1kB", "expected more than 0"),
        ("many", "expected more than 0: a number of bytes, or a text such as '64kB'"),
        ("1e999B", "expected more than 0"),
        (True, "expected more than 0"),
        (0, "expected more than 0"),
        (None, "expected more than 0"),
        ([1], "expected more than 0"),
    ],
)
def test_what_is_no_amount_of_bytes(text: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        stored_bytes(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("5kB", "with the unit 'kB', allowed: k, M, G, T; did you mean 'k'"),
        ("5Q", "with the unit 'Q'"),
        ("x", "expected"),
    ],
)
def test_what_is_no_number_of_operations(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        operations(text)
