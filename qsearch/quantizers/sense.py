"""Quantizers that compute, and that no search should choose: they train nothing, or cost what others do."""

from __future__ import annotations

from collections.abc import Iterator

from qsearch.quantizers.parameters import Value
from qsearch.quantizers.spec import QuantizerSpec

_LEAST, _GREATEST = -126, 127
"""Exponents of float32's normal numbers."""
_FIXED = ("quantized_bits", "quantized_linear", "quantized_relu", "quantized_ulaw", "quantized_hswish")
_ONE_LEVEL = ("quantized_tanh", "quantized_sigmoid", "quantized_ulaw")


MOST_PRICED = 64
"""Bits of the widest numbers whose operations have a price."""


def senseless(spec: QuantizerSpec, most_bits: int) -> str | None:
    """Why a search cannot want this quantizer, and what to write instead; None where it can."""
    given = spec.arguments
    bits, integer = given.get("bits"), given.get("integer")
    if isinstance(bits, int) and bits > most_bits:
        return f"{spec.name}: bits: found {bits}, allowed: 1 to {most_bits}"
    for name in ("alpha", "post_training_scale"):
        if any(number <= 0 for number in _numbers(given.get(name))):
            return (
                f"{spec.name}: {name} must be above 0, found {_text(given[name])}; a scale below 0 turns the signs of "
                "what is quantized and not those of gradients, so that training moves away from its aim"
            )
    noise = given.get("qnoise_factor")
    if isinstance(noise, int | float) and noise != 1:
        return (
            f"{spec.name}: qnoise_factor must be 1 in a search, found {noise:g}; numbers would stay between quantized "
            "and float, and would be priced as quantized"
        )
    if not given.get("use_ste", True):
        return (
            f"{spec.name}: use_ste=False has a gradient of zero everywhere, so that nothing before it would be "
            "trained; leave it out"
        )
    if spec.name in _FIXED and isinstance(bits, int) and isinstance(integer, int):
        least, most = _LEAST + bits, _GREATEST
        if not least <= integer <= most:
            return f"{spec.name}: integer: found {integer}, allowed with {bits} bits: {least} to {most} (float32)"
    if spec.name in _ONE_LEVEL and bits == 1 and given.get("symmetric"):
        return f"{spec.name}: 1 bit with symmetric has one level, whatever comes in; leave out symmetric"
    return None


def _numbers(value: Value) -> Iterator[float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _text(value: Value) -> str:
    return str(list(value)) if isinstance(value, tuple) else str(value)
