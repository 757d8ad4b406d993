"""Runs and trials that may only take so long, by a clock that the tests move."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import pytest
from run_left import left, same
from slow import by_hand, slow
from tiny_run import tiny

import qsearch
from qsearch.errors import OutputError, SearchError
from qsearch.search import time_limits
from qsearch.search.trials import FailedTrial, SilentObserver, Trial

HOUR = 3600.0
ENDED = 0
"""In place of an epoch: when all of a trial has ended."""


class Clock(SilentObserver):
    """Jumps ahead at the end of one epoch.

    Attributes:
        late: given what is trained, "reference", "final training" or the trial's number, and the epoch: seconds that
            have passed.
    """

    def __init__(self, late: Callable[[str, int], float]) -> None:
        self.now, self.late, self.what = 0.0, late, "reference"
        self.lines: list[str] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)
        if title.startswith("final training of"):
            self.what = "final training"

    def trial_started(self, number: int, *_: object) -> None:
        self.what = str(number)

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        self.now += self.late(self.what, epoch)

    def trial_ended(self, *_: object) -> None:
        self.now += self.late(self.what, ENDED)


def at(what: str, epoch: int, seconds: float) -> Callable[[str, int], float]:
    return lambda now, at: seconds if (now, at) == (what, epoch) else 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str, int], float]], Clock]:
    def made(late: Callable[[str, int], float]) -> Clock:
        clock = Clock(late)
        monkeypatch.setattr(time_limits, "time", SimpleNamespace(monotonic=lambda: clock.now))
        return clock

    return made


Made = Callable[[Callable[[str, int], float]], Clock]
ALL = ["run.max_trials=3", "run.prune=false"]


@pytest.mark.parametrize("trials", ["shared", by_hand("rebuilt")])
def test_a_trial_that_takes_too_long_fails_and_the_search_goes_on(tmp_path: Path, clock: Made, trials: str) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    sets = [*ALL, f"run.trials={trials}", "run.trial_timeout=10min", "final_training.epochs=0"]
    late = qsearch.run(config, sets, clock(at("2", 1, 601)))
    first, failed, third = late.trials
    assert isinstance(failed, FailedTrial)
    assert failed.reason == "took longer than run.trial_timeout, 10 min, after epoch 1 of 2"
    assert late.result.ended == "all 3 trials done"
    assert (late.result.trials.completed, late.result.trials.failed) == (2, 1)
    sets[-2] = f"run.output_dir={tmp_path / 'unhurried'}"
    unhurried = qsearch.run(config, sets)
    for one, other in ((first, unhurried.trials[0]), (third, unhurried.trials[2])):
        assert isinstance(one, Trial)
        assert isinstance(other, Trial)
        assert one.trained == other.trained


@pytest.mark.slow
def test_all_executions_of_a_trial_count_together(tmp_path: Path, clock: Made) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    sets = ["run.max_trials=2", "run.executions_per_trial=2", "run.trial_timeout=1h", "final_training.epochs=0"]
    result = qsearch.run(config, sets, clock(lambda what, epoch: 0.3 * HOUR if what == "2" else 0.0))
    failed = result.trials[1]
    assert isinstance(failed, FailedTrial)  # four epochs of 18 minutes
    assert failed.reason == "took longer than run.trial_timeout, 1 h, after epoch 2 of 2"


@pytest.mark.slow
def test_a_run_ends_in_order_when_its_time_is_up(tmp_path: Path, clock: Made) -> None:
    config = tiny(tmp_path, tmp_path / "whole")
    qsearch.run(config, ALL)
    sets = [*ALL, "run.time_limit=2h", f"run.output_dir={tmp_path / 'late'}"]
    told = clock(at("3", 1, 2 * HOUR))
    late = qsearch.run(config, sets, told)
    assert late.result.ended == "the time limit of 2 h was reached, 2 trials trained"
    assert not late.result.interrupted
    assert len(late.trials) == 2  # the third is dropped
    assert len((tmp_path / "late" / "trials.jsonl").read_text().splitlines()) == 2
    best = late.result.best
    assert best is not None
    assert best.final_training is None
    assert "final training: left out, as the time limit of 2 h was reached" in late.result.notes
    assert f"`qsearch resume {tmp_path / 'late'}` goes on, for 2 h more" in told.lines
    report = (tmp_path / "late" / "report.md").read_text()
    assert "the time limit of 2 h was reached, 2 trials trained." in report
    # going on, it has its time anew, and may have more
    qsearch.run(config, sets, clock(at("3", 1, HOUR)), resume=True)
    same(left(tmp_path / "late"), left(tmp_path / "whole"))


@pytest.mark.by_hand
def test_time_that_is_up_in_the_final_training_ends_it_with_its_epoch(tmp_path: Path, clock: Made) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    sets = ["run.max_trials=1", "run.time_limit=2h", "final_training.epochs=3"]
    late = qsearch.run(config, sets, clock(at("final training", 1, 2 * HOUR)))
    assert late.result.ended == "all 1 trials done"
    best = late.result.best
    assert best is not None
    assert best.final_training is not None
    assert best.final_training.epochs == 1
    assert "final training: ended after epoch 1 of 3, as the time limit of 2 h was reached" in late.result.notes


def test_time_that_is_up_before_anything_was_searched(tmp_path: Path, clock: Made) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    with pytest.raises(SearchError, match=r"run\.time_limit: 2 h was over while the reference .*after epoch 1 of 2"):
        qsearch.run(config, ["run.time_limit=2h"], clock(at("reference", 1, 2 * HOUR)))
    with pytest.raises(SearchError, match=r"run\.time_limit: no trial was completed \(the time limit of 1 h .*, 0 tri"):
        qsearch.run(config, ["run.time_limit=1h"], clock(at("1", 1, HOUR)), resume=True)


@pytest.mark.by_hand
def test_a_clock_that_is_set_while_a_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, now = tiny(tmp_path, tmp_path / "out"), time.time
    sets = ["run.max_trials=1", "run.trial_timeout=1h", "run.time_limit=1h", "reference.epochs=1", "run.epochs=1"]
    with (
        monkeypatch.context() as patched,
        pytest.raises(OutputError, match=r"clock of this machine says 19\d\d, .* 1980"),
    ):
        patched.setattr(time, "time", lambda: now() % (365 * 86_400))  # a machine that keeps no time without power
        qsearch.run(config, sets)
    days = itertools.cycle((0.0, 1000.0, -1000.0))
    monkeypatch.setattr(time, "time", lambda: now() + 86_400 * next(days))
    result = qsearch.run(config, sets, resume=True).result
    assert result.ended == "all 1 trials done"
    assert 0 < result.seconds < HOUR


BLOCKS = ["run.blocks=['^conv', '^(?!conv)']", "run.schedule_block=sequential", "run.max_trials=2"]
SHORT = ["run.min_trials_per_block=2", "run.prune=false", "run.epochs=1", "final_training.epochs=0"]


@pytest.mark.parametrize(
    ("trial", "epoch", "ended"),
    [
        slow("2", ENDED, "before block 2 of 2, 2 trials trained"),
        by_hand("4", 1, "in block 2 of 2, 3 trials trained"),
    ],
)
def test_blocks_share_the_time(tmp_path: Path, clock: Made, trial: str, epoch: int, ended: str) -> None:
    config = tiny(tmp_path, tmp_path / "whole")
    qsearch.run(config, [*BLOCKS, *SHORT])
    sets = [*BLOCKS, *SHORT, "run.time_limit=2h", f"run.output_dir={tmp_path / 'late'}"]
    late = qsearch.run(config, sets, clock(at(trial, epoch, 2 * HOUR)))
    assert late.result.ended == f"the time limit of 2 h was reached {ended}"
    assert late.result.best is not None
    assert len(late.result.blocks) == (2 if "in block 2" in ended else 1)
    qsearch.run(config, sets, clock(at("", 0, 0)), resume=True)
    same(left(tmp_path / "late"), left(tmp_path / "whole"))
