"""One Keras model of all plans at once: every quantizer is the mean of its options, every width a gate.

The model is the widest of the space. Of each dimension it has logits, whose softmax says how likely each option is. The
mean of quantized weights is taken before a layer computes, so that a layer computes once (Cai and Vasconcelos 2020,
arXiv:2004.05795).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.errors import layer_of, reason_of
from qsearch.layers.constraints import Clip, clip_for
from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.nested import NestedWeights, taken
from qsearch.quantizers.arithmetic.tensors import Tensor
from qsearch.quantizers.mixed import Mixed
from qsearch.search.space import LEARNING_RATE, Choice, SearchSpace, Values
from qsearch.training.gates import gate_inputs
from qsearch.training.shared_model import NotShareableError, flat, install, sample

_NEAR = 1e-3
"""Of sums in another order, against their size."""


class MixedModel:
    """The model of all plans, and what it is a mixture of.

    Attributes:
        model: the Keras model; its weights are those of the widest plan.
        logits: by dimension, of each option; float32 variables.
        temperature: of the mixture; the colder, the more one option of each dimension counts alone.

    Raises:
        NotShareableError: something cannot be mixed; the message names it.
    """

    def __init__(self, reference: keras.Model, space: SearchSpace) -> None:
        if tf.distribute.has_strategy():
            raise NotShareableError("it would be trained on several devices")
        self.space = space
        self.options = {one.name: one.options for one in space.dimensions if one.name != LEARNING_RATE}
        self._noise: dict[str, Tensor] = {}
        self.temperature = tf.Variable(1.0, trainable=False, name="temperature")
        self.logits = {
            name: keras.Variable(numpy.zeros(len(many), numpy.float32), name=f"logits_{number}")
            for number, (name, many) in enumerate(self.options.items())
        }
        self.model = apply_plan(reference, space.plan(space.at_widths(max)))
        if type(self.model).train_step is not keras.Model.train_step:
            raise NotShareableError(f"{type(self.model).__name__} has a train_step of its own")
        install(
            self.model,
            space,
            lambda options, dimension, layer, role: Mixed(options, partial(self.shares, dimension)),
            _clip,
        )
        gate_inputs(self.model, space, self.shares)
        _check_gates(reference, space)
        self._check(reference)

    def probabilities(self, dimension: str) -> Tensor:
        """softmax(logits), of a dimension's options: how likely each is."""
        return tf.nn.softmax(tf.convert_to_tensor(self.logits[dimension]))

    def shares(self, dimension: str) -> Tensor:
        """What each option counts in the mixture: softmax((logits + noise) / temperature)."""
        logits = tf.convert_to_tensor(self.logits[dimension])
        return tf.nn.softmax((logits + self._noise.get(dimension, 0.0)) / self.temperature)

    @contextmanager
    def drawn(self, seed: Tensor) -> Iterator[None]:
        """With noise of the Gumbel distribution, so that an option leads as often as it is likely.

        (The Gumbel-softmax: Jang et al. 2017, arXiv:1611.01144.)

        Args:
            seed: two whole numbers, of a step.
        """
        for number, (name, options) in enumerate(self.options.items()):
            uniform = tf.random.stateless_uniform(
                [len(options)], tf.identity(seed) + tf.constant([number << 32, 0], tf.int64), 1e-7, 1.0
            )
            self._noise[name] = -tf.math.log(-tf.math.log(uniform))
        try:
            yield
        finally:
            self._noise = {}

    def start(self, logits: Mapping[str, Sequence[float]]) -> None:
        """Have these logits."""
        for name, variable in self.logits.items():
            variable.assign(logits[name])

    def choose(self, values: Values) -> None:
        """Be sure of an option of each dimension."""
        for name, options in self.options.items():
            self.logits[name].assign([0.0 if option == values[name] else -1e4 for option in options])

    def _check(self, reference: keras.Model) -> None:
        """Hold the outputs against those of an ordinary model, where there is no doubt about options."""
        given = _samples(self.model)
        values = self.space.at_widths(max)
        ordinary = apply_plan(reference, self.space.plan(values))
        ordinary.set_weights(self.model.get_weights())
        self.choose(values)
        try:
            with tf.GradientTape() as tape:
                outputs = tf.function(self.model, autograph=False)(given, training=True)
                size = tf.add_n([tf.reduce_sum(tf.cast(one, tf.float32)) for one in keras.tree.flatten(outputs)])
            tape.gradient(size, self.model.trainable_variables)
            self.model.set_weights(ordinary.get_weights())
            alike = _alike(self.model(given), ordinary(given))
        except Exception as error:  # whatever a layer cannot do with what is mixed
            place = layer_of(error)
            raise NotShareableError(f"{place + ': ' if place else ''}{reason_of(error)}") from None
        if not alike:
            raise NotShareableError("it computes something else where options are mixed")
        self.start({name: [0.0] * len(options) for name, options in self.options.items()})


def _clip(in_use: Mixed) -> Clip:
    """Where any of the options can follow: how likely they are changes."""
    bounds = [clip_for(option) for option in in_use.options]
    return Clip(min(one.min_value for one in bounds), max(one.max_value for one in bounds))


def _check_gates(reference: keras.Model, space: SearchSpace) -> None:
    """Hold a gated model without quantizers against the narrow one that its gates mean."""
    if not space.widths:
        return
    widest, narrowest = space.at_widths(max), space.at_widths(min)
    rng = numpy.random.default_rng(0)
    wide, narrow = (_unquantized(reference, space, values) for values in (widest, narrowest))
    wide.set_weights([rng.uniform(0.05, 0.15, weight.shape) * rng.choice([-1, 1]) for weight in wide.get_weights()])
    for layer in wide._flatten_layers(include_self=False):
        if hasattr(layer, "moving_variance"):
            layer.moving_variance.assign(keras.ops.ones_like(layer.moving_variance))
    parts = NestedWeights(wide).parts(_widths_of(space, narrowest))
    narrow.set_weights([taken(array, part) for array, part in zip(wide.get_weights(), parts, strict=True)])
    given = _samples(wide)
    options = {one.name: one.options for one in space.dimensions}

    def chosen(dimension: str) -> Tensor:
        return tf.constant([1.0 if one == narrowest[dimension] else 0.0 for one in options[dimension]])

    gate_inputs(wide, space, chosen)
    try:
        alike = _alike(wide(given), narrow(given))
    except Exception as error:  # whatever a layer cannot do with a gated input
        place = layer_of(error)
        raise NotShareableError(f"{place + ': ' if place else ''}{reason_of(error)}") from None
    if not alike:
        raise NotShareableError(
            "channels that are closed still count: something mixes channels without weights of its own"
        )


def _widths_of(space: SearchSpace, values: Mapping[str, Choice]) -> QuantizationPlan:
    """The widths of a plan, and none of its quantizers."""
    layers = space.plan(values).layers.items()
    return QuantizationPlan({name: LayerPlan(filters=plan.filters) for name, plan in layers if plan.filters})


def _unquantized(reference: keras.Model, space: SearchSpace, values: Mapping[str, Choice]) -> keras.Model:
    return apply_plan(reference, _widths_of(space, values))


def _samples(model: keras.Model) -> Any:
    inputs = [sample(tensor) for tensor in model.inputs]
    return inputs if len(inputs) > 1 else inputs[0]


def _alike(found: Any, expected: Any) -> bool:
    pairs = zip(flat(found), flat(expected), strict=True)
    return all(numpy.allclose(one, other, rtol=_NEAR, atol=_NEAR, equal_nan=True) for one, other in pairs)
