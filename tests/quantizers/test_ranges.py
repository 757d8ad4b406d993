"""range(): every level, in the order of codes."""

from __future__ import annotations

from typing import Any

import pytest

from qsearch.errors import ConfigError
from qsearch.quantizers import get


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # As QKeras 0.9 and qkeras-v3 list them.
        ("quantized_bits(2,0,0)", [0.0, 0.5, -1.0, -0.5]),
        ("quantized_relu(3,1)", [0.25 * code for code in range(8)]),
        ("quantized_linear(3,1)", [0.0, 0.5, 1.0, 1.5, -1.5, -1.0, -0.5]),
        # These they refuse, or give another list than the quantizer's levels.
        ("quantized_bits(3,0,1,alpha=0.5)", [0.0, 0.125, 0.25, 0.375, -0.375, -0.25, -0.125]),
        ("quantized_bits(2,1,0,0)", [0.0, 0.5, 1.0, 1.5]),
        ("quantized_relu(3,0,negative_slope=0.25)", [0.0, 0.25, 0.5, 0.75, -0.25]),
        ("quantized_bits(1)", [1.0, -1.0]),
    ],
)
def test_levels(text: str, expected: list[float]) -> None:
    quantizer: Any = get(text)
    assert quantizer.range().tolist() == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quantized_bits(4,alpha='auto')", "its levels depend on the input; ask for range\\(\\) with alpha=1.0"),
        ("quantized_bits(4,alpha=[1.0,2.0])", "its levels depend on the channel"),
        ("quantized_relu(30)", "bits: found 30, range\\(\\) lists the levels of at most 24"),
    ],
)
def test_levels_that_cannot_be_listed(text: str, message: str) -> None:
    quantizer: Any = get(text)
    with pytest.raises(ConfigError, match=message):
        quantizer.range()
