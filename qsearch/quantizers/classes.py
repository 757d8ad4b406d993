"""Every quantizer class, by its name."""

from __future__ import annotations

from collections.abc import Mapping

from qsearch.quantizers.activation_quantizers import (
    binary_sigmoid,
    binary_tanh,
    hard_sigmoid,
    hard_tanh,
    quantized_relu,
    quantized_sigmoid,
    quantized_tanh,
    quantized_ulaw,
    smooth_sigmoid,
    smooth_tanh,
)
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.fixed_quantizers import quantized_bits, quantized_hswish, quantized_linear
from qsearch.quantizers.power_quantizers import quantized_po2, quantized_relu_po2
from qsearch.quantizers.sign_quantizers import bernoulli, binary, stochastic_binary, stochastic_ternary, ternary

QUANTIZERS: Mapping[str, type[Quantizer]] = {
    kind.__name__: kind
    for kind in (
        quantized_bits,
        quantized_linear,
        quantized_relu,
        quantized_po2,
        quantized_relu_po2,
        binary,
        stochastic_binary,
        bernoulli,
        ternary,
        stochastic_ternary,
        quantized_ulaw,
        quantized_tanh,
        quantized_sigmoid,
        quantized_hswish,
        hard_sigmoid,
        hard_tanh,
        smooth_sigmoid,
        smooth_tanh,
        binary_sigmoid,
        binary_tanh,
    )
}
