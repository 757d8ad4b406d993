"""The weight of the cost in the loss of a mixed model: steered so that the expected cost follows a path.

    loss + w · |loss| · ln E[cost],   e = ln E[cost] - target(t),   w = max(0, k_p · e + ∫ k_i · e dt)

t goes from 0 to 1 over the training. The loss itself is the unit of the weight, so that a loss of any size is steered
alike. This is a proportional and integral control: the weight grows as long as the cost is above its target.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy
import tensorflow as tf

from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.sensitivity.expectation import Spread
from qsearch.training.gates import Probabilities

_PROPORTIONAL, _INTEGRAL = 1.0, 30.0
_GREATEST = 20.0
"""Weight."""
_COLDEST = 0.3
"""The temperature at the end; it begins with 1 and falls exponentially (Wu et al. 2018, arXiv:1812.00090)."""


class ExpectedCost:
    """E[cost] as a differentiable function of the probabilities of options; see `sensitivity.expectation`."""

    def __init__(self, spreads: Sequence[Spread], names: Sequence[str]) -> None:
        """
        Args:
            names: of the dimensions, by their number.
        """
        self._spreads, self._names = tuple(spreads), tuple(names)

    def __call__(self, probabilities: Probabilities) -> Tensor:
        """In the unit of the costs, float32, a scalar."""
        states, costs = tf.ones(1), []
        for spread in self._spreads:
            share = tf.gather(states, spread.before)
            for place, dimension in enumerate(spread.dimensions):
                share = share * tf.gather(probabilities(self._names[dimension]), spread.options[:, place])
            costs.append(tf.reduce_sum(share * tf.constant(spread.costs, tf.float32)))
            states = tf.math.unsorted_segment_sum(share, spread.after, spread.states)
        return tf.add_n(costs)


@dataclass(frozen=True)
class Path:
    """Targets of a cost over the time from 0 to 1: geometric between knots.

    Attributes:
        times: rising, from 0 to 1.
        costs: at these, above 0.
    """

    times: tuple[float, ...]
    costs: tuple[float, ...]

    @classmethod
    def to(cls, start: float, end: float, budget: float | None = None) -> Path:
        """From one cost to another; with a budget, at it in the middle of the time."""
        if budget is None or not end < budget < start:
            return cls((0.0, 1.0), (start, end))
        return cls((0.0, 0.5, 1.0), (start, budget, end))

    def at(self, time: float) -> float:
        return math.exp(float(numpy.interp(time, self.times, numpy.log(self.costs))))

    def logarithm(self, time: Tensor) -> Tensor:
        """ln of the target, as a sum of hinges."""
        slopes = numpy.diff(numpy.log(self.costs)) / numpy.diff(self.times)
        bends = zip(self.times[:-1], numpy.diff(slopes, prepend=0.0), strict=True)
        return math.log(self.costs[0]) + tf.add_n([float(bend) * tf.nn.relu(time - at) for at, bend in bends])


class Steering:
    """The state of the control.

    Attributes:
        seed: of the training, with the number of the step: what is drawn in it.
        variables: what a training that goes on needs.
    """

    def __init__(self, path: Path, steps: int) -> None:
        """
        Args:
            steps: of the whole training.
        """
        self.path, self.step = path, 1.0 / steps
        self.time: Any = tf.Variable(0.0, trainable=False, name="time")
        self.integral: Any = tf.Variable(0.0, trainable=False, name="integral")
        self.seed: Any = tf.Variable([0, 0], trainable=False, dtype=tf.int64, name="seed_and_step")
        self.variables = [self.time, self.integral, self.seed]

    @property
    def temperature(self) -> Tensor:
        return tf.pow(_COLDEST, self.time)

    def weight(self, cost: Tensor) -> Tensor:
        """Of ln E[cost], in this step, after which time has gone on."""
        error = tf.math.log(cost) - self.path.logarithm(tf.convert_to_tensor(self.time))
        self.integral.assign(tf.clip_by_value(self.integral + _INTEGRAL * self.step * error, 0.0, _GREATEST))
        self.seed.assign_add([0, 1])
        self.time.assign(tf.minimum(self.time + self.step, 1.0))
        return tf.clip_by_value(self.integral + _PROPORTIONAL * error, 0.0, _GREATEST)
