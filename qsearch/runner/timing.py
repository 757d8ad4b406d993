"""How long a run will take, from epochs that are measured."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random

from qsearch.blocks.schedule import Schedule
from qsearch.config.schedules import ScheduleConfig
from qsearch.graph.walk import layers_by_path
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.runner.data import data_of
from qsearch.runner.experiment import Experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.runner.placed import placed
from qsearch.search.candidates import Candidate
from qsearch.search.engine import Task
from qsearch.search.modes import workload
from qsearch.search.proposals import Proposal
from qsearch.search.seeds import SEARCH_SEED, spread
from qsearch.search.space import SearchSpace, Values
from qsearch.training.fit import train
from qsearch.training.trainer import CandidateTrainer


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds that a run would take on this machine, if nothing were skipped or stopped early.

    Attributes:
        reference_epoch: of the unquantized model, its evaluation included.
        trial_start: building, compiling and tracing a quantized model.
        trial_epoch: of a model whose layers are all quantized; in early blocks they are fewer.
        reference: training the reference.
        stages: the search of each block.
        final: the last training of the winner.
    """

    reference_epoch: float
    trial_start: float
    trial_epoch: float
    reference: float
    stages: tuple[float, ...]
    final: float

    @property
    def total(self) -> float:
        return self.reference + sum(self.stages) + self.final


class _Clock:
    """When each epoch ended."""

    def __init__(self) -> None:
        self.times = [time.monotonic()]

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        self.times.append(time.monotonic())

    @property
    def epoch(self) -> float:
        """The second one: the first has the tracing in it."""
        return self.times[2] - self.times[1]

    @property
    def start(self) -> float:
        return max(0.0, self.times[1] - self.times[0] - self.epoch)


def measure(experiment: Experiment, schedule: Schedule) -> Timing:
    """Train the reference and one candidate for two epochs each, and reckon from the second.

    The experiment's model is left as it is.

    Raises:
        DatasetError: the data cannot be read.
        DivergedError: training gave no finite metric.
    """
    with placed(experiment.loaded):
        return _measured(experiment, schedule)


def _measured(experiment: Experiment, schedule: Schedule) -> Timing:
    config = experiment.loaded.config
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = recipe_of(experiment, objective, data)
    model = apply_plan(experiment.model, QuantizationPlan())  # a copy
    reference, trial = _Clock(), _Clock()
    train(model, data, replace(recipe, epochs=2, patience=None), 0, reference.epoch_ended)
    run = config.run.model_copy(
        update={"epochs": 2, "executions_per_trial": 1, "learning_rate_schedule": ScheduleConfig()}
    )
    if not run.search_mode.trains:
        run = run.model_copy(update={"mode": "random"})  # final training has epochs like those of a trial
    last = schedule.stages[-1]
    layers = tuple(layers_by_path(experiment.model))
    trainer = CandidateTrainer(
        config=config.model_copy(update={"run": run}),
        data=data,
        reference=experiment.model,
        start=model,
        reference_cost=experiment.reference.total,
        recipe=recipe,
        epoch_ended=trial.epoch_ended,
        rates=None if last.block is None else lambda factor: last.rates(run.block_learning_rates, layers, factor),
    )
    values = _typical(schedule.space, spread(run.seed, SEARCH_SEED))
    plan = schedule.space.plan(values)
    price = experiment.costs.price(plan)
    trial.times[0] = time.monotonic()
    trainer.train(Task(number=1, proposal=Proposal(Candidate(values, plan, price)), price=price))
    final = config.final_training
    stages = []
    for stage in schedule.stages:
        trials, epochs = workload(config.run, stage.extent)
        stages.append(trials * config.run.executions_per_trial * trial.start + epochs * trial.epoch)
    return Timing(
        reference_epoch=reference.epoch,
        trial_start=trial.start,
        trial_epoch=trial.epoch,
        reference=config.reference.epochs * reference.epoch + (reference.start if config.reference.epochs else 0.0),
        stages=tuple(stages),
        final=trial.start + final.epochs * trial.epoch if final is not None and final.epochs else 0.0,
    )


def _typical(space: SearchSpace, seed: int) -> Values:
    """Quantizers at random, widths as they are."""
    random = Random(seed)
    widths = {layer.filters_dimension for layer in space.layers}
    return {
        dimension.name: 1.0 if dimension.name in widths else random.choice(dimension.options)
        for dimension in space.dimensions
    }
