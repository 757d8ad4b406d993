"""The search of a run: of the whole network at once, or one block after the other."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from qsearch.blocks.lookahead import by_excess, lookahead, rank_in
from qsearch.blocks.schedule import Stage
from qsearch.config import Config
from qsearch.goal.price import Constraints, Price
from qsearch.interrupts import Interrupts
from qsearch.paths import temporary_folder
from qsearch.plan import QuantizationPlan
from qsearch.runner.exportable import objections
from qsearch.runner.learned_stage import LearnedStage
from qsearch.runner.lost import best_of, lost, parents
from qsearch.runner.model_store import ModelStore
from qsearch.runner.prepared import Prepared, shared, trainer_of
from qsearch.runner.proposing import first_plans, guide_of, ladder_of
from qsearch.runner.reload import reloaded
from qsearch.runner.remote import setup_of
from qsearch.runner.shared_stage import SharedStage
from qsearch.runner.stage_result import StageResult
from qsearch.runner.stage_title import title
from qsearch.runner.waiting import Remembering, Waiting
from qsearch.runs.directory import BEST, MODEL, RunDirectory
from qsearch.search.candidates import Candidates
from qsearch.search.cheapest import cheapest
from qsearch.search.engine import Engine, InProcess
from qsearch.search.epochs import EpochCounter
from qsearch.search.failures import in_common
from qsearch.search.loop import INTERRUPTED, Search, TrialLoop
from qsearch.search.modes import SearchSetting, proposer
from qsearch.search.one_shot import OneShot, SharedRanking, Standing
from qsearch.search.proposals import SHARED, Proposal, Proposer
from qsearch.search.seeds import SEARCH_SEED, spread
from qsearch.search.space import SearchSpace, Values
from qsearch.search.time_limits import NO_LIMIT, TimeLimit, run_out
from qsearch.search.trials import AnyTrial, FailedTrial, Observer, SkippedTrial, Trial
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.shared_model import NotShareableError
from qsearch.training.trainer import CandidateTrainer, Parent, TrainedWeights
from qsearch.workers.engine import WorkersEngine
from qsearch.workers.pool import Pool


@dataclass(kw_only=True)
class StagedSearch:
    """Runs the stages of a schedule, each from the best model so far.

    What a later process would need to go on is on disk at any time: the journal, and the model after each block in
    its folder, which the next block reads from there.

    Attributes:
        pool: workers that train the trials; None: this process trains them.
        recorded: the trials of an earlier process, which left them in the journal.
        limit: the time of the whole run; on_record: told of each trial once it is in the journal.
        cut_short: whether it ended for want of time.
        trials: all of them, in order.
        done: the stages that have ended.
        best: the best trial so far, whose model is in the folder "best".
        store: of the models of the stage that is on, or of the last one.
    """

    ready: Prepared
    constraints: Constraints
    directory: RunDirectory
    checkpoints: Checkpoints
    feeds: Feeds
    observer: Observer
    interrupts: Interrupts = field(default_factory=Interrupts)
    pool: Pool | None = None
    recorded: Sequence[AnyTrial] = ()
    limit: TimeLimit = NO_LIMIT
    on_record: Callable[[AnyTrial], None] = lambda trial: None
    cut_short: bool = False
    trials: list[AnyTrial] = field(default_factory=list)
    done: list[StageResult] = field(default_factory=list)
    best: Trial | None = None

    def __post_init__(self) -> None:
        self.experiment, self.schedule, self.recipe = self.ready.experiment, self.ready.schedule, self.ready.recipe
        self.config: Config = self.experiment.loaded.config
        self.waiting = Waiting(self.checkpoints.folder / "waiting")
        self.token = uuid.uuid4().hex
        self.base = self.schedule.space.base
        self.store = self._store(self.schedule.stages[0])
        self.best_folder = BEST
        self._proposals: Proposer | None = None
        self.shared = self._shared_stage() if self.config.run.search_mode.shares else None
        whole, marked = len(self.schedule.stages) == 1, self.checkpoints.marked
        price = self.experiment.costs.price
        self.lost = lost(self.recorded, self.store, self.constraints, marked, whole, price)
        best = best_of(self.recorded, self.store, self.constraints, price) if whole else None
        # of those that are trained again: the model of another one would be in place of the best one's
        self.not_best = self.lost - {best.number} if best is not None else frozenset()

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
                if self.done and not self._is_begun(stage) and self.limit.is_over:
                    self.cut_short = True
                    return self._cut("before", stage)
                ended = self._stage(stage)
                if self.cut_short:
                    return ended if stage.number is None else self._cut("in", stage)
        finally:
            if self.best is not None:  # in the end a model is worth what it costs
                price = self.experiment.costs.price(self.best.plan)
                self.best = self.best.rescored(price.delta, self.recipe.target)
        if len(self.schedule.stages) == 1:
            return ended
        return f"all {len(self.schedule.stages)} blocks searched"

    def _cut(self, where: str, stage: Stage) -> str:
        trained = sum(not isinstance(trial, SkippedTrial) for trial in self.trials)
        place = f"{where} block {stage.number} of {len(self.schedule.stages)}"
        return f"{run_out(self.limit)} {place}, {trained} trials trained"

    @property
    def is_partial(self) -> bool:
        """Whether there are blocks that were not searched to the end, for want of time."""
        return self.cut_short and self.schedule.stages[0].number is not None

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
        wanted = frozenset(self.store.wanted())
        if self.config.run.search_mode.continues or self._proposals is None:
            return wanted
        return self._proposals.continues() | wanted

    def nearest(self) -> Price:
        """Of the plan that is nearest to the budget; of those inside it, of the cheapest."""
        space, costs = self.schedule.space, self.experiment.costs
        return costs.price(space.plan(cheapest(space, rank_in(space, costs, by_excess(self.constraints)))))

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
        with self.interrupts.allowed():
            ranking = None if self.shared is None else self.shared.ranking(candidates, stage.trials)
        loop: TrialLoop | None = None
        found, ended = None, INTERRUPTED
        try:
            with temporary_folder() as folder:
                proposals = self._proposals = self._proposer(stage, candidates, folder, ranking)
                with self._engine(stage, space) as engine:
                    loop = self._loop(stage, candidates, proposals, engine)
                    loop.run()
        finally:
            if loop is not None:
                found, ended, self.cut_short = loop.found, loop.ended, loop.cut_short
            whole = ended != INTERRUPTED and not self.cut_short
            if found is not None and (whole or before is None or self._outranks(found, before)):
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
        if found is not None and whole:
            self.base = found.plan
            self.best_folder = self._folder(stage)
            if stage.block is not None and not self._is_behind(stage):
                self.directory.copy_model(self.best_folder, BEST)
        return ended

    @property
    def standing(self) -> Standing | None:
        """What the order of shared weights was worth, in a mode that has them."""
        return self._proposals.standing if isinstance(self._proposals, OneShot) else None

    def _shared_stage(self) -> SharedStage:
        folder, kept, told = self.directory, self.checkpoints, self.observer
        kind = LearnedStage if self.config.run.search_mode.learns else SharedStage
        return kind(
            ready=self.ready, directory=folder, checkpoints=kept, feeds=self.feeds, observer=told, limit=self.limit
        )

    def _is_begun(self, stage: Stage) -> bool:
        """Whether an earlier process came to it, whose trials are only read."""
        return any((trial.block or 0) >= (stage.number or 0) for trial in self.recorded)

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

    def _loop(self, stage: Stage, candidates: Candidates, proposals: Proposer, engine: Engine) -> TrialLoop:
        run, store, before = self.config.run, self.store, self.best
        own = self._folder(stage)

        def record(trial: AnyTrial) -> None:
            if trial.number > len(self.recorded):
                self.directory.append_trial(trial)
            self.trials.append(trial)
            self.on_record(trial)
            if not isinstance(trial, Trial):
                self.checkpoints.forget_training(f"trial_{trial.number}")

        def keep(trial: Trial, weights: TrainedWeights | None, better: bool) -> None:
            if weights is None:
                store.completed.append(trial)
                self.checkpoints.forget_training(f"trial_{trial.number}")
                return
            leads = own != BEST and (before is None or self._outranks(trial, before))
            folders = ((own, BEST) if leads else (own,)) if better and trial.number not in self.not_best else ()
            later = {number for number in self.checkpoints.kept if number > trial.number}  # of an earlier process
            needed = proposals.continues() | {trial.number} | parents(self.lost, self.recorded) | later
            store.keep(trial, weights, folders, needed, run.search_mode.continues)
            self.checkpoints.mark(trial.number)
            self.waiting.forget(trial.number)
            self.checkpoints.forget_training(f"trial_{trial.number}")

        return TrialLoop(
            Search(
                space=candidates.space,
                proposer=proposals,
                engine=engine,
                target=self.recipe.target,
                extent=stage.extent,
                epochs=EpochCounter.of(run),
                max_failures=run.max_failures,
                record=record,
                keep=keep,
                observer=self.observer,
                known={trial.number: trial for trial in self.recorded},
                lost=self.lost,
                interrupts=self.interrupts,
                out_of_time=lambda: run_out(self.limit),
                constraints=self.constraints,
                objection=objections(self.config, self.experiment.model, self.schedule.space),
                prune=run.prune,
                whole_front=self.config.wants_front,
                whole_list=not run.search_mode.trains,
                early_stop=run.early_stop == "bound",
                best_models=run.best_models if stage is self.schedule.stages[-1] else 1,
                block=stage.number,
                earlier=len(self.trials),
                incumbent=before if stage.names <= self.base.layers.keys() else None,
            )
        )

    def _parent(self, proposal: Proposal) -> Parent | None:
        """The trial that a proposal starts from, where its weights are there."""
        number = proposal.parent
        if number == SHARED and self.shared is not None:
            return self.shared.parent(proposal)
        if number is None or number not in self.checkpoints.kept:
            return None
        end = self.checkpoints.end(number) if proposal.first_epoch else None
        return Parent(self.plan_of(number), self.checkpoints.best(number), end)

    def _proposer(self, stage: Stage, candidates: Candidates, folder: Path, ranking: SharedRanking | None) -> Proposer:
        run = self.config.run
        seed = spread(run.seed, SEARCH_SEED, *(() if stage.number is None else (stage.number,)))

        def plans(count: int) -> list[Values]:
            return first_plans(self.ready, self.directory, count, self.observer.stage, self.limit)

        setting = SearchSetting(
            candidates=candidates,
            run=run,
            trials=stage.trials,
            seed=seed,
            folder=folder,
            guide=lambda: guide_of(self.ready, candidates, stage.trials, seed, self.constraints.metric, plans),
            ladder=lambda: ladder_of(self.ready, self.directory, stage.trials, self.observer.stage, self.limit),
            ranking=ranking,
        )
        proposals = proposer(setting)
        self.observer.stage(title(stage, len(self.schedule.stages), run, proposals.total, candidates.space))
        return proposals

    def _start(self, stage: Stage) -> keras.Model | None:
        """The model whose weights trials start from: the best so far, the reference, or none."""
        if self.best is not None:
            return reloaded(self.directory.path / self.best_folder / MODEL, self.experiment.model, self.base)
        return self.experiment.model if stage.block is not None or self.config.run.transfers else None

    @contextmanager
    def _engine(self, stage: Stage, space: SearchSpace) -> Iterator[Engine]:
        """What trains the stage's trials: this process, or workers."""
        if self.pool is None:
            with self.interrupts.allowed():
                trainer = self._trainer(stage, space)
            yield InProcess(lambda task: trainer.train(task, self._parent(task.proposal)), self.interrupts)
            return
        with self.interrupts.allowed():
            start = self._start(stage)
            best = None if self.best is None or start is None else Parent(self.base, start.get_weights(), None)
            pool = self.pool
            setup = setup_of(self.token, self.ready, stage, self.base, best, pool.count, pool.threads)
        engine = WorkersEngine(
            pool,
            setup,
            lambda task: (task, self._parent(task.proposal)),
            lambda one: self.observer.epoch_ended(**one),
            self.observer.stage,
            self.interrupts,
            lambda: run_out(self.limit),
        )
        with engine:
            yield Remembering(engine, self.waiting)

    def _trainer(self, stage: Stage, space: SearchSpace) -> CandidateTrainer:
        trainer = trainer_of(self.ready, stage, self._start(stage), self.feeds, self.observer.epoch_ended)
        trainer = replace(trainer, limit=self.limit, checkpoints=self.checkpoints)
        if self._is_behind(stage):
            return trainer
        try:
            return shared(trainer, self.ready.experiment.loaded, space, stage.trials, self.ready.shared)
        except NotShareableError as error:
            self.observer.stage(f"each trial is trained in a model of its own: {error}")
            return trainer
