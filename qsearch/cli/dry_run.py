"""`qsearch run --dry-run`: all that a run would do, up to the first training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qsearch.cli.output import say
from qsearch.errors import ConfigError
from qsearch.exit_codes import ExitCode
from qsearch.report.units import cost, duration
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig
    from qsearch.runner.prepared import Prepared


def rehearsed(loaded: LoadedConfig, resume: bool) -> int:
    """Say what a run of a configuration would do; returns the exit code, 0 where it could begin.

    Args:
        resume: whether it is to go on with the run in its folder.

    Raises:
        QsearchError: what the run would end with.
    """
    from qsearch.cli.check import what_is_read

    problems = what_is_read(loaded)
    if problems:
        raise ConfigError("\n".join(problems))
    where = [*_folder(loaded, resume), *_files(loaded)]  # told before the model and the data are read
    for line in (*_facts(loaded), *where):
        say(line)
    say("nothing was trained or written: --dry-run")
    return ExitCode.DONE


def _facts(loaded: LoadedConfig) -> Iterator[str]:
    """Data, model, costs, space, stages and trials, a line each.

    Raises:
        QsearchError: what a run would end with before its first training.
    """
    with quiet_start():
        from qsearch.runner.experiment import read_experiment
        from qsearch.runner.feasible import check_budget
        from qsearch.runner.placed import placed
        from qsearch.runner.prepared import prepared
        from qsearch.runner.rehearsal import rehearse

    with placed(loaded):
        experiment = read_experiment(loaded)
        ready = prepared(experiment)
        check_budget(experiment, ready.schedule.space)
        remarks = rehearse(experiment, ready.data, ready.recipe, ready.schedule)
    data, config = ready.data, loaded.config
    yield f"data set {config.dataset.origin}: {data.train.samples} samples to train, {data.test.samples} to test, " + (
        "selected on the test set" if config.dataset.validation == "test" else f"{data.selection.samples} to select on"
    )
    yield f"model {config.model.origin}: {len(experiment.graph.nodes)} calls of layers"
    yield f"the reference costs {cost(experiment.reference.total, experiment.costs.unit)}"
    space = ready.schedule.space
    yield f"space: {len(space.dimensions)} choices, {_count(space.size)} combinations"
    yield from experiment.unsearched
    yield from _stages(ready)
    for line in (*experiment.remarks, *remarks):
        yield f"note: {line}"


def _stages(ready: Prepared) -> Iterator[str]:
    from qsearch.search.modes import workload

    run, final = ready.experiment.loaded.config.run, ready.experiment.loaded.config.final_training
    reference = ready.experiment.loaded.config.reference
    yield f"training of the reference: {reference.epochs} epochs in batches of {reference.batch_size}"
    for stage, size in zip(ready.schedule.stages, ready.schedule.sizes, strict=True):
        where = "" if stage.block is None else f" of block {stage.block.pattern}"
        trials, epochs = workload(run, stage.trials)
        yield f"search{where}, {run.mode}: {trials} trials, {epochs} epochs in all, of {_count(size)} combinations"
    for name, limit in (("time_limit", run.time_limit), ("trial_timeout", run.trial_timeout)):
        if limit is not None:
            yield f"run.{name}: {duration(limit)}"
    if final is not None:
        yield f"final training: {final.epochs} epochs"


def _count(number: int) -> str:
    return f"{number:,}" if number < 1_000_000_000 else f"{float(number):.2e}" if number < 10**300 else "over 1e300"


def _folder(loaded: LoadedConfig, resume: bool) -> Iterator[str]:
    """Where it would write.

    Raises:
        OutputError: it cannot.
    """
    from qsearch.runs.directory import planned_directory

    run = loaded.config.run
    if resume:
        from qsearch.runner.resume import check_resumable, stopped_run

        stopped = stopped_run(loaded)
        if stopped is not None:
            check_resumable(loaded, stopped)
            yield f"goes on with the run in {stopped.path}"
            return
    yield f"writes {planned_directory(str(run.output_dir), fresh_name=run.overwrite)}"


def _files(loaded: LoadedConfig) -> Iterator[str]:
    """What it would write there; docs/run_directory.md says what is in them."""
    from qsearch.runs.directory import (
        BEST,
        CHECKPOINTS,
        CONFIG,
        ENERGY,
        ENVIRONMENT,
        JOURNAL,
        MODEL,
        PLAN,
        REPORT,
        RESULT,
    )

    config = loaded.config
    names = [CONFIG, ENVIRONMENT, JOURNAL, f"{BEST}/{MODEL}", f"{BEST}/{PLAN}"]
    if config.run.blocks:
        names.append("blocks/N/")
    if config.run.best_models > 1 or config.wants_front:
        names.append("models/trial_N/")
    names += [f"exports/{one.name}/" for one in config.export]
    yield f"with {', '.join([*names, f'{CHECKPOINTS}/', ENERGY, RESULT, REPORT])}"
