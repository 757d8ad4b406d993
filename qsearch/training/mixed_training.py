"""Training of a mixed model: weights and the probabilities of options together, the expected cost along a path.

In each step weights and logits follow the gradient of one loss (Cai and Vasconcelos 2020, arXiv:2004.05795), the
weights by the recipe's optimizer, the logits by Adam. Options count in it as a Gumbel-softmax draws them (Wu et al.
2018, arXiv:1812.00090), so that the weights meet nearly whole plans, and are of use to them. While the target of the
cost falls, plans are taken at points of the path: the most likely ones below the target, each with its part of the
weights that there are then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.datasets import Dataset
from qsearch.energy.batch import PlanPricer
from qsearch.graph.walk import head_names
from qsearch.search.encoding import groups, size
from qsearch.search.space import Choice, SearchSpace
from qsearch.search.time_limits import Deadlines
from qsearch.sensitivity.expectation import Spread, least_cost, spreads
from qsearch.sensitivity.likely import likely
from qsearch.sensitivity.problem import HUNDREDTHS, Problem, cost_problem
from qsearch.sensitivity.table import plan_dimensions
from qsearch.training.batches import Feeds
from qsearch.training.epochs import DivergedError, EpochEnded
from qsearch.training.execution import Execution
from qsearch.training.fit import Recipe, optimizer_of
from qsearch.training.mixed_model import MixedModel
from qsearch.training.progress import Progress, ProgressFile, draws_of, restore_draws
from qsearch.training.resizable import assign_all
from qsearch.training.seeds import seed_all, seed_quantizers
from qsearch.training.steering import ExpectedCost, Path, Steering
from qsearch.training.stepwise import EpochEnds, fit_epochs

_TILT = 3.0
"""By how much the logit of a dimension's largest option is above that of the smallest at the start."""
_MOVE = 30.0
"""How far Adam can take a logit in the whole training: its rate is this by the steps, inside of the bounds."""
_RATES = (1e-3, 0.1)
_UNKNOWN_STEPS = 100
"""Of an epoch, where the data do not tell."""
_BELOW = 0.7
"""The part of a budget down to which plans are taken."""


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A mixed model and the energy of its space.

    Attributes:
        problem: the energy, a term for each call of a layer, in hundredths of a pJ.
        names: of the problem's dimensions.
        spreads: what each term can come to.
    """

    mixed: MixedModel
    problem: Problem
    names: tuple[str, ...]
    spreads: tuple[Spread, ...]

    @classmethod
    def of(cls, reference: keras.Model, space: SearchSpace, pricer: PlanPricer) -> Mixture:
        """Of a space.

        Raises:
            NotShareableError: something cannot be mixed.
            NoExpectationError: the expected energy cannot be had.
        """
        parts = plan_dimensions(space)
        nothing = {one.name: dict.fromkeys(one.options, 0.0) for one in space.dimensions if one.name in parts}
        problem, names, _ = cost_problem(space, pricer, nothing)
        return cls(mixed=MixedModel(reference, space), problem=problem, names=names, spreads=tuple(spreads(problem)))


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A plan that was taken on the way.

    Attributes:
        values: what it chooses, by dimension of the mixed model.
        weights: its part of the weights that there were.
    """

    values: Mapping[str, Choice]
    weights: Sequence[Any]


class MixedTraining:
    """Trains a mixed model, and takes plans from it.

    Attributes:
        taken: so far, in order; no plan twice, the later one counts.
    """

    def __init__(
        self,
        mixture: Mixture,
        recipe: Recipe,
        steps: int | None,
        points: int,
        part: Callable[[Mapping[str, Choice], Sequence[Any]], list[Any]],
        budget: float | None = None,
    ) -> None:
        """
        Args:
            steps: of an epoch.
            points: of the path, at which plans are taken.
            part: of values and of the weights of the model, the weights of their plan.
            budget: what plans may cost at most, in hundredths of a pJ; None: the whole range is gone through.
        """
        mixed = self.mixed = mixture.mixed
        self.model, self.recipe, self._part = mixed.model, recipe, part
        self._problem, self._names = mixture.problem, mixture.names
        mixed.temperature.assign(1.0)
        mixed.start(tilted(mixed.space))
        self.cost = ExpectedCost(mixture.spreads, self._names)
        start, least = float(self.cost(mixed.probabilities)), max(least_cost(mixture.spreads), 1.0)
        most = start if budget is None else min(budget, start)
        end = least if budget is None else max(least, _BELOW * most)
        self.path = Path.to(max(start, end), end, budget)
        self.budget = budget
        first = 0.0 if len(self.path.times) == 2 else self.path.times[1]
        self._times = numpy.linspace(first, 1.0, points + 1)[1:]
        every = (steps or _UNKNOWN_STEPS) * recipe.epochs
        self.steering = Steering(self.path, every)
        self._mean = keras.metrics.Mean("loss")
        self.model.compile(
            optimizer=optimizer_of(self.model, recipe, steps),
            jit_compile=Execution.SHARED_JIT_COMPILE,
            **recipe.objective.compiled(head_names(self.model)),
        )
        self.model.train_step = self._step
        self._logits = list(mixed.logits.values())
        self._chooser = keras.optimizers.Adam(min(max(_MOVE / every, _RATES[0]), _RATES[1]))
        self.model.optimizer.build(self.model.trainable_variables)
        self._chooser.build(self._logits)
        self.taken: list[Taken] = []

    def train(
        self,
        data: Dataset,
        seed: int,
        epoch_ended: EpochEnded,
        feeds: Feeds,
        deadlines: Deadlines,
        progress: ProgressFile | None = None,
    ) -> None:
        """Train for the recipe's epochs.

        Args:
            progress: where it is saved how far it is, and where it goes on from if it was begun before.

        Raises:
            OutOfTimeError: a deadline has passed.
            DivergedError: weights are not finite any more.
        """
        seed_all(seed)
        seed_quantizers(self.model, seed)
        self.steering.seed.assign([seed, 0])
        begun = None if progress is None else progress.read()
        if begun is not None:
            self._restore(begun)
        first = 0 if begun is None else begun.epoch
        epochs = self.recipe.epochs
        callbacks = [_Takes(self), EpochEnds(self.progress, epochs, epoch_ended, progress)]
        fit_epochs(self.model, data, self.recipe, seed, first, callbacks, feeds, deadlines)
        if not all(numpy.isfinite(array).all() for array in self.model.get_weights()):
            raise DivergedError("the training of the mixed model diverged: its weights are not finite any more", True)

    @tf.autograph.experimental.do_not_convert  # type: ignore[untyped-decorator]
    def _step(self, data: Any) -> dict[str, Any]:
        """One step of Keras' `fit`."""
        model, mixed = self.model, self.mixed
        x, y, weights = keras.utils.unpack_x_y_sample_weight(data)
        mixed.temperature.assign(self.steering.temperature)
        variables = [variable.value for variable in (*model.trainable_variables, *self._logits)]
        with tf.GradientTape() as tape:
            with mixed.drawn(self.steering.seed):
                outputs = model(x, training=True)
            loss = model.compute_loss(x=x, y=y, y_pred=outputs, sample_weight=weights, training=True)
            cost = self.cost(mixed.probabilities)
            unit = self.steering.weight(cost) * tf.stop_gradient(tf.abs(loss))
            steered = loss + tf.stop_gradient(unit) * tf.cast(tf.math.log(cost), loss.dtype)
        gradients = tape.gradient(steered, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        count = len(model.trainable_variables)
        model.optimizer.apply(gradients[:count], model.trainable_variables)
        self._chooser.apply(gradients[count:], self._logits)
        self._mean.update_state(loss)
        metrics = model.compute_metrics(x, y, outputs, weights)
        return {**metrics, "loss": self._mean.result(), "expected_energy": cost / HUNDREDTHS}

    def take(self, before: float, now: float) -> None:
        """The most likely plans at the points of the path between two times."""
        times = [time for time in self._times if before + 1e-9 < time <= now + 1e-9]
        if not times:
            return
        probabilities = [self.mixed.probabilities(name).numpy().tolist() for name in self._names]
        trade_off, arrays = likely(self._problem, probabilities), self.model.get_weights()
        for time in times:
            most = self.path.at(time)
            chosen = trade_off.within(most if self.budget is None else min(most, self.budget))
            if chosen is not None:
                options = zip(self._names, chosen, strict=True)
                self._add({name: self.mixed.options[name][option] for name, option in options}, arrays)

    def _add(self, values: Mapping[str, Choice], arrays: Sequence[Any]) -> None:
        self.taken = [one for one in self.taken if one.values != values]
        self.taken.append(Taken(values=values, weights=self._part(values, arrays)))

    def of(self, values: Mapping[str, Choice]) -> Taken:
        """A plan, with its part of the weights that there are now."""
        return Taken(values=values, weights=self._part(values, self.model.get_weights()))

    def progress(self, epoch: int, ended: bool) -> Progress:
        """How far it is."""
        every = (*self.model.variables, *self._logits, *self.steering.variables)
        options = self.mixed.options
        return Progress(
            epoch=epoch,
            ended=ended,
            variables=[numpy.asarray(one) for one in every],
            optimizer=[numpy.asarray(one) for one in (*self.model.optimizer.variables, *self._chooser.variables)],
            best=[array for one in self.taken for array in one.weights],
            facts={
                **draws_of(self.model),
                "taken": [[options[name].index(one.values[name]) for name in self._names] for one in self.taken],
            },
        )

    def _restore(self, begun: Progress) -> None:
        assign_all([*self.model.variables, *self._logits, *self.steering.variables], begun.variables)
        assign_all([*self.model.optimizer.variables, *self._chooser.variables], begun.optimizer)
        restore_draws(self.model, begun.facts)
        chosen = begun.facts["taken"]
        count = len(begun.best) // len(chosen) if chosen else 0
        self.taken = [
            Taken(
                values={name: self.mixed.options[name][option] for name, option in zip(self._names, one, strict=True)},
                weights=begun.best[place * count : (place + 1) * count],
            )
            for place, one in enumerate(chosen)
        ]


class _Takes(keras.callbacks.Callback):  # type: ignore[misc]
    """Takes plans when an epoch ends, in which time has gone on by the same share, however many steps it has."""

    def __init__(self, training: MixedTraining) -> None:
        super().__init__()
        self.training = training

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.training._mean.reset_state()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        training, epochs = self.training, self.training.recipe.epochs
        training.steering.time.assign((epoch + 1) / epochs)
        training.take(epoch / epochs, (epoch + 1) / epochs)


def tilted(space: SearchSpace) -> dict[str, list[float]]:
    """Logits that prefer large options, by the rank of their size, so that training begins with dear plans."""
    kinds = groups(space)
    found = {}
    for dimension in space.dimensions:
        sizes = [size(kinds[dimension.name], option) for option in dimension.options]
        ranks = [sum(other < one for other in set(sizes)) for one in sizes]
        found[dimension.name] = [_TILT * rank / max(1, max(ranks)) for rank in ranks]
    return found
