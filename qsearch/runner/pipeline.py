"""The one direct pass: configuration -> data, model -> cost -> space -> trials -> best model -> report."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy

from qsearch.config import Config, LoadedConfig, load_config, to_yaml
from qsearch.datasets import Dataset, load_dataset
from qsearch.errors import DatasetError, SearchError
from qsearch.models import load_model
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.report.markdown import markdown
from qsearch.runner.directory import RunDirectory, create_directory
from qsearch.runner.environment import environment
from qsearch.runner.experiment import FINAL_SEED, REFERENCE_SEED, SEARCH_SEED, TRIAL_SEED, Experiment, read_experiment
from qsearch.runner.outcome import Figures, Outcome
from qsearch.search import loop
from qsearch.search.oracle import Proposer, proposer, spread
from qsearch.search.space import LEARNING_RATE, LEARNING_RATE_STEPS
from qsearch.search.training import Recipe, compile_model, early_stopping_patience, evaluate, train
from qsearch.search.trials import AnyTrial, Candidate, FailedTrial, Observer, SilentObserver, Trained, Trial


@dataclass(frozen=True)
class RunResult:
    """What a run came to; the run directory holds all of it.

    Attributes:
        best: the winning trial, as the search saw it, before final training.
        trials: every trial in order, completed, failed and skipped.
        summary: the content of result.json.
    """

    run_directory: Path
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    summary: dict[str, Any]

    def load_best(self) -> keras.Model:
        """The best model with its trained weights."""
        return load_model(self.run_directory / "best" / "model.keras")


def run(config: str | Path, overrides: Sequence[str] = (), observer: Observer | None = None) -> RunResult:
    """Search the best quantized version of a model, as a configuration file says.

    Raises:
        QsearchError: one of its subclasses, each with an exit code of its own; see qsearch.errors.
    """
    return run_loaded(load_config(config, overrides), observer or SilentObserver())


def run_loaded(loaded: LoadedConfig, observer: Observer) -> RunResult:
    """`run` for a configuration that is already checked."""
    config = loaded.config
    observer.stage(f"model {config.model.name or config.model.path}, data set {config.dataset.name}")
    experiment = read_experiment(loaded)
    data = load_dataset(
        config.dataset.name, config.dataset.train_samples, config.dataset.test_samples, config.dataset.validation
    )
    _check_fit(experiment, data)
    directory = create_directory(str(config.run.output_dir), fresh_name=config.run.overwrite)
    directory.write_text("config.yaml", to_yaml(config))
    directory.write_json("environment.json", environment(config.run.seed))
    return _Run(experiment, data, directory, observer).go()


def _check_fit(experiment: Experiment, data: Dataset) -> None:
    """The model must take the data's images and tell its classes apart."""
    inputs, outputs = tuple(experiment.model.input_shape[1:]), tuple(experiment.model.output_shape[1:])
    if inputs != data.input_shape or outputs != (data.num_classes,):
        raise DatasetError(
            f"{data.name}: images {data.input_shape} in {data.num_classes} classes do not fit {experiment.graph.name}, "
            f"which takes {inputs} and gives {outputs}; choose the model made for the data set"
        )


class _Run:
    """One pass over prepared inputs; its methods are the stages in order."""

    def __init__(self, experiment: Experiment, data: Dataset, directory: RunDirectory, observer: Observer) -> None:
        self.experiment = experiment
        self.config: Config = experiment.loaded.config
        self.data = data
        self.directory = directory
        self.observer = observer
        self.started = time.monotonic()
        self.best: Trial | None = None
        reference = self.config.reference
        self.recipe = Recipe(
            reference.optimizer, reference.loss, reference.metrics, reference.epochs, reference.batch_size
        )

    def go(self) -> RunResult:
        self._train_reference()
        trials: list[AnyTrial] = []
        interrupted = False
        try:
            ended = self._search(trials)
        except KeyboardInterrupt:
            interrupted, ended = True, "interrupted; the best model is as its trial left it"
        best = self.best
        if best is None and not interrupted:
            raise SearchError(
                f"no trial was completed ({ended}); the last reason: {_last_reason(trials)}; "
                f"every trial is in {self.directory.path / 'trials.jsonl'}"
            )
        final = None
        if best is not None:
            try:
                final = self._train_final(best, wanted=not interrupted)
            except KeyboardInterrupt:
                interrupted, ended = (
                    True,
                    f"{ended}; final training interrupted, the best model is as its trial left it",
                )
        self.observer.stage("evaluation on the test set")
        outcome = Outcome(
            self.experiment,
            self.data,
            self._figures(self.experiment.model),
            None if best is None else self._figures(load_model(self.directory.model_path)),
            final,
            best,
            tuple(trials),
            ended,
            interrupted,
            time.monotonic() - self.started,
        )
        summary, energies = outcome.summary(), outcome.energies()
        self.directory.write_json("energy.json", energies)
        self.directory.write_json("result.json", summary)
        self.directory.write_text("report.md", markdown(summary, energies, [trial.to_dict() for trial in trials]))
        return RunResult(self.directory.path, best, tuple(trials), summary)

    def _train_reference(self) -> None:
        epochs = self.config.reference.epochs
        self.observer.stage(f"reference: {epochs} epochs" if epochs else "reference: not trained (epochs: 0)")
        if epochs:
            seed = spread(self.config.run.seed, REFERENCE_SEED)
            train(self.experiment.model, self.data, self.recipe, seed, self.observer.epoch_ended)

    def _search(self, trials: list[AnyTrial]) -> str:
        config, space = self.config, self.experiment.space
        self.observer.stage(
            f"search: {config.run.max_trials} trials of {config.run.epochs} epochs, "
            f"{space.size:.3g} combinations of {len(space.dimensions)} choices"
        )

        def record(trial: AnyTrial) -> None:
            self.directory.append_trial(trial)
            trials.append(trial)

        seed = spread(config.run.seed, SEARCH_SEED)
        with TemporaryDirectory(prefix="qsearch-") as folder:
            return loop.run(self._loop(proposer(config.run.mode, space, seed, Path(folder)), record)).ended

    def _loop(self, proposals: Proposer, record: Callable[[AnyTrial], None]) -> loop.Search:
        return loop.Search(
            space=self.experiment.space,
            proposer=proposals,
            price=self.experiment.costs.price,
            train=self._train_candidate,
            target=f"val_{self.config.reference.metrics[0]}",
            max_trials=self.config.run.max_trials,
            record=record,
            keep=self._keep,
            observer=self.observer,
        )

    def _keep(self, trial: Trial, model: keras.Model) -> None:
        """Save a new best model; one interruption during the save delays it, and does not lose the model."""
        try:
            self.directory.save_best(model, trial.candidate.plan)
        except KeyboardInterrupt:
            self.directory.save_best(model, trial.candidate.plan)
            self.best = trial
            raise
        self.best = trial

    def _train_candidate(self, candidate: Candidate) -> tuple[Trained, keras.Model]:
        run = self.config.run
        seed = spread(run.seed, TRIAL_SEED, candidate.id)
        keras.utils.set_random_seed(seed)
        model = apply_plan(self.experiment.model, candidate.plan)
        if run.transfer_weights:
            transfer_weights(self.experiment.model, model)
        optimizer = self.recipe.optimizer
        if LEARNING_RATE in candidate.values:
            rate = self._learning_rate(candidate, int(candidate.values[LEARNING_RATE]))
            optimizer = optimizer.model_copy(update={"learning_rate": rate})
        recipe = Recipe(
            optimizer,
            self.recipe.loss,
            self.recipe.metrics,
            run.epochs,
            run.batch_size,
            early_stopping_patience(run.epochs),
        )
        return train(model, self.data, recipe, seed, self.observer.epoch_ended), model

    def _learning_rate(self, candidate: Candidate, step: int) -> float:
        """AutoQKeras' range: from the share of the reference's cost that is left, up to 1.1 times the base rate."""
        lowest = min(1.0, candidate.cost / self.experiment.reference.total)
        return self.recipe.optimizer.learning_rate * float(numpy.linspace(lowest, 1.1, LEARNING_RATE_STEPS)[step])

    def _train_final(self, best: Trial, wanted: bool) -> Trained | None:
        """Train the winner longer, from its trained weights, and save it."""
        final = self.config.final_training
        if final is None or not final.epochs or not wanted:
            return None
        self.observer.stage(f"final training of trial {best.candidate.id}: {final.epochs} epochs")
        recipe = Recipe(
            final.optimizer, self.recipe.loss, self.recipe.metrics, final.epochs, final.batch_size, from_start=True
        )
        seed = spread(self.config.run.seed, FINAL_SEED)
        keras.utils.set_random_seed(seed)  # before loading: layers with noise seed themselves when they are made
        model = load_model(self.directory.model_path)
        trained = train(model, self.data, recipe, seed, self.observer.epoch_ended)
        self.directory.save_best(model, best.candidate.plan)
        return trained

    def _figures(self, model: keras.Model) -> Figures:
        compile_model(model, self.recipe)
        return Figures(
            evaluate(model, self.data.selection, self.recipe),
            evaluate(model, self.data.test, self.recipe),
            model.count_params(),
        )


def _last_reason(trials: Sequence[AnyTrial]) -> str:
    return next((trial.reason for trial in reversed(trials) if isinstance(trial, FailedTrial)), "none")
