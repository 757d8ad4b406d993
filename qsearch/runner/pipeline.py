"""The one direct pass: configuration -> data, model -> cost -> space -> trials -> best model -> report."""

from __future__ import annotations

import shlex
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import keras

from qsearch.config import Config, LoadedConfig, load_config
from qsearch.errors import OutputError, SearchError, WorkersError
from qsearch.goal.price import Constraints, budget_of
from qsearch.goal.tolerance import least_metric
from qsearch.interrupts import Interrupts
from qsearch.observers.several import Observers
from qsearch.report.markdown import markdown
from qsearch.runner.experiment import read_experiment
from qsearch.runner.exports import ExportOutcome, export_all
from qsearch.runner.feasible import check_budget
from qsearch.runner.live_report import LiveReport
from qsearch.runner.notes import nothing_found, unused_keys
from qsearch.runner.placed import placed
from qsearch.runner.prepared import Prepared, prepared
from qsearch.runner.reference_figures import reference_figures
from qsearch.runner.rehearsal import final_recipe, rehearse
from qsearch.runner.reload import reloaded
from qsearch.runner.resume import begun, check_resumable, stopped_run
from qsearch.runner.run_result import RunResult
from qsearch.runner.staged_search import StagedSearch
from qsearch.runner.stop import Stop
from qsearch.runner.summary import RunSummary
from qsearch.runner.unchanged import Inputs
from qsearch.runner.watching import given, observing, start_of, tell_end
from qsearch.runs.directory import (
    BEST,
    CHECKPOINTS,
    ENERGY,
    JOURNAL,
    REPORT,
    RESULT,
    RunDirectory,
    create_directory,
)
from qsearch.runs.figures import Evaluation
from qsearch.runs.lock import locked
from qsearch.runs.result import Result
from qsearch.search.seeds import FINAL_SEED, REFERENCE_SEED, spread
from qsearch.search.time_limits import Deadlines, OutOfTimeError, TimeLimit, run_out
from qsearch.search.trials import AnyTrial, Observer, Trained, Trial
from qsearch.training.batches import Feeds
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.devices import strategy
from qsearch.training.epochs import DivergedError
from qsearch.training.fit import compile_model, evaluate, train
from qsearch.workers.pool import Pool, pool


def run(
    config: str | Path,
    overrides: Sequence[str] = (),
    observer: Observer | Sequence[Observer] | None = None,
    resume: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
) -> RunResult:
    """Search the best quantized version of a model, as a configuration file says.

    Ctrl-C (KeyboardInterrupt) while it searches ends the search; what is finished is evaluated and returned.

    Args:
        observer: is told how the run goes on, or several of them; None: a bar in a notebook, nothing elsewhere.
        resume: go on with the run in `run.output_dir`, where there is one: its trials are not trained again, and it
            makes those that it would have made without a break.
        workers: so many processes of this machine train trials, several at a time.
        scheduler: the workers of a Dask cluster do, such as tcp://host:8786, or its scheduler file.

    Raises:
        QsearchError: one of its subclasses, each with an exit code of its own; see qsearch.errors.
    """
    loaded = load_config(config, overrides)
    with Interrupts((signal.SIGINT,)) as interrupts, interrupts.allowed(), pool(workers, scheduler) as found:
        return run_loaded(loaded, given(observer), interrupts, resume, found)


def run_loaded(
    loaded: LoadedConfig,
    observers: Sequence[Observer],
    interrupts: Interrupts,
    resume: bool = False,
    workers: Pool | None = None,
) -> RunResult:
    """`run` for a configuration that is already checked."""
    config, observer = loaded.config, observing(loaded, observers)
    limit = TimeLimit(config.run.time_limit)
    if workers is not None and config.run.distribution_strategy in ("mirrored", "tpu"):
        raise loaded.error(
            ("run", "distribution_strategy"),
            f"found {config.run.distribution_strategy!r}, which is for one process, and each worker trains on a device "
            "of its own; allowed with workers: auto, none",
        )
    stopped = stopped_run(loaded) if resume else None
    scope, devices = strategy(config.run.distribution_strategy)
    with ExitStack() as held:
        if stopped is not None:
            check_resumable(loaded, stopped)
            held.enter_context(locked(stopped.path))
        inputs = Inputs.of(config, stopped)
        held.enter_context(scope)
        held.enter_context(placed(loaded))
        observer.stage(f"model {config.model.origin}, data set {config.dataset.origin}, {devices}")
        experiment = read_experiment(loaded)
        versions = inputs.other_versions(config.run.seed)
        if versions is not None:
            experiment = replace(experiment, remarks=(versions, *experiment.remarks))
        for line in (*experiment.unsearched, *experiment.remarks):
            observer.stage(line)
        ready = prepared(experiment)
        known = inputs.with_data(ready.data)
        check_budget(experiment, ready.schedule.reachable)
        remarks = rehearse(experiment, ready.data, ready.recipe, ready.schedule)
        for line in remarks:
            observer.stage(line)
        ready = replace(ready, experiment=replace(experiment, remarks=(*experiment.remarks, *remarks)))
        directory = stopped
        if directory is None:
            directory = create_directory(str(config.run.output_dir), fresh_name=config.run.overwrite)
            held.enter_context(locked(directory.path))
        held.enter_context(directory.reserved())
        recorded = begun(directory, config, known)
        observer.run_started(start_of(ready, directory.path, recorded))
        held.callback(observer.run_ended, None)
        return _Run(
            ready=ready,
            directory=directory,
            observer=observer,
            interrupts=interrupts,
            pool=workers,
            recorded=recorded,
            limit=limit,
        ).go()


@dataclass(kw_only=True)
class _Run:
    """One pass over prepared inputs; its methods are the stages in order.

    Attributes:
        recorded: trials of an earlier process, which goes on here.
        limit: the time of this process.
        late: what was left out for want of time, a line each.
    """

    ready: Prepared
    directory: RunDirectory
    observer: Observers
    interrupts: Interrupts
    pool: Pool | None
    recorded: Sequence[AnyTrial]
    limit: TimeLimit
    late: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.started = time.monotonic() - sum(trial.seconds for trial in self.recorded)
        self.experiment, self.data, self.recipe = self.ready.experiment, self.ready.data, self.ready.recipe
        self.config: Config = self.experiment.loaded.config
        self.checkpoints = Checkpoints(self.directory.path / CHECKPOINTS)
        self.feeds = Feeds()

    def go(self) -> RunResult:
        self._train_reference()
        evaluated = self._figures(self.experiment.model)
        self.observer.reference_evaluated(evaluated)
        reference = reference_figures(self.experiment, evaluated, self.checkpoints.reference_curve())
        live = LiveReport(
            directory=self.directory,
            experiment=self.experiment,
            target=self.recipe.target,
            reference=reference,
            dataset=self.data.name,
            observer=self.observer,
        )
        search = StagedSearch(
            ready=self.ready,
            constraints=self._constraints(reference),
            directory=self.directory,
            checkpoints=self.checkpoints,
            feeds=self.feeds,
            observer=self.observer,
            interrupts=self.interrupts,
            pool=self.pool,
            recorded=self.recorded,
            limit=self.limit,
            on_record=live.recorded,
        )
        stop, final = None, None
        try:
            ended = search.go()
        except (KeyboardInterrupt, OutputError, WorkersError) as error:
            stop = self._stopped(error)
            ended = f"{stop.reason}; the best model is as its trial left it"
        best = search.best
        if best is None and stop is None:
            raise SearchError(nothing_found(search, ended, self.directory.path / JOURNAL))
        if search.cut_short:
            self._note(f"`qsearch resume {shlex.quote(str(self.directory.path))}` goes on, for {self.limit} more")
        if best is not None and stop is None:
            try:
                final = self._train_final(best)
            except (KeyboardInterrupt, OutputError) as error:
                stop = self._stopped(error)
                ended = f"{ended}; final training {stop.reason}; the best model is as its trial left it"
        self.observer.stage("evaluation on the test set")
        kept: dict[int, tuple[tuple[str, ...], Evaluation]] = {}
        exports: list[ExportOutcome] = []
        try:
            if stop is None or not isinstance(stop.error, OutputError):
                exported = None if stop is not None or search.is_partial else exports
                for number, model in self._kept_models(search, exported):
                    kept[number] = model
            if search.is_partial and self.config.export:
                self._note("export: left out, as there are blocks that were not searched")
            elif stop is None and best is not None and self.config.export:
                self.observer.stage(f"export: {', '.join(one.name for one in self.config.export)}")
                exports += export_all(self.config, self._load(best), self.data.test, self.directory.path)
        except OutputError as error:
            stop = self._stopped(error)
            ended = f"{ended}; {stop.reason}"
        if stop is None and not search.cut_short:
            self.checkpoints.prune(search.still_needed())
            self.checkpoints.forget_training()
        summary = RunSummary(
            experiment=self.experiment,
            data=self.data,
            target=self.recipe.target,
            reference=reference,
            best_figures=None if best is None else self._best_figures(best, live),
            final=final,
            best=best,
            trials=tuple(search.trials),
            stages=tuple(search.done),
            kept=kept,
            ended=ended,
            notes=[*(outcome.text for outcome in exports), *self._notes(search)],
            interrupted=stop is not None and stop.interrupted,
            seconds=time.monotonic() - self.started,
            disk=self.directory.disk_bytes(),
            standing=search.standing,
            plans=0 if search.shared is None else search.shared.plans,
        )
        result = self._written(summary, live)
        tell_end(self.observer, self.directory.path)
        if stop is not None and not isinstance(stop.error, KeyboardInterrupt):
            report = self.directory.path / REPORT
            raise type(stop.error)(f"{stop.error}; what was finished before is in {report}")
        return RunResult(
            run_directory=self.directory.path,
            best=best,
            trials=tuple(search.trials),
            result=result,
            exports=tuple(exports),
            custom_objects=self.experiment.custom_objects,
            reference=self.experiment.model,
        )

    def _stopped(self, error: KeyboardInterrupt | OutputError | WorkersError) -> Stop:
        """Answer what ended a part of the run: what is finished is still evaluated and reported."""
        self.interrupts.answered()
        self.directory.check_exists()
        stop = Stop(error)
        self.observer.stage(f"{stop.reason}; what is finished is evaluated and reported")
        return stop

    def _best_figures(self, best: Trial, live: LiveReport) -> Evaluation:
        model = self._load(best)
        live.write_weights(model, best.plan)
        return self._figures(model)

    def _written(self, summary: RunSummary, live: LiveReport) -> Result:
        """Write the files that say what the run came to."""
        result, energies = summary.result(), summary.energies()
        with self.interrupts.held():
            self.directory.free_reserve()
            self.directory.write_json(RESULT, result.to_dict())
            self.directory.write_text(REPORT, markdown(result, energies, summary.trials))
            self.directory.write_json(ENERGY, energies.to_dict())
            live.write_end()
        return result

    def _train_reference(self) -> None:
        epochs, trained = self.config.reference.epochs, self.checkpoints.reference()
        if trained is not None:
            self.observer.stage(f"reference: trained before; {len(self.recorded)} trials were finished")
            self.experiment.model.set_weights(trained)
            return
        self.observer.stage(f"reference: {epochs} epochs" if epochs else "reference: not trained (epochs: 0)")
        if epochs:
            seed = spread(self.config.run.seed, REFERENCE_SEED)
            progress = self.checkpoints.training("reference", {})
            model, ended, deadlines = self.experiment.model, self.observer.epoch_ended, Deadlines(self.limit)
            try:
                came_to, _ = train(
                    model,
                    self.data,
                    self.recipe,
                    seed,
                    ended,
                    feeds=self.feeds,
                    deadlines=deadlines,
                    progress=progress,
                )
            except OutOfTimeError as error:
                raise SearchError(
                    f"run.time_limit: {self.limit} was over while the reference was trained, {error.place}, so that "
                    "nothing was searched; allow more time, or lower reference.epochs"
                ) from None
            except DivergedError as error:
                rate = f"reference.optimizer.learning_rate ({self.recipe.optimizer.learning_rate:g})"
                fix = (
                    f"lower {rate}, give it clipnorm: 1.0, or scale samples to about 1"
                    if error.of_loss
                    else "look at the labels of the set to select on: the metric is no number for them"
                )
                raise DivergedError(f"reference: {error}; {fix}", error.of_loss) from None
            self.checkpoints.save_reference(model.get_weights(), came_to.curve)
            self.checkpoints.forget_training("reference")

    def _constraints(self, reference: Evaluation) -> Constraints:
        run, target = self.config.run, self.recipe.target
        metric = least_metric(run, target, reference.selection[target.name.removeprefix("val_")])
        return replace(budget_of(run.budget), metric=metric)

    def _train_final(self, best: Trial) -> Trained | None:
        """Train the winner longer, from its trained weights, and save it."""
        final = self.config.final_training
        if final is None or not final.epochs:
            return None
        if self.limit.is_over:
            self._note(f"final training: left out, as {run_out(self.limit)}")
            return None
        self.observer.stage(f"final training of trial {best.number}: {final.epochs} epochs")
        recipe = final_recipe(self.recipe, final)
        self.directory.set_aside_best()
        seed = spread(self.config.run.seed, FINAL_SEED)
        keras.utils.set_random_seed(seed)  # before loading: layers with noise seed themselves when they are made
        model = self._load(best)
        progress = self.checkpoints.training("final", {"trial": best.number, "plan": best.plan.to_dict()})
        trained, _ = train(
            model,
            self.data,
            recipe,
            seed,
            self.observer.epoch_ended,
            stop=lambda _: run_out(self.limit),
            feeds=self.feeds,
            progress=progress,
        )
        if trained.stopped is not None:
            self._note(f"final training: ended after epoch {trained.epochs} of {final.epochs}, as {trained.stopped}")
        self.directory.save_model(BEST, model, best.plan)
        self.checkpoints.forget_training("final")
        return trained

    def _kept_models(
        self, search: StagedSearch, exports: list[ExportOutcome] | None
    ) -> Iterator[tuple[int, tuple[tuple[str, ...], Evaluation]]]:
        """Save the models that are wanted beside the best one, evaluate them, and export the front's, one by one."""
        for number, roles in search.store.wanted().items():
            plan = search.plan_of(number)
            model = search.store.restored(number, plan)
            self.directory.save_model(f"models/trial_{number}", model, plan)
            if exports is not None and "front" in roles:
                exports += export_all(self.config, model, self.data.test, self.directory.path, number)
            yield number, (roles, self._figures(model))

    def _load(self, best: Trial) -> keras.Model:
        return reloaded(self.directory.model_path, self.experiment.model, best.plan)

    def _figures(self, model: keras.Model) -> Evaluation:
        compile_model(model, self.recipe)
        return Evaluation(
            selection=evaluate(model, self.data.selection, self.recipe),
            test=evaluate(model, self.data.test, self.recipe),
            parameters=model.count_params(),
        )

    def _note(self, line: str) -> None:
        self.late.append(line)
        self.observer.stage(line)

    def _notes(self, search: StagedSearch) -> list[str]:
        own = (*self.late, *self.observer.left_out, *search.notes(), *unused_keys(self.config.run))
        return [*self.experiment.remarks, *self.ready.schedule.notes, *own]
