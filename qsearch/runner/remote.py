"""Trials of a stage on workers: what they are sent, and what they make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from qsearch import __version__
from qsearch.blocks.schedule import Stage
from qsearch.config import LoadedConfig
from qsearch.errors import ConfigError, shown
from qsearch.graph.walk import layers_by_path
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.runner.placed import placed
from qsearch.runner.prepared import Prepared, read_prepared, shared, trainer_of
from qsearch.search.engine import Outcome, Task, attempt
from qsearch.search.trials import Trained
from qsearch.training.batches import Feeds
from qsearch.training.shared_model import NotShareableError
from qsearch.training.trainer import CandidateTrainer, Parent, TrainedWeights
from qsearch.workers.worker import Report


def versions() -> dict[str, str]:
    """What decides whether a worker trains as this process would."""
    return {"qsearch": __version__, "keras": keras.__version__, "tensorflow": tf.__version__}


@dataclass(frozen=True, kw_only=True)
class StageSetup:
    """A `Setup`: all that a worker has to know to train trials of a stage, and has not got in its files.

    Attributes:
        run: another one has another model or other data.
        stage: its place in the schedule.
        trials: that a worker is likely to train.
        base: the plan that the stage goes on from.
        reference: weights of the trained reference.
        start: the best model so far, which trials start from.
        from_reference: whether they start from the reference, where there is no best model so far.
        layers: names of the reference's.
        folder: the current one, which paths of the configuration may be relative to.
        threads: processor threads of a worker; None: as it is.
        going_on: whether a later trial may go on where one stopped.
    """

    run: str
    loaded: LoadedConfig
    stage: int
    trials: int
    base: QuantizationPlan
    reference: Sequence[Any]
    start: Parent | None
    from_reference: bool
    layers: tuple[str, ...]
    folder: str
    threads: int | None
    going_on: bool
    versions: Mapping[str, str]

    def open(self, earlier: Any, index: int | None) -> _StageSession:
        """Read the configuration, build the model and load the data; a stage of the same run needs only a trainer.

        Raises:
            QsearchError: another version of something, a folder or a file that is not there, another model.
        """
        if isinstance(earlier, _StageSession) and earlier.setup.run == self.run:
            return _StageSession(self, earlier.ready, earlier.feeds)
        self._check_versions()
        _use_devices(self.threads, index)
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise ConfigError(
                f"the folder {shown(self.folder)}, in which the run was begun, is not there: {error.strerror}; "
                "workers need the same files under the same names"
            ) from None
        keras.utils.clear_session()  # layers without a name of their own are numbered
        with placed(self.loaded):
            ready = read_prepared(self.loaded)
        found = tuple(layers_by_path(ready.experiment.model))
        if found != self.layers:
            differing = sorted({*found} ^ {*self.layers})[:3]
            raise ConfigError(
                f"the model has other layers here than where the run was begun ({', '.join(differing) or 'in order'}); "
                "what builds it must give layers the same names each time"
            )
        return _StageSession(self, ready, Feeds())

    def _check_versions(self) -> None:
        here = versions()
        wanted = self.versions.items()
        differing = [f"{name} {here[name]}, not {version}" for name, version in wanted if here[name] != version]
        if differing:
            raise ConfigError(f"has {', '.join(differing)}; install what the run was begun with")


class _StageSession:
    """Trains trials of one stage, on a worker."""

    def __init__(self, setup: StageSetup, ready: Prepared, feeds: Feeds) -> None:
        self.setup, self.ready, self.feeds = setup, ready, feeds
        reference = ready.experiment.model
        reference.set_weights(setup.reference)
        start: keras.Model | None = reference if setup.from_reference else None
        if setup.start is not None:
            start = apply_plan(reference, setup.start.plan)
            start.set_weights(setup.start.best)
        stage = ready.schedule.stages[setup.stage]
        trainer = trainer_of(ready, stage, start, feeds, lambda *_, **__: None)
        self.trainer: CandidateTrainer
        try:
            space = ready.schedule.space.part(stage.names, setup.base)
            self.trainer = shared(trainer, setup.loaded, space, setup.trials, ready.shared)
        except NotShareableError:
            self.trainer = trainer

    def run(self, call: tuple[Task, Parent | None], report: Report) -> Outcome:
        """Train a task, from its parent's weights where it has one."""
        task, parent = call

        def train(task: Task) -> tuple[Trained, TrainedWeights]:
            def ended(epoch: int, epochs: int, metrics: Mapping[str, float], trial: int) -> None:
                report({"epoch": epoch, "epochs": epochs, "metrics": dict(metrics), "trial": trial})

            trainer = replace(self.trainer, epoch_ended=ended)
            trained, weights = trainer.train(task, parent)
            return trained, weights if self.setup.going_on else replace(weights, end=None)

        return attempt(train, task)


def setup_of(
    run: str,
    ready: Prepared,
    stage: Stage,
    base: QuantizationPlan,
    start: Parent | None,
    workers: int,
    threads: int | None,
) -> StageSetup:
    """What workers are sent for a stage of a run."""
    experiment, loaded = ready.experiment, ready.experiment.loaded
    config = loaded.config.run
    return StageSetup(
        run=run,
        loaded=loaded,
        stage=ready.schedule.stages.index(stage),
        trials=-(-stage.trials // workers),
        base=base,
        reference=experiment.model.get_weights(),
        start=start,
        from_reference=stage.block is not None or config.transfers,
        layers=tuple(layers_by_path(experiment.model)),
        folder=str(Path.cwd()),
        threads=threads,
        going_on=config.search_mode.continues,
        versions=versions(),
    )


def _use_devices(threads: int | None, index: int | None) -> None:
    """Share processor threads, and give each worker of a machine a GPU of its own, as far as there are any."""
    try:
        if threads is not None:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
        gpus = tf.config.list_physical_devices("GPU")
        if gpus and index is not None:
            mine = gpus[index % len(gpus)]
            tf.config.set_visible_devices([mine], "GPU")
        for gpu in tf.config.get_visible_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)
    except RuntimeError:  # TensorFlow has begun to compute, for an earlier run
        return
