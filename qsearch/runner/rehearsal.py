"""Every training of a run, set up before the first: what cannot be made is found before hours of training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import keras
import numpy

from qsearch.blocks.schedule import Schedule
from qsearch.config import bounds
from qsearch.config.schema import FinalTrainingConfig
from qsearch.datasets import Dataset
from qsearch.datasets.dataset import ArrayDataset
from qsearch.errors import ConfigError, QsearchError, told
from qsearch.graph.walk import layers_by_path
from qsearch.quantizers.parameters import FLOAT32
from qsearch.runner.experiment import Experiment
from qsearch.training.fit import Recipe, compile_model, single_steps_for
from qsearch.training.schedules import RateSchedule

_GREATEST_FACTOR = 1.1
"""Of the learning rate, where it is searched."""
_PLACES = 64
"""In the training at which the learning rate is looked at."""


@dataclass(frozen=True)
class _Training:
    """One that will take place: the section of the configuration that says how, and the name of what is trained."""

    section: str
    recipe: Recipe
    what: str


def final_recipe(recipe: Recipe, final: FinalTrainingConfig) -> Recipe:
    """How the winner is trained longer, from what the reference was trained with."""
    return replace(
        recipe,
        optimizer=final.optimizer,
        epochs=final.epochs,
        batch_size=final.batch_size,
        from_start=True,
        schedule=RateSchedule(final.learning_rate_schedule, final.optimizer.learning_rate, final.epochs),
    )


def rehearse(experiment: Experiment, data: Dataset, recipe: Recipe, schedule: Schedule) -> list[str]:
    """Make the optimizer and the schedule of each training, with the steps that the data have.

    Returns:
        What is probably not meant, a line each.

    Raises:
        ConfigError: what cannot be made or would train nothing, with its place.
    """
    lines: list[str] = []
    for training in _trainings(experiment, recipe, schedule):
        steps = data.train.steps(training.recipe.batch_size)
        _set_up(experiment, training, steps)
        lines += _remarks(experiment, training, data)
    lines += _absent_classes(experiment, data, recipe)
    lines += _single_steps(experiment, data, recipe)
    return list(dict.fromkeys(lines))


def _trainings(experiment: Experiment, recipe: Recipe, schedule: Schedule) -> Iterator[_Training]:
    config = experiment.loaded.config
    run, final = config.run, config.final_training
    if recipe.epochs:
        yield _Training("reference", recipe, "the reference")
    epochs = run.max_epochs or run.epochs
    rates = RateSchedule(run.learning_rate_schedule, recipe.optimizer.learning_rate, epochs)
    trial = replace(recipe, epochs=epochs, batch_size=run.batch_size, schedule=rates)
    factor = _GREATEST_FACTOR if run.learning_rate_optimizer else 1.0
    layers = tuple(layers_by_path(experiment.model))
    for stage in schedule.stages:
        if stage.block is None:
            rate = recipe.optimizer.learning_rate * factor
            optimizer = recipe.optimizer.model_copy(update={"learning_rate": rate})
            yield _Training("run", replace(trial, optimizer=optimizer), "a trial")
        else:
            by_layer = stage.rates(run.block_learning_rates, layers, factor)
            yield _Training("run", replace(trial, rates=by_layer), f"block {stage.number}")
    if final is not None and final.epochs:
        yield _Training("final_training", final_recipe(recipe, final), "the best model")


def _set_up(experiment: Experiment, training: _Training, steps: int | None) -> None:
    """Compile the reference in this way, and look at the rates over the epochs."""
    model, recipe, loaded = experiment.model, training.recipe, experiment.loaded
    # trials have the optimizer of the reference
    owner = "final_training" if training.section == "final_training" else "reference"
    count = 1 if steps is None else steps
    try:
        compile_model(model, recipe, count)
        model.optimizer.build(model.trainable_variables)
        rates = _rates(recipe, count)
    except QsearchError:
        raise
    except Exception as error:  # whatever Keras finds
        raise loaded.error((owner, "optimizer"), f"cannot be made for {training.what}: {told(error)}") from None
    most = float(numpy.max(rates)) * max(recipe.rates.values(), default=1.0)
    # a reference that diverges at its own rate is told as such, at once
    allowed = FLOAT32 if training.section == "reference" else bounds.LEARNING_RATE
    if training.section == "run" and recipe.schedule.config.name == "constant" and not recipe.rates:
        allowed = FLOAT32
    if not most <= allowed:
        key = "learning_rate_schedule" if recipe.schedule.config.name != "constant" else "optimizer"
        place = (training.section if key != "optimizer" else owner, key)
        if recipe.rates and most > float(numpy.max(rates)):
            place = ("run", "block_learning_rates")
        raise loaded.error(
            place,
            f"the learning rate of {training.what} reaches {most:.3g} within {recipe.epochs} epochs, allowed: "
            f"{allowed:g}",
        )
    waiting = recipe.optimizer.gradient_accumulation_steps
    if steps is not None and waiting is not None and waiting > steps * recipe.epochs:
        raise loaded.error(
            (owner, "optimizer", "gradient_accumulation_steps"),
            f"found {waiting}; {training.what} is trained in {steps * recipe.epochs} steps ({recipe.epochs} epochs of "
            f"{steps}), so that no weight would ever change",
        )


def _rates(recipe: Recipe, steps: int) -> list[float]:
    """Of some steps, the first and the last among them."""
    rate = recipe.schedule.rate(recipe.optimizer.learning_rate, steps)
    if not isinstance(rate, keras.optimizers.schedules.LearningRateSchedule):
        return [float(rate)]
    last = min(max(recipe.epochs * steps - 1, 0), 2**31 - 1)
    places = numpy.unique(numpy.linspace(0, last, _PLACES).astype(numpy.int64))
    rates = [float(numpy.asarray(rate(keras.ops.convert_to_tensor(place, "int32")))) for place in places]
    return [one if numpy.isfinite(one) else numpy.inf for one in rates]


def _remarks(experiment: Experiment, training: _Training, data: Dataset) -> Iterator[str]:
    source, size = data.train, training.recipe.batch_size
    samples = source.samples if isinstance(data, ArrayDataset) else None
    if samples is not None and size > samples:
        text = f"found {size}, of {samples} training samples: {training.what} is trained in one step an epoch"
        yield str(experiment.loaded.source.problem((training.section, "batch_size"), text))


def _single_steps(experiment: Experiment, data: Dataset, recipe: Recipe) -> Iterator[str]:
    """Steps of a call that are asked for where each step is one."""
    wanted = recipe.execution.steps_per_execution
    cause = single_steps_for(data.train, recipe)
    if wanted not in ("auto", 1) and cause is not None:
        text = f"found {wanted}, not used: {cause}, so that each step is a call"
        yield str(experiment.loaded.source.problem(("run", "steps_per_execution"), text))


def _absent_classes(experiment: Experiment, data: Dataset, recipe: Recipe) -> Iterator[str]:
    """Classes with a weight of their own and no sample."""
    given, weights = experiment.loaded.config.reference.class_weight, recipe.objective.class_weight
    if not isinstance(given, Mapping) or weights is None or not isinstance(data, ArrayDataset):
        return
    counts = data.train.class_counts()
    absent = [number for number in given if number >= len(counts) or not counts[number]]
    problem = experiment.loaded.source.problem
    if absent:
        listed = ", ".join(map(str, absent[:10]))
        yield str(problem(("reference", "class_weight"), f"no training sample is of class {listed}"))
    if not any(weights.get(number, 1.0) for number, count in enumerate(counts) if count):
        text = "every class that the training samples have has the weight 0, so that none counts"
        raise ConfigError(str(problem(("reference", "class_weight"), text)))
