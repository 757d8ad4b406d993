"""Random numbers of quantizers that draw: a stream for each, which its place decides and not what was traced."""

from __future__ import annotations

import random
from functools import partial
from typing import Any, Protocol

import tensorflow as tf

from qsearch.quantizers.arithmetic.tensors import Rounding, Tensor, round_half_away


class Seeds(Protocol):
    """Gives the seed of each call of a quantizer: two int64."""

    def next(self) -> Tensor: ...


class Stream:
    """(seed, number of the call), in a variable, so that a graph that is traced once goes on in it.

    Where nobody sets the seed, it is drawn from Python's generator when the first number is, as Keras' layers do it
    (`keras.utils.set_random_seed` makes it known).
    """

    def __init__(self) -> None:
        self._state: Any = None

    @property
    def variable(self) -> Any:
        """What holds it, once it has begun."""
        return self._state

    @property
    def place(self) -> tuple[int, int] | None:
        """The seed and the number of the next call; None before the first, where nobody set the seed."""
        if self._state is None:
            return None
        seed, calls = self._state.numpy()
        return int(seed), int(calls)

    def start(self, seed: int, calls: int = 0) -> None:
        """Begin anew, or go on after so many calls."""
        if self._state is None:
            with tf.init_scope():  # a variable outlives the function in which it happens to be made
                self._state = tf.Variable(
                    [seed, calls],
                    trainable=False,
                    dtype=tf.int64,
                    name="draws",
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
                )
        else:
            self._state.assign([seed, calls])

    def next(self) -> Tensor:
        if self._state is None:
            self.start(random.randint(1, 2**31 - 1))
        seed = tf.identity(self._state)
        self._state.assign_add([0, 1])
        return seed


class Given:
    """One seed for every call: for a call that is computed again."""

    def __init__(self, seed: Tensor) -> None:
        self._seed = seed

    def next(self) -> Tensor:
        return self._seed


class Uniform:
    """Numbers in [0, 1) of one call of a quantizer; what it asks for first has the same numbers in each repetition."""

    def __init__(self, seed: Tensor) -> None:
        self._seed, self._count = seed, 0

    def __call__(self, shape: Tensor) -> Tensor:
        seed = self._seed + tf.constant([self._count << 32, 0], tf.int64)
        self._count += 1
        return tf.random.stateless_uniform(shape, seed)


def rounding_of(mode: str | None, uniform: Uniform | None) -> Rounding:
    """How values meet the grid: at random, or to the nearest level with ties by `mode` (half_even where None)."""
    if uniform is not None:
        return partial(round_stochastically, uniform=uniform)
    return round_half_away if mode == "half_away" else tf.round


def round_stochastically(x: Tensor, uniform: Uniform) -> Tensor:
    """The whole number below x, or the one above with the probability of x's fraction; unbiased."""
    below = tf.floor(x)
    return below + tf.cast(uniform(tf.shape(x)) < x - below, tf.float32)
