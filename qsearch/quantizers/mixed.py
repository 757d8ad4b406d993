"""A quantizer that is the mean of several, weighted by probabilities that are learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from qsearch.quantizers.arithmetic.draws import Given, Stream
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.quantizers.base import Quantizer


class Mixed(Quantizer):
    """y = Σ_k p_k q_k(x): one tensor of mixed levels, so that a layer computes once, whatever the number of options.

    The gradient of p_k is the sum of what arrives, times q_k(x). (Wu et al. 2018, arXiv:1812.00090, mix what layers
    compute; Cai and Vasconcelos 2020, arXiv:2004.05795, what they compute with, as here.)

    Args:
        options: ordinary quantizers, as layers use them.
        probabilities: gives (len(options),) float32; asked anew in every call.
    """

    def __init__(self, options: Sequence[Quantizer], probabilities: Callable[[], Tensor]) -> None:
        self.options, self.probabilities = tuple(options), probabilities
        self._spec = self.options[0].spec
        self.seeds = Stream() if any(option.seeds is not None for option in self.options) else None

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = tf.convert_to_tensor(x)
        seed = self.seeds.next() if training and self.seeds is not None else tf.zeros(2, tf.int64)
        made = [option.drawing_by(Given(seed))(x, training=training) for option in self.options]
        if len(made) == 1:
            return made[0]
        shares = tf.unstack(tf.cast(self.probabilities(), x.dtype), num=len(made))
        return tf.add_n([share * part for share, part in zip(shares, made, strict=True)])

    def for_weights(self) -> Mixed:
        return Mixed([option.for_weights() for option in self.options], self.probabilities)

    def max(self) -> float:
        return max(option.max() for option in self.options)

    def min(self) -> float:
        return min(option.min() for option in self.options)
