"""How much each quantizer costs alone: measured by forward passes through one model, and estimated from gradients."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.datasets import Source
from qsearch.errors import ConfigError
from qsearch.graph.walk import head_names
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.search.space import Choice, SearchSpace, Values
from qsearch.search.time_limits import NO_LIMIT, OutOfTimeError, TimeLimit, run_out
from qsearch.sensitivity.table import Alone, SensitivityTable, plan_dimensions, shown
from qsearch.training.execution import Execution
from qsearch.training.fit import Recipe, compile_model, evaluate
from qsearch.training.probed_model import ProbedModel, Tap
from qsearch.training.resizable import assign_all
from qsearch.training.shared_model import NotShareableError
from qsearch.training.statistics import (
    Batch,
    Calibrator,
    length_of,
    loss_of_one_answer,
    mixed_up,
    plain_loss,
    samples_in,
)

FISHER_SAMPLES = 64
"""Whose gradients are taken one by one."""
_KNOWS_SOMETHING = 0.01
"""Part of the loss that right labels must save."""
_ROUNDING = 1e-4
Told = Callable[[str], None]


class UntrainedError(ConfigError):
    """A model that knows nothing of the data: what quantizing costs it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A plan's model: with the reference's weights, and averages taken anew.

    Attributes:
        loss: per sample on the calibration set.
        metrics: on the set to select on, by name.
    """

    model: keras.Model
    loss: float
    metrics: Mapping[str, float]


class Measuring:
    """Measures plans of a space with the weights of a trained reference; nothing is trained.

    One model serves all of them (`ProbedModel`), which is traced once. Where a model cannot be shared, each plan has a
    model of its own, which takes longer and gives no estimate by Fisher information.

    Attributes:
        why_not_shared: None where one model serves all plans.
    """

    def __init__(self, reference: keras.Model, space: SearchSpace, recipe: Recipe, batches: Sequence[Batch]) -> None:
        self.reference, self.space, self.recipe, self.batches = reference, space, recipe, batches
        self.why_not_shared: str | None = None
        self._shared: ProbedModel | None = None
        self._calibrator: Calibrator | None = None
        try:
            self._shared = ProbedModel(reference, space)
            model = self._shared.model
            compiled = recipe.objective.compiled(head_names(model))
            model.compile(jit_compile=Execution.SHARED_JIT_COMPILE, **compiled)
            self._calibrator = Calibrator(model)
        except NotShareableError as error:
            self.why_not_shared = str(error)

    def loss(self, values: Values) -> float:
        """Per sample on the calibration set, averages taken anew; what has no value is left as in the reference.

        Infinite where it is no number.
        """
        if self._shared is None or self._calibrator is None:
            return _number(calibrated(self.reference, self.space.plan(values), self.recipe, self.batches)[1])
        self._shared.load_weights_of(values)
        return _number(self._calibrator(self.batches))

    def answer(self, values: Values, selection: Source) -> Answered:
        """The model of a plan, with its metrics on the set to select on.

        Args:
            values: of all dimensions.
        """
        plan = self.space.plan(values)
        if self._shared is None:
            model, loss = calibrated(self.reference, plan, self.recipe, self.batches)
            return Answered(model=model, loss=_number(loss), metrics=evaluate(model, selection, self.recipe))
        loss = self.loss(values)
        metrics = evaluate(self._shared.model, selection, self.recipe)
        model = apply_plan(self.reference, plan)
        assign_all(model.weights, self._shared.weights())
        return Answered(model=model, loss=loss, metrics=metrics)

    def table(self, told: Told = lambda line: None, limit: TimeLimit = NO_LIMIT) -> SensitivityTable:
        """Every option of every choice alone: the loss with it, less the loss with none.

            increase(d, o) = L(reference with d = o) − L(reference),  both with averages taken anew

        The model is traced once; an option of a quantizer is then a number that is set, and a width is other arrays.
        So the time is linear in the options of all choices.

        Raises:
            UntrainedError: right labels give the reference no lower loss than labels of other samples, or its answers
                are worse than their mean.
        """
        base = self.loss({})
        self._check_trained(base)
        estimated = self._fisher(told)
        parts = plan_dimensions(self.space)
        named = [one for one in self.space.dimensions if one.name in parts]
        measured: dict[str, list[float]] = {}
        for dimension in sorted(named, key=lambda one: one.name in self.space.widths):  # widths need other arrays
            if limit.is_over:
                raise OutOfTimeError(str(run_out(limit)), "while sensitivities were measured")
            measured[dimension.name] = [self._alone(dimension.name, option) - base for option in dimension.options]
            layers, part = parts[dimension.name]
            told(f"{', '.join(layers)}: {part}, {len(measured)} of {len(named)} choices measured")
        rows = [
            Alone(
                dimension=dimension.name,
                layers=parts[dimension.name][0],
                part=parts[dimension.name][1],
                option=shown(option),
                increase=increase,
                fisher=estimated.get((dimension.name, option)),
            )
            for dimension in named
            for option, increase in zip(dimension.options, measured[dimension.name], strict=True)
        ]
        return SensitivityTable(
            loss=base, samples=samples_in(self.batches), shared=self._shared is not None, rows=tuple(rows)
        )

    def _alone(self, dimension: str, option: Choice) -> float:
        """The loss with one option; the shared model has all others as they are."""
        if self._shared is None or self._calibrator is None or dimension in self.space.widths:
            return self.loss({dimension: option})
        self._shared.choose_option(dimension, option)
        found = _number(self._calibrator(self.batches))
        self._shared.choose_option(dimension, None)
        return found

    def _check_trained(self, base: float) -> None:
        if not math.isfinite(base):
            raise UntrainedError("the loss of the reference is no number on the calibration set; train it first")
        wrong, same = self._losses_without_knowledge()
        if wrong != base and wrong - base <= _KNOWS_SOMETHING * abs(wrong):
            other = f"{wrong:.4g} with those of other samples"
        elif base - same > _ROUNDING * abs(same):
            other = f"{same:.4g} were all of its answers their mean"
        else:
            return
        raise UntrainedError(
            f"the reference is not trained: its loss is {base:.4g} with the right labels, and {other}, so that nothing "
            "can be told of what quantizing costs it; train it (reference.epochs), or give the file of a trained model "
            "(model.path)"
        )

    def _losses_without_knowledge(self) -> tuple[float, float]:
        """Of the reference, per sample: (with labels of other samples, with the mean of its answers for each)."""
        batches = mixed_up(self.batches, 1)
        if self._shared is not None and self._calibrator is not None:
            model, wrong = self._shared.model, self._calibrator(batches)
        else:
            model, wrong = calibrated(self.reference, self.space.plan({}), self.recipe, batches)
        return _number(wrong), _number(loss_of_one_answer(model, self.batches))

    def _fisher(self, told: Told) -> dict[tuple[str, Choice], float]:
        """By dimension and option, what the Fisher information estimates; nothing for own models."""
        if self._shared is None:
            return {}
        self._shared.load_weights_of({})
        try:
            return fisher_estimates(self._shared, self.batches)
        except (ValueError, TypeError, tf.errors.OpError) as error:
            told(f"no estimate by Fisher information: {type(error).__name__}")
            return {}


def calibrated(
    source: keras.Model, plan: QuantizationPlan, recipe: Recipe, batches: Sequence[Batch]
) -> tuple[keras.Model, float]:
    """(the compiled model of a plan with the weights of another, its averages taken anew; its loss per sample).

    Nothing is trained. Narrower layers keep their strongest channels; see `transfer_weights`.
    """
    model = apply_plan(source, plan)
    transfer_weights(source, model)
    compile_model(model, recipe)
    return model, Calibrator(model, traced=False)(batches)


def fisher_estimates(
    shared: ProbedModel, batches: Sequence[Batch], samples: int = FISHER_SAMPLES
) -> dict[tuple[str, Choice], float]:
    """The increase of the loss that the diagonal of the empirical Fisher information expects, by dimension and option.

        ½ · E_n[ Σ_i (∂L_n/∂z_i)² · (Q(z_i) − z_i)² ]

    z are a layer's weights, or what its activation gives for sample n; L_n is the loss of that sample, E_n the mean
    over samples. It is the quadratic term of Taylor's series with the empirical Fisher diagonal in place of the
    Hessian's (HAWQ-V2, Dong et al. 2019, arXiv:1911.03852, has the Hessian's trace; FIT, Zandonati et al. 2022,
    arXiv:2210.08502, means of both factors in place of the sum of products). Where a quantizer has a scale for each
    channel, Q has it here too. Layers inside of a loop (recurrent cells) have none. Samples that a model fits to the
    last digit have no gradients, and estimates of them are near zero.

    Args:
        shared: with all choices left as they are.
        batches: of which the first samples are taken one by one.
    """
    named = {name: options for name, options in shared.options.items() if name in shared.indexes}
    dimensions: dict[str, str] = {}

    def step(batch: Batch) -> tuple[dict[str, Any], dict[str, Any]]:
        """(squared gradients of weights by place; estimates of activations, one for each option, by dimension)."""
        with tf.GradientTape() as tape, shared.tapped() as found:
            loss = plain_loss(shared.model, batch)
        gradients = tape.gradient(loss, [tap.made for tap in found])
        of_weights: defaultdict[str, Any] = defaultdict(float)
        of_activations: defaultdict[str, Any] = defaultdict(float)
        for tap, gradient in zip(found, gradients, strict=True):
            if gradient is None:
                continue
            gradient = tf.convert_to_tensor(gradient)
            if tap.is_weight:
                of_weights[tap.place] += gradient
            else:
                of_activations[tap.dimension] += tf.stack(
                    [0.5 * tf.reduce_sum(tf.square(gradient) * error) for error in _squared_errors(tap)]
                )
        return {place: tf.square(one) for place, one in of_weights.items()}, dict(of_activations)

    def errors(batch: Batch) -> dict[str, list[Any]]:
        """Of quantized weights, by place."""
        with shared.tapped() as found:
            shared.model(batch[0], training=False)
        dimensions.update({tap.place: tap.dimension for tap in found})
        return {tap.place: _squared_errors(tap) for tap in found if tap.is_weight}

    traced = tf.function(step, autograph=False)
    squares: defaultdict[str, Any] = defaultdict(float)
    totals: defaultdict[str, Any] = defaultdict(float)
    count = 0
    for one in _singly(batches, samples):
        of_weights, of_activations = traced(one)
        for place, value in of_weights.items():
            squares[place] += value
        for dimension, value in of_activations.items():
            totals[dimension] += value
        count += 1
    for place, found in tf.function(errors, autograph=False)(one).items():
        if place in squares:
            totals[dimensions[place]] += tf.stack([0.5 * tf.reduce_sum(squares[place] * error) for error in found])
    return {
        (name, option): float(value) / count
        for name, total in totals.items()
        for option, value in zip(named[name], numpy.asarray(total), strict=True)
    }


def _singly(batches: Sequence[Batch], samples: int) -> Iterator[Batch]:
    """The first samples, each as a batch."""
    places = ((batch, row) for batch in batches for row in range(length_of(batch)))
    for batch, row in itertools.islice(places, samples):
        yield keras.tree.map_structure(lambda array, at=row: array[at : at + 1], batch)


def _squared_errors(tap: Tap) -> list[Any]:
    """(Q(z) − z)² for each option."""
    as_it_is = tap.options[-1](tap.given)
    return [tf.square(option(tap.given) - as_it_is) for option in tap.options[:-1]]


def _number(value: float) -> float:
    return value if math.isfinite(value) else math.inf
