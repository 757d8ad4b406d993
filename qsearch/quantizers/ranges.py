"""Every level of a quantizer on a fixed grid."""

from __future__ import annotations

from collections.abc import Callable

import numpy
import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.quantizers.spec import QuantizerSpec

_MOST_BITS = 24
"""More levels than float32 tells apart."""


def levels(spec: QuantizerSpec, step: Tensor, reach: float, quantized: Callable[[Tensor], Tensor]) -> numpy.ndarray:
    """The levels in the order of two's complement codes: from 0 up, then from the lowest up to below 0; float32.

    Args:
        step: the distance of neighbouring levels.
        reach: no level is further from 0.
        quantized: x on the levels.

    Raises:
        ConfigError: levels that depend on the input or the channel, or too many to list.
    """
    alpha, bits = spec.arguments.get("alpha"), spec.arguments["bits"]
    if isinstance(alpha, str | tuple):
        why = "the input" if isinstance(alpha, str) else "the channel"
        raise ConfigError(f"{spec}: its levels depend on {why}; ask for range() with alpha=1.0")
    if not isinstance(bits, int) or bits > _MOST_BITS:
        raise ConfigError(f"{spec}: bits: found {bits}, range() lists the levels of at most {_MOST_BITS}")
    size = float(step)
    count = int(numpy.ceil(reach / size)) + 1
    points = tf.constant(numpy.arange(-count, count + 1) * size, tf.float32)
    values = numpy.unique(numpy.asarray(quantized(points))) + 0.0  # no -0
    return numpy.concatenate([values[values >= 0], values[values < 0]])
