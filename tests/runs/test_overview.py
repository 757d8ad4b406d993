"""What a run has come to, in whatever state it is."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from run_by_hand import CONFIG, REFERENCE, completed, failed, made_run, plan, skipped

from qsearch.goal.target import Target
from qsearch.runs.overview import Overview, overview
from qsearch.runs.record import RunRecord
from qsearch.runs.state import State
from qsearch.search.trials import AnyTrial, Trial

LOSS = Target("val_loss", maximize=False, limit=0.0)


def seen(folder: Path) -> Overview:
    return overview(RunRecord.read(folder))


def trials() -> list[AnyTrial]:
    return [completed(1, 0.9, 4000.0), failed(2), completed(3, 0.95, 5000.0), skipped(4), completed(5, 0.7, 4500.0)]


def test_a_finished_run(tmp_path: Path) -> None:
    every = trials()
    best = every[2]
    assert isinstance(best, Trial)
    run = seen(made_run(tmp_path / "run", every, best=best))
    assert (run.state, run.best, run.unit, run.metric) == (State.FINISHED, run.trials[2], "pJ", "acc")
    assert [trial.number for trial in run.front] == [1, 3]
    assert run.roles == {3: ("best", "front"), 1: ("front",)}
    assert (run.counts.completed, run.counts.failed, run.counts.skipped) == (3, 1, 1)
    assert run.ratio(run.trials[2]) == 2.0
    assert run.ratio(run.trials[1]) is None


def test_the_reference_is_reckoned_back_where_there_is_no_result_yet(tmp_path: Path) -> None:
    best = completed(1, 0.9, 4000.0)
    run = seen(made_run(tmp_path / "run", [best, completed(2, 0.5, 12_000.0)], best=best, ended=False))
    assert run.result is None
    assert run.reference_energy == pytest.approx(REFERENCE, rel=1e-4)
    assert run.best is not None and run.best.number == 1
    blocks = CONFIG.replace("max_trials: 50", 'max_trials: 50, blocks: ["^conv", "^dense"]')
    looking_ahead = [completed(1, 0.9, 4000.0, block=1)]
    assert seen(made_run(tmp_path / "b", looking_ahead, config=blocks, ended=False)).reference_energy is None


def test_a_process_that_writes_is_told_and_a_killed_one_is_not(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", trials(), ended=False)
    assert seen(folder).state is State.STOPPED
    lock = folder / ".lock"
    lock.write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
    assert (seen(folder).state, seen(folder).writer) == (
        State.RUNNING,
        f"process {os.getpid()} on {socket.gethostname()}",
    )
    lock.write_text(f"process 999999999 on {socket.gethostname()}\n", encoding="utf-8")
    assert seen(folder).state is State.STOPPED
    lock.write_text("process 999999999 on elsewhere\n", encoding="utf-8")
    assert seen(folder).state is State.RUNNING


def test_the_result_of_before_a_run_went_on_is_not_its_result(tmp_path: Path) -> None:
    first, later = completed(1, 0.9, 4000.0), completed(2, 0.95, 4000.0)
    folder = made_run(tmp_path / "run", [first], best=first)
    with (folder / "trials.jsonl").open("a", encoding="utf-8") as journal:
        (other,) = (made_run(tmp_path / "other", [later]) / "trials.jsonl").read_text(encoding="utf-8").splitlines()
        journal.write(other + "\n")
    run = seen(folder)
    assert (run.state, run.result) == (State.STOPPED, None)
    assert run.reference_energy == REFERENCE  # that is what it was
    assert run.best is not None and run.best.number == 1  # its model is in best/; that of trial 2 is not yet


def test_a_metric_of_which_less_is_better(tmp_path: Path) -> None:
    every = [
        completed(number, metric, 5000.0 + number, target=LOSS) for number, metric in ((1, 0.5), (2, 0.2), (3, 0.9))
    ]
    run = seen(made_run(tmp_path / "run", every, best=None, ended=False))
    assert run.target == Target("val_loss", False, None)
    assert run.best is not None and run.best.number == 2
    assert [trial.number for trial in run.front] == [1, 2]


def test_of_blocks_the_last_counts_and_an_unaccepted_trial_ranks_last(tmp_path: Path) -> None:
    every = [
        completed(1, 0.99, 3000.0, block=1),
        completed(2, 0.9, 2000.0, block=2, accepted=False),
        completed(3, 0.8, 2500.0, block=2),
    ]
    run = seen(made_run(tmp_path / "run", every, ended=False))
    assert [trial.number for trial in run.comparable] == [2, 3]
    assert run.best is not None and run.best.number == 3


def test_a_run_that_has_no_trial_yet(tmp_path: Path) -> None:
    run = seen(made_run(tmp_path / "run", [], ended=False))
    assert (run.best, run.front, run.knee, run.reference_energy, run.roles) == (None, (), None, None, {})
    assert run.target.name == "val_acc"


def test_trials_with_the_same_plan(tmp_path: Path) -> None:
    """Hyperband goes on with a plan: the model is that of the better trial."""
    same = plan()
    every = [completed(1, 0.8, 4000.0, own_plan=same), completed(2, 0.9, 4000.0, own_plan=same)]
    run = seen(made_run(tmp_path / "run", every, best=every[1], ended=False))
    assert run.best is not None and run.best.number == 2
