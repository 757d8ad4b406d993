"""Which quantizer computes which activation function. No Keras here."""

from __future__ import annotations

from collections.abc import Mapping

from qsearch.quantizers.spec import QuantizerSpec

_QUANTIZED: Mapping[str, str] = {
    "relu": "quantized_relu",
    "tanh": "quantized_tanh",
    "sigmoid": "quantized_sigmoid",
}
_OWN_FUNCTION: Mapping[str, str] = {"quantized_tanh": "tanh", "quantized_sigmoid": "sigmoid"}


def automatic(function: str, bits: int) -> QuantizerSpec | None:
    """The quantized form of an activation function, or None where it has none (linear, softmax, elu, ...)."""
    name = _QUANTIZED.get(function)
    return None if name is None else QuantizerSpec(name, (bits,))


def computes(spec: QuantizerSpec, function: str) -> bool:
    """Whether a quantizer may stand for an activation function.

    quantized_tanh and quantized_sigmoid compute their own function; every other quantizer
    stands for relu, as in the seed's quantization_config.
    """
    return _OWN_FUNCTION.get(spec.name, "relu") == function
