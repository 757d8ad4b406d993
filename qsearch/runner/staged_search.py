"""The search of a run: of the whole network at once, or one block after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from qsearch.blocks.lookahead import cost_in, lookahead
from qsearch.blocks.schedule import Schedule, Stage
from qsearch.config import Config
from qsearch.datasets import Dataset
from qsearch.goal.price import Constraints
from qsearch.graph.walk import layers_by_path
from qsearch.interrupts import Interrupts
from qsearch.paths import temporary_folder
from qsearch.plan import QuantizationPlan
from qsearch.runner.experiment import Experiment
from qsearch.runner.exportable import objections
from qsearch.runner.model_store import ModelStore
from qsearch.runner.reload import reloaded
from qsearch.runs.directory import BEST, MODEL, RunDirectory
from qsearch.search.candidates import Candidates
from qsearch.search.cheapest import cheapest
from qsearch.search.failures import in_common
from qsearch.search.guide import Guide
from qsearch.search.loop import INTERRUPTED, Search, TrialLoop
from qsearch.search.modes import SearchSetting, proposer
from qsearch.search.proposals import Proposer
from qsearch.search.seeds import SEARCH_SEED, spread
from qsearch.search.space import SearchSpace
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, Trial
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.fit import Recipe
from qsearch.training.shared_model import NotShareableError, SharedModel
from qsearch.training.shared_training import SharedTraining
from qsearch.training.trainer import CandidateTrainer, TrainedWeights


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """What a search came to.

    Attributes:
        before: the best trial so far when it began, scored as those of this stage are; None for the reference.
        delta_before: what its cost is worth, as the stage reckons.
        best: its best trial; None where none was completed, or none outranked the one before.
        trials: how many of all trials were recorded when it began, and when it ended.
        ended: why.
    """

    stage: Stage
    space: SearchSpace
    before: Trial | None
    delta_before: float
    best: Trial | None
    trials: tuple[int, int]
    ended: str
    seconds: float


@dataclass(kw_only=True)
class StagedSearch:
    """Runs the stages of a schedule, each from the best model so far.

    What a later process would need to go on is on disk at any time: the journal, and the model after each block in
    its folder, which the next block reads from there.

    Attributes:
        recorded: the trials of an earlier process, which left them in the journal.
        trials: all of them, in order.
        done: the stages that have ended.
        best: the best trial so far, whose model is in the folder "best".
        store: of the models of the stage that is on, or of the last one.
    """

    experiment: Experiment
    schedule: Schedule
    data: Dataset
    recipe: Recipe
    constraints: Constraints
    directory: RunDirectory
    checkpoints: Checkpoints
    feeds: Feeds
    observer: Observer
    interrupts: Interrupts = field(default_factory=Interrupts)
    recorded: Sequence[AnyTrial] = ()
    trials: list[AnyTrial] = field(default_factory=list)
    done: list[StageResult] = field(default_factory=list)
    best: Trial | None = None

    def __post_init__(self) -> None:
        self.config: Config = self.experiment.loaded.config
        self.base = self.schedule.space.base
        self.store = self._store(self.schedule.stages[0])
        self.best_folder = BEST
        self._proposals: Proposer | None = None
        marked = self.checkpoints.marked
        self.known = {
            trial.number: trial
            for trial in self.recorded
            if trial.number <= marked or not isinstance(trial, Trial)  # else its model was not written any more
        }

    def go(self) -> str:
        """Search; returns why it ended. What it came to is in the attributes, also when it is interrupted.

        Interruptions are heard while something is computed, and wait while something is written down.
        """
        with self.interrupts.held():
            return self._go()

    def _go(self) -> str:
        ended = ""
        try:
            for stage in self.schedule.stages:
                ended = self._stage(stage)
        finally:
            if self.best is not None:  # in the end a model is worth what it costs
                price = self.experiment.costs.price(self.best.plan)
                self.best = self.best.rescored(price.delta, self.recipe.target)
        if len(self.schedule.stages) == 1:
            return ended
        return f"all {len(self.schedule.stages)} blocks searched"

    def notes(self) -> list[str]:
        """Blocks in which nothing was found, and why."""
        return [
            f"block {result.stage.number}: nothing better was found ({self._ended(result)}); it stays as it was"
            for result in self.done
            if result.best is None and result.stage.number is not None
        ]

    def why_failed(self) -> str:
        """What the trials that failed have in common."""
        return in_common([trial for trial in self.trials if isinstance(trial, FailedTrial)], self.schedule.space)

    def _ended(self, result: StageResult) -> str:
        first, end = result.trials
        trials = self.trials[first:end]
        failed = [trial for trial in trials if isinstance(trial, FailedTrial)]
        if not failed or any(isinstance(trial, Trial) for trial in trials):
            return result.ended
        return f"{result.ended}: {in_common(failed, result.space)}"

    def still_needed(self) -> frozenset[int]:
        """Trials whose weights a search that goes on after its end may need; Hyperband has an end."""
        if self.config.run.search_mode.continues or self._proposals is None:
            return frozenset()
        return self._proposals.continues() | self.store.wanted().keys()

    def cheapest_energy(self) -> float:
        """Of the cheapest plan there is, pJ."""
        space = self.schedule.space
        plan = space.plan(cheapest(space, cost_in(space, self.experiment.costs)))
        return self.experiment.costs.price(plan).energy

    def plan_of(self, number: int) -> QuantizationPlan:
        """The plan of a trial."""
        return self.trials[number - 1].plan

    def _stage(self, stage: Stage) -> str:
        started, earlier = time.monotonic(), len(self.trials)
        space = self.schedule.space.part(stage.names, self.base)
        ahead = self.config.run.blocks_to_come == "typical"
        pricer = lookahead(self.experiment.costs, self.constraints, self.schedule, stage, space, ahead)
        delta = pricer.ahead(self.base).delta
        before = self.best = None if self.best is None else self.best.rescored(delta, self.recipe.target)
        self.store = self._store(stage)
        candidates = Candidates(space, pricer.price)
        loop: TrialLoop | None = None
        found, ended = None, INTERRUPTED
        try:
            with temporary_folder() as folder:
                loop = self._loop(stage, candidates, folder)
                loop.run()
        finally:
            if loop is not None:
                found, ended = loop.found, loop.ended
            if found is not None and (ended != INTERRUPTED or before is None or self._outranks(found, before)):
                self.best = found
            self.done.append(
                StageResult(
                    stage=stage,
                    space=space,
                    before=before,
                    delta_before=delta,
                    best=found,
                    trials=(earlier, len(self.trials)),
                    ended=ended,
                    seconds=time.monotonic() - started,
                )
            )
        if found is not None:
            self.base = found.plan
            self.best_folder = self._folder(stage)
            if stage.block is not None and not self._is_behind(stage):
                self.directory.copy_model(self.best_folder, BEST)
        return ended

    def _is_behind(self, stage: Stage) -> bool:
        """Whether an earlier process went on to the blocks after it, whose models are on disk."""
        return stage.number is not None and any((trial.block or 0) > stage.number for trial in self.recorded)

    def _outranks(self, trial: Trial, other: Trial) -> bool:
        return trial.rank(self.recipe.target) > other.rank(self.recipe.target)

    def _folder(self, stage: Stage) -> str:
        """Where the stage's best model goes; that of a block is in "best" too, once it outranks the one before."""
        return BEST if stage.number is None else f"blocks/{stage.number}"

    def _store(self, stage: Stage) -> ModelStore:
        """Only the last block's models are quantized in all blocks; further ones are kept of these alone."""
        run, last = self.config.run, stage is self.schedule.stages[-1]
        return ModelStore(
            directory=self.directory,
            checkpoints=self.checkpoints,
            reference=self.experiment.model,
            recipe=self.recipe,
            count=run.best_models if last else 1,
            whole_front=last and self.config.wants_front,
        )

    def _title(self, stage: Stage) -> str:
        if stage.block is None:
            return f"search, {self.config.run.mode}"
        return f"block {stage.number} of {len(self.schedule.stages)}, {stage.block.pattern}, {self.config.run.mode}"

    def _loop(self, stage: Stage, candidates: Candidates, folder: Path) -> TrialLoop:
        run, store, before = self.config.run, self.store, self.best
        proposals = self._proposals = self._proposer(stage, candidates, folder)
        with self.interrupts.allowed():
            trainer = self._trainer(stage, candidates.space)
        own = self._folder(stage)

        def record(trial: AnyTrial) -> None:
            if trial.number > len(self.recorded):
                self.directory.append_trial(trial)
            self.trials.append(trial)

        def keep(trial: Trial, weights: TrainedWeights | None, better: bool) -> None:
            if weights is None:
                store.completed.append(trial)
                return
            leads = own != BEST and (before is None or self._outranks(trial, before))
            folders = ((own, BEST) if leads else (own,)) if better else ()
            needed = proposals.continues() | {trial.number}
            store.keep(trial, weights, folders, needed, run.search_mode.continues)
            self.checkpoints.mark(trial.number)

        return TrialLoop(
            Search(
                space=candidates.space,
                proposer=proposals,
                train=trainer.train,
                target=self.recipe.target,
                max_trials=stage.trials,
                record=record,
                keep=keep,
                observer=self.observer,
                known=self.known,
                interrupts=self.interrupts,
                constraints=self.constraints,
                objection=objections(self.config, self.experiment.model, self.schedule.space),
                prune=run.prune,
                whole_front=self.config.wants_front,
                early_stop=run.early_stop == "bound",
                best_models=run.best_models if stage is self.schedule.stages[-1] else 1,
                block=stage.number,
                earlier=len(self.trials),
                incumbent=before if stage.names <= self.base.layers.keys() else None,
            )
        )

    def _proposer(self, stage: Stage, candidates: Candidates, folder: Path) -> Proposer:
        run = self.config.run.model_copy(update={"max_trials": stage.trials})
        seed = spread(run.seed, SEARCH_SEED, *(() if stage.number is None else (stage.number,)))
        setting = SearchSetting(
            candidates=candidates,
            run=run,
            seed=seed,
            folder=folder,
            guide=lambda: self._guide(candidates, stage.trials, seed),
        )
        proposals = proposer(setting)
        count = run.max_trials if proposals.total is None else proposals.total
        epochs = str(run.epochs) if proposals.total is None else f"up to {run.max_epochs or run.epochs}"
        self.observer.stage(f"{self._title(stage)}: {count} trials of {epochs} epochs, {_described(candidates.space)}")
        return proposals

    def _trainer(self, stage: Stage, space: SearchSpace) -> CandidateTrainer:
        run, reference = self.config.run, self.experiment.model
        start = reference if stage.block is not None or run.transfers else None
        if self.best is not None:
            start = reloaded(self.directory.path / self.best_folder / MODEL, reference, self.base)
        layers = tuple(layers_by_path(reference))
        trainer = CandidateTrainer(
            config=self.config,
            data=self.data,
            reference=reference,
            start=start,
            reference_cost=self.experiment.reference.total,
            recipe=self.recipe,
            checkpoints=self.checkpoints,
            plan_of=self.plan_of,
            epoch_ended=self.observer.epoch_ended,
            feeds=self.feeds,
            rates=None if stage.block is None else lambda factor: stage.rates(run.block_learning_rates, layers, factor),
        )
        return replace(trainer, shared=self._shared(stage, space, trainer))

    def _shared(self, stage: Stage, space: SearchSpace, trainer: CandidateTrainer) -> SharedTraining | None:
        """One model for all trials of a stage, where that is possible and worth its tracing."""
        recipe = trainer.usual_recipe
        if not recipe.execution.shares(stage.trials) or self._is_behind(stage):
            return None
        try:
            if (reason := recipe.execution.why_rebuilt()) is not None:
                raise NotShareableError(reason)
            shared = SharedModel(self.experiment.model, space)
            return SharedTraining(shared, recipe, self.data.train.steps(recipe.batch_size))
        except NotShareableError as error:
            if self.config.run.trials == "shared":
                raise self.experiment.loaded.error(
                    ("run", "trials"), f"found 'shared', and {error}; allowed here: auto, rebuilt"
                ) from None
            self.observer.stage(f"each trial is trained in a model of its own: {error}")
            return None

    def _guide(self, candidates: Candidates, trials: int, seed: int) -> Guide:
        run, target, least = self.config.run, self.recipe.target, self.constraints.metric
        return Guide(
            candidates=candidates,
            target=target,
            seed=seed,
            first=max(3, min(6, trials // 4)),
            least=None if least is None else target.worth(least),
            whole_front=run.search_mode.whole_front,
            dearest=self.experiment.reference.total,
        )


def _described(space: SearchSpace) -> str:
    return f"{space.size:.3g} combinations of {len(space.dimensions)} choices"
