"""The one direct pass: configuration -> data, model -> cost -> space -> trials -> best model -> report."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras

from qsearch.config import Config, LoadedConfig, load_config, to_yaml
from qsearch.config.names import MODE_OPTIONS
from qsearch.datasets import Dataset
from qsearch.errors import ModelError, SearchError
from qsearch.models import load_model
from qsearch.plan import QuantizationPlan
from qsearch.report.markdown import markdown
from qsearch.runner.checkpoints import Checkpoints
from qsearch.runner.directory import RunDirectory, create_directory
from qsearch.runner.environment import environment
from qsearch.runner.experiment import FINAL_SEED, REFERENCE_SEED, SEARCH_SEED, Experiment, read_experiment
from qsearch.runner.keeper import Keeper
from qsearch.runner.objective import data_of, objective_of, recipe_of
from qsearch.runner.outcome import Figures, Outcome
from qsearch.runner.strategy import strategy
from qsearch.runner.trainer import CandidateTrainer
from qsearch.search import loop
from qsearch.search.guide import Appraisal, Guide
from qsearch.search.oracle import SearchSetting, proposer
from qsearch.search.proposals import Proposer
from qsearch.search.seeds import spread
from qsearch.search.space import LEARNING_RATE, Values
from qsearch.search.training import Recipe, compile_model, evaluate, train
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SilentObserver, SkippedTrial, Trained, Trial


@dataclass(frozen=True)
class RunResult:
    """What a run came to; the run directory holds all of it.

    Attributes:
        best: the winning trial, as the search saw it, before final training.
        trials: every trial in order, completed, failed and skipped.
        summary: the content of result.json.
        own: layer classes of the user's own, which loading the model needs.
    """

    run_directory: Path
    best: Trial | None
    trials: tuple[AnyTrial, ...]
    summary: dict[str, Any]
    own: Mapping[str, Any]

    def load_best(self) -> keras.Model:
        """The best model with its trained weights."""
        return load_model(self.run_directory / "best" / "model.keras", custom_objects=self.own)


def run(config: str | Path, overrides: Sequence[str] = (), observer: Observer | None = None) -> RunResult:
    """Search the best quantized version of a model, as a configuration file says.

    Raises:
        QsearchError: one of its subclasses, each with an exit code of its own; see qsearch.errors.
    """
    return run_loaded(load_config(config, overrides), observer or SilentObserver())


def run_loaded(loaded: LoadedConfig, observer: Observer) -> RunResult:
    """`run` for a configuration that is already checked."""
    config = loaded.config
    scope, devices = strategy(config.run.distribution_strategy)
    with scope:
        observer.stage(f"model {config.model.origin}, data set {config.dataset.origin}, {devices}")
        experiment = read_experiment(loaded)
        objective = objective_of(loaded, experiment.model)
        data = data_of(experiment, objective)
        recipe = recipe_of(experiment, objective, data)
        directory = create_directory(str(config.run.output_dir), fresh_name=config.run.overwrite)
        directory.write_text("config.yaml", to_yaml(config))
        directory.write_json("environment.json", environment(config.run.seed))
        return _Run(experiment, data, recipe, directory, observer).go()


@dataclass
class _Run:
    """One pass over prepared inputs; its methods are the stages in order."""

    experiment: Experiment
    data: Dataset
    recipe: Recipe
    directory: RunDirectory
    observer: Observer
    trials: list[AnyTrial] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = time.monotonic()
        self.guide: Guide | None = None
        self.config: Config = self.experiment.loaded.config
        self.checkpoints = Checkpoints(self.directory.path / "checkpoints")
        curve = self.config.run.mode == "pareto"
        self.keeper = Keeper(self.directory, self.checkpoints, self.recipe.target, self.config.run.best_models, curve)

    def go(self) -> RunResult:
        self._train_reference()
        reference = self._figures(self.experiment.model)
        interrupted = False
        try:
            ended = self._search(reference)
        except KeyboardInterrupt:
            interrupted, ended = True, "interrupted; the best model is as its trial left it"
        best = self.keeper.best
        if best is None and not interrupted:
            raise SearchError(self._nothing(ended))
        final = None
        if best is not None:
            try:
                final = self._train_final(best, wanted=not interrupted)
            except KeyboardInterrupt:
                interrupted = True
                ended = f"{ended}; final training interrupted, the best model is as its trial left it"
        self.observer.stage("evaluation on the test set")
        outcome = Outcome(
            self.experiment,
            self.data,
            self.recipe.target,
            reference,
            None if best is None else self._figures(self._load(self.directory.model_path)),
            final,
            best,
            tuple(self.trials),
            self._kept_models(),
            ended,
            self._notes(),
            interrupted,
            time.monotonic() - self.started,
        )
        self.checkpoints.clear()
        summary, energies = outcome.summary(), outcome.energies()
        self.directory.write_json("energy.json", energies)
        self.directory.write_json("result.json", summary)
        trials = [trial.to_dict() for trial in self.trials]
        self.directory.write_text("report.md", markdown(summary, energies, trials))
        return RunResult(self.directory.path, best, tuple(self.trials), summary, self.experiment.own)

    def _train_reference(self) -> None:
        epochs = self.config.reference.epochs
        self.observer.stage(f"reference: {epochs} epochs" if epochs else "reference: not trained (epochs: 0)")
        if epochs:
            seed = spread(self.config.run.seed, REFERENCE_SEED)
            train(self.experiment.model, self.data, self.recipe, seed, self.observer.epoch_ended)

    def _search(self, reference: Figures) -> str:
        run, space = self.config.run, self.experiment.space
        demands = self._demands(reference)
        seed = spread(run.seed, SEARCH_SEED)
        with TemporaryDirectory(prefix="qsearch-") as folder:
            setting = SearchSetting(space, run, seed, Path(folder), lambda: self._guide(demands, seed))
            proposals = proposer(setting)
            count = run.max_trials if proposals.total is None else proposals.total
            epochs = run.epochs if proposals.total is None else f"up to {run.max_epochs or run.epochs}"
            self.observer.stage(
                f"search, {run.mode}: {count} trials of {epochs} epochs, "
                f"{space.size:.3g} combinations of {len(space.dimensions)} choices"
            )
            return loop.run(self._loop(proposals, demands)).ended

    def _loop(self, proposals: Proposer, demands: loop.Demands) -> loop.Search:
        run = self.config.run
        trainer = CandidateTrainer(
            self.config,
            self.data,
            self.experiment.model,
            self.experiment.reference.total,
            self.recipe,
            self.checkpoints,
            self._plan_of,
            self.observer.epoch_ended,
        )

        def record(trial: AnyTrial) -> None:
            self.directory.append_trial(trial)
            self.trials.append(trial)

        def keep(trial: Trial, model: Any, better: bool) -> None:
            self.keeper.keep(trial, model, better, proposals.continues() | {trial.number}, run.mode == "hyperband")

        return loop.Search(
            space=self.experiment.space,
            proposer=proposals,
            price=self.experiment.costs.price,
            train=trainer.train,
            target=self.recipe.target,
            max_trials=run.max_trials,
            record=record,
            keep=keep,
            observer=self.observer,
            demands=demands,
            prune=run.prune,
            curve=run.mode == "pareto",
            early_stop=run.early_stop == "bound",
            best_models=run.best_models,
        )

    def _demands(self, reference: Figures) -> loop.Demands:
        run, target = self.config.run, self.recipe.target
        metric = None
        if run.max_drop is not None:
            metric = target.allowed(reference.selection[target.name.removeprefix("val_")], run.max_drop)
        return loop.Demands(run.budget.energy, run.budget.cost, metric)

    def _guide(self, demands: loop.Demands, seed: int) -> Guide:
        space, run, target = self.experiment.space, self.config.run, self.recipe.target

        def appraise(values: Values) -> Appraisal:
            plan = space.plan(values)
            identity = (plan, values.get(LEARNING_RATE))
            try:
                price = self.experiment.costs.price(plan)
            except ModelError:  # widths that do not fit together
                return Appraisal(identity, float("inf"), 0.0, allowed=False)
            return Appraisal(identity, price.cost, price.delta, demands.objection(price) is None, price.energy)

        self.guide = Guide(
            space,
            appraise,
            target,
            seed,
            first=max(3, min(6, run.max_trials // 4)),
            least=None if demands.metric is None else target.worth(demands.metric),
            curve=run.mode == "pareto",
            dearest=self.experiment.reference.total,
        )
        return self.guide

    def _plan_of(self, number: int) -> QuantizationPlan:
        trial = self.trials[number - 1]
        return trial.candidate.plan if isinstance(trial, Trial) else QuantizationPlan()

    def _train_final(self, best: Trial, wanted: bool) -> Trained | None:
        """Train the winner longer, from its trained weights, and save it."""
        final = self.config.final_training
        if final is None or not final.epochs or not wanted:
            return None
        self.observer.stage(f"final training of trial {best.candidate.id}: {final.epochs} epochs")
        recipe = replace(
            self.recipe,
            optimizer=final.optimizer,
            epochs=final.epochs,
            batch_size=final.batch_size,
            from_start=True,
            cosine=final.epochs if final.learning_rate_schedule == "cosine" else None,
        )
        seed = spread(self.config.run.seed, FINAL_SEED)
        keras.utils.set_random_seed(seed)  # before loading: layers with noise seed themselves when they are made
        model = self._load(self.directory.model_path)
        trained, _ = train(model, self.data, recipe, seed, self.observer.epoch_ended)
        self.directory.save_best(model, best.candidate.plan)
        return trained

    def _kept_models(self) -> dict[int, tuple[tuple[str, ...], Figures]]:
        """Save the models that are wanted beside the best one, and evaluate them."""
        found = {}
        for number, roles in self.keeper.wanted().items():
            model = self.keeper.restored(number, self.experiment.model, self._plan_of(number))
            self.directory.save_model(f"models/trial_{number}", model, self._plan_of(number))
            found[number] = (roles, self._figures(model))
        return found

    def _load(self, path: Path) -> keras.Model:
        return load_model(path, custom_objects=self.experiment.own)

    def _figures(self, model: keras.Model) -> Figures:
        compile_model(model, self.recipe)
        return Figures(
            evaluate(model, self.data.selection, self.recipe),
            evaluate(model, self.data.test, self.recipe),
            model.count_params(),
        )

    def _notes(self) -> list[str]:
        run = self.config.run
        return [
            f"run.{name}: is for mode {mode}; not used in mode {run.mode}"
            for name, mode in MODE_OPTIONS.items()
            if getattr(run, name) is not None and mode != run.mode
        ]

    def _nothing(self, ended: str) -> str:
        """Why a search is without a single usable trial."""
        skipped = [
            trial.energy for trial in self.trials if isinstance(trial, SkippedTrial) and trial.energy is not None
        ]
        found = f"the cheapest of {len(skipped)} that were looked at"
        if self.guide is not None and not self.trials:
            skipped, found = [self.guide.appraise(self.guide.cheapest()).energy], "the cheapest of all"
        if skipped and not any(isinstance(trial, FailedTrial) for trial in self.trials):
            return (
                f"run.budget: no candidate is inside it ({ended}); {found} takes {min(skipped):,.2f} pJ; "
                f"trials are in {self.directory.path / 'trials.jsonl'}"
            )
        return (
            f"no trial was completed ({ended}); the last reason: {_last_reason(self.trials)}; "
            f"every trial is in {self.directory.path / 'trials.jsonl'}"
        )


def _last_reason(trials: Sequence[AnyTrial]) -> str:
    return next((trial.reason for trial in reversed(trials) if isinstance(trial, FailedTrial)), "none")
