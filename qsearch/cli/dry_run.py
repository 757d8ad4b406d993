"""`qsearch run --dry-run`: all that a run would do, up to the first training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qsearch.cli.output import say
from qsearch.exit_codes import ExitCode
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig


def rehearsed(loaded: LoadedConfig, resume: bool) -> int:
    """Say what a run of a configuration would do; returns the exit code, 0 where it could begin.

    Args:
        resume: whether it is to go on with the run in its folder.

    Raises:
        QsearchError: what the run would end with before its first training.
    """
    from qsearch.cli.check import what_is_touched
    from qsearch.cli.outlook import show

    what_is_touched(loaded)
    where = [*_folder(loaded, resume), *_files(loaded)]  # told before the model and the data are read
    with quiet_start():
        from qsearch.runner.outlook import outlook

    show(outlook(loaded))
    for line in where:
        say(line)
    say("nothing was trained or written: --dry-run")
    return ExitCode.DONE


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
        ENVIRONMENT,
        JOURNAL,
        MODEL,
        PLAN,
        WEIGHTS,
        WRITTEN_LAST,
    )

    config = loaded.config
    names = [CONFIG, ENVIRONMENT, JOURNAL, f"{BEST}/{MODEL}", f"{BEST}/{PLAN}"]
    if config.run.blocks:
        names.append("blocks/N/")
    if config.run.best_models > 1 or config.wants_front:
        names.append("models/trial_N/")
    names += [f"exports/{one.name}/" for one in config.export]
    last = (f"{BEST}/{name}" if name == WEIGHTS else name for name in WRITTEN_LAST)
    yield f"with {', '.join([*names, f'{CHECKPOINTS}/', *last])}"
