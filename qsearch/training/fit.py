"""Training one model: the reference, a trial, or the winner at the end. Everything of Keras' fit is here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.config.optimizers import OptimizerConfig
from qsearch.datasets import Dataset, Source
from qsearch.datasets.dataset import Split
from qsearch.datasets.memory import shared
from qsearch.datasets.trouble import feeding, surfaced
from qsearch.errors import ConfigError, ModelError, QsearchError, layer_of, plain, raised_here, told
from qsearch.goal.target import Target
from qsearch.graph.walk import head_names
from qsearch.search.time_limits import Deadlines
from qsearch.search.trials import Trained
from qsearch.training.augmentation import Augmentation
from qsearch.training.augmented import augmented
from qsearch.training.averages import Averages
from qsearch.training.batches import Feeds, take_steps
from qsearch.training.deadlines import Clock
from qsearch.training.epochs import BestEpoch, EndsWithoutLoss, EpochEnded, Patience
from qsearch.training.execution import Execution
from qsearch.training.first_trace import make_variables
from qsearch.training.objective import Objective
from qsearch.training.progress import ProgressFile, ProgressSaver
from qsearch.training.rates import variable_factors, with_factors
from qsearch.training.repeatable import batches_repeat
from qsearch.training.resizable import assign_all
from qsearch.training.schedules import RateSchedule, state_of
from qsearch.training.seeds import seed_all, seed_quantizers


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is compiled and trained.

    Attributes:
        target: the metric that decides which epoch is the best.
        epochs: number of the last epoch.
        patience: epochs without a lower `val_loss` after which training stops; None trains them all.
        from_start: the weights before training count as epoch 0, so that training never makes the model worse.
        schedule: how the learning rate changes (cosine: Loshchilov and Hutter 2017, arXiv:1608.03983).
        first_epoch: epochs that were trained before.
        rates: by layer, the factor of its learning rate; 1 for those that are not named.
        augment: what is done to training samples; None: nothing.
        macs: multiply-accumulates of a sample, which decide how many steps are one call.
        execution: what a GPU may turn.
    """

    optimizer: OptimizerConfig
    objective: Objective
    target: Target
    epochs: int
    batch_size: int
    patience: int | None = None
    from_start: bool = False
    schedule: RateSchedule = field(default_factory=RateSchedule)
    first_epoch: int = 0
    rates: Mapping[str, float] = field(default_factory=dict)
    augment: Augmentation | None = None
    macs: int = 0
    execution: Execution = field(default_factory=Execution)

    @property
    def identity(self) -> dict[str, Any]:
        """What decides how a given model is trained on given data, but for its objective, as text and numbers."""
        return {
            "optimizer": repr(self.optimizer),
            "schedule": repr(self.schedule),
            "rates": dict(self.rates),
            "epochs": [self.first_epoch, self.epochs],
            "batch_size": self.batch_size,
            "patience": self.patience,
            "from_start": self.from_start,
        }


@dataclass(frozen=True)
class TrainingState:
    """Where training stopped, to go on from there: all weights, the optimizer's variables, the schedule's state."""

    weights: list[Any]
    optimizer: list[Any]
    schedule: Mapping[str, float] = field(default_factory=dict)


def early_stopping_patience(epochs: int) -> int:
    """AutoQKeras' patience: min(20, epochs // 5)."""
    return min(20, epochs // 5)


def train(
    model: keras.Model,
    data: Dataset,
    recipe: Recipe,
    seed: int,
    epoch_ended: EpochEnded,
    state: TrainingState | None = None,
    stop: Callable[[list[float]], str | None] | None = None,
    compiled: bool = False,
    feeds: Feeds | None = None,
    deadlines: Deadlines | None = None,
    progress: ProgressFile | None = None,
) -> tuple[Trained, TrainingState]:
    """Compile and train `model`, and leave it with the weights of its best epoch on the selection set.

    The best epoch has the best target metric; of equal ones, the lowest loss.

    Args:
        state: go on from here; else from the model's own weights and a fresh optimizer.
        stop: given the target metric after every epoch, why to stop, or None.
        compiled: whether the model is compiled for this already, and stays so.
        feeds: the pipelines of trainings before, on the same data.
        deadlines: until when.
        progress: where it is saved how far this training is, and from where it goes on if it was begun before.

    Returns:
        What training came to, and where it stopped.

    Raises:
        DivergedError: no epoch had a finite metric.
        OutOfTimeError, TrialTimeoutError: a deadline has passed.
    """
    if compiled:
        seed_all(seed)
    else:
        compile_model(model, recipe, data.train.steps(recipe.batch_size))
        keras.utils.set_random_seed(seed)
    seed_quantizers(model, seed)
    feeds = Feeds() if feeds is None else feeds
    batches = feeds.training(data.train, recipe.batch_size) if recipe.augment is None else None
    call = 1
    if batches is not None and single_steps_for(data.train, recipe) is None:
        call = recipe.execution.steps_of_call(batches.steps, recipe.batch_size, recipe.macs)
    take_steps(model, call)
    if progress is not None:
        repeats = batches_repeat(data, recipe.augment) and not tf.distribute.has_strategy()
        progress = progress.of(recipe=recipe.identity, seed=seed) if repeats else None
    begun = None if progress is None else progress.read()
    if state is not None or begun is not None:
        model.optimizer.build(model.trainable_variables)
    if begun is not None and not begun.fits(model):
        begun = None
    if state is not None and begun is None:
        assign_all(model.weights, state.weights)
        assign_all(model.optimizer.variables, state.optimizer)
    whole_set = recipe.objective.whole_set
    more = None if whole_set is None else lambda: whole_set.values(model, data.selection, _large(recipe))
    keeper = BestEpoch(recipe.target, recipe.epochs, epoch_ended, stop, more)
    keeper.set_model(model)
    if begun is not None:
        keeper.go_on(begun.facts["best_epoch"], begun.best)
    elif recipe.from_start:
        keeper.consider(0, {f"val_{name}": value for name, value in evaluate(model, data.selection, recipe).items()})
    rate = recipe.optimizer.learning_rate
    averages = [Averages()] if recipe.optimizer.use_ema else []
    callbacks: list[Any] = [EndsWithoutLoss(), *averages, keeper]
    scheduled = {} if state is None else state.schedule
    callbacks += recipe.schedule.callbacks(rate, scheduled if begun is None else begun.facts["schedule"])
    first_epoch = recipe.first_epoch if begun is None else begun.epoch
    patience = None if recipe.patience is None else Patience(recipe.patience, begun)
    if patience is not None:
        callbacks.append(patience)
    if deadlines is not None:
        callbacks.append(Clock(deadlines))
    if batches is not None:
        fed = batches.arguments(seed, first_epoch, call)
        callbacks.insert(0, batches)
    else:
        fed = data.train.training(recipe.batch_size)
    if recipe.augment is not None:
        fed = augmented(fed, recipe.augment, seed, first_epoch)
    saver = None
    if progress is not None:

        def facts() -> dict[str, Any]:
            counted = {} if patience is None else patience.counted()
            return {"best_epoch": keeper.facts(), "schedule": state_of(callbacks), "patience": counted}

        saver = ProgressSaver(
            progress, recipe.epochs, lambda: (keeper.weights, facts()), next(iter(averages), None), begun
        )
        callbacks.append(saver)
    changing = nullcontext() if recipe.augment is None else surfaced(recipe.augment.trouble)
    if begun is not None and begun.ended:
        begun.restore(model)
    else:
        with failures_told(model), feeding(data.name), data.train.reading(), data.selection.reading(), changing:
            make_variables(model, data.train, training=True)
            model.fit(
                **shared(fed),
                validation_data=feeds.validation(data.selection, _large(recipe)),
                initial_epoch=first_epoch,
                epochs=recipe.epochs,
                class_weight=recipe.objective.class_weight,
                callbacks=callbacks,
                verbose=0,
            )
    raw = averages[0].end if averages else None
    weights, variables = raw or (model.get_weights(), _values(model.optimizer))
    end = TrainingState(weights, variables, state_of(callbacks))
    if recipe.rates and not compiled:
        compile_model(model, replace(recipe, rates={}))  # with an optimizer that can be saved
    return keeper.restore(), end


def single_steps_for(source: Source, recipe: Recipe) -> str | None:
    """Why each step is a call; None where many may be one."""
    if not isinstance(source, Split):
        return "the data are not in memory"
    if recipe.augment is not None:
        return "the data are augmented"
    # TensorFlow has no loop of steps for several devices
    return "several devices train" if tf.distribute.has_strategy() else None


@contextmanager
def failures_told(model: keras.Model) -> Iterator[None]:
    """Tell what a layer, a loss or a `train_step` of the user's own fails with, or that there is too little memory."""
    try:
        yield
    except QsearchError as error:
        if plain(error) == str(error):
            raise
        raise ModelError(f"{model.name}: {_training(model)} fails in {plain(error)}") from None
    except Exception as error:
        if raised_here(error):
            raise
        layer = layer_of(error)
        place = f" in {layer}" if layer else ""
        raise ModelError(f"{model.name}: {_training(model)} fails{place} with {told(error)}") from None


def _training(model: keras.Model) -> str:
    return "training, compiled by XLA as run.jit_compile has it," if model.jit_compile else "training"


def _values(optimizer: keras.optimizers.Optimizer) -> list[Any]:
    return [numpy.asarray(value) for value in optimizer.variables]


def compile_model(model: keras.Model, recipe: Recipe, steps: int | None = None) -> None:
    """Compile with the recipe's optimizer, loss and metrics; steps: of an epoch, for a schedule."""
    optimizer = optimizer_of(model, recipe, steps)
    model.compile(optimizer=optimizer, **recipe.objective.compiled(head_names(model)))
    recipe.execution.set_up(model)


def optimizer_of(model: keras.Model, recipe: Recipe, steps: int | None) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, with the rates of single layers; steps: of an epoch, for a schedule."""
    options = recipe.optimizer.options()
    if steps is not None:
        options["learning_rate"] = recipe.schedule.rate(options["learning_rate"], steps)
    optimizer = keras.optimizers.get({"class_name": recipe.optimizer.name, "config": options})
    if recipe.rates:
        optimizer = with_factors(optimizer, variable_factors(model, recipe.rates))
    return optimizer


def evaluate(model: keras.Model, source: Source, recipe: Recipe) -> dict[str, float]:
    """Loss and metrics of a compiled model on a set of samples.

    Raises:
        ConfigError: a metric gives several values, or one of all predictions fails.
    """
    with feeding("the data"), source.reading():
        make_variables(model, source, training=False)
        metrics = model.evaluate(**shared(source.evaluation(_large(recipe))), verbose=0, return_dict=True)
    single = {name: _number(name, value) for name, value in metrics.items()}
    whole_set = recipe.objective.whole_set
    return single if whole_set is None else {**single, **whole_set.values(model, source, _large(recipe))}


def _large(recipe: Recipe) -> int:
    """Samples of a batch where nothing is learned."""
    return max(recipe.batch_size, 256)


def _number(name: str, value: Any) -> float:
    count = numpy.size(value)
    if count != 1:
        raise ConfigError(
            f"{name} gives {count} values, one per class (or threshold), expected one number; "
            "take Keras' by name, with options: {name: f1_score, average: macro}"
        )
    return float(numpy.reshape(value, ()))
