"""A quantizer that is one of several, chosen at run time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import tensorflow as tf

from qsearch.quantizers.arithmetic.draws import Given, Stream
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.quantizers.base import Quantizer

Branch = Callable[[Tensor, Tensor], Tensor]
"""Of what is quantized, and a seed."""


class Switched(Quantizer):
    """options[index](x): what the chosen quantizer computes, and its gradient. Choosing another traces nothing.

    Args:
        options: ordinary quantizers, as layers use them.
        index: of the one that counts, a scalar int32 variable that several may share.
    """

    def __init__(self, options: Sequence[Quantizer], index: Any) -> None:
        self.options, self.index = tuple(options), index
        self._spec = self.options[0].spec
        self.seeds = Stream() if any(option.seeds is not None for option in self.options) else None

    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        x = tf.convert_to_tensor(x)
        # read here, as the numbers of a branch are needed again for its gradient
        seed = self.seeds.next() if training and self.seeds is not None else tf.zeros(2, tf.int64)
        if len(self.options) == 1:
            return self.options[0].drawing_by(Given(seed))(x, training=training)
        chosen = tf.convert_to_tensor(self.index)
        return tf.ensure_shape(self._function(len(x.shape), x.dtype, bool(training))(x, chosen, seed), x.shape)

    def _function(self, rank: int, dtype: Any, training: bool) -> Any:
        # a quantizer with a variable is no other one's equal
        own = tuple(id(one) for one in self.options if getattr(one, "can_change", False))
        return _traced(self.options, own, rank, dtype, training)

    def for_weights(self) -> Switched:
        return Switched([option.for_weights() for option in self.options], self.index)

    def max(self) -> float:
        return max(option.max() for option in self.options)

    def min(self) -> float:
        return min(option.min() for option in self.options)


@lru_cache(maxsize=512)
def _traced(options: tuple[Quantizer, ...], own: tuple[int, ...], rank: int, dtype: Any, training: bool) -> Any:
    """One traced function serves all layers that choose between the same quantizers."""
    signature = [tf.TensorSpec([None] * rank, dtype), tf.TensorSpec((), tf.int32), tf.TensorSpec(2, tf.int64)]
    branches = [_branch(option, training) for option in options]
    return tf.function(_switch(branches), input_signature=signature, autograph=False)


def _branch(quantizer: Quantizer, training: bool) -> Branch:
    return lambda x, seed: quantizer.drawing_by(Given(seed))(x, training=training)


def _switch(branches: Sequence[Branch]) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """One of the branches, forward and backward: TensorFlow's own gradient of a switch would keep what all compute."""

    def switched(x: Tensor, index: Tensor, seed: Tensor) -> Tensor:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def forward(v: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
            def backward(upstream: Tensor) -> Tensor:
                return tf.switch_case(index, [_gradient(branch, v, seed, upstream) for branch in branches])

            return tf.switch_case(index, [_called(branch, v, seed) for branch in branches]), backward

        return forward(x)

    return switched


def _called(branch: Branch, x: Tensor, seed: Tensor) -> Callable[[], Tensor]:
    return lambda: branch(x, seed)


def _gradient(branch: Branch, x: Tensor, seed: Tensor, upstream: Tensor) -> Callable[[], Tensor]:
    def gradient() -> Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = branch(x, seed)
        return tape.gradient(y, x, upstream, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    return gradient
