"""A run that is stopped at any moment, and goes on to what it would have come to without a break."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import pytest
from run_left import left, same
from slow import by_hand, slow
from tiny_run import tiny

import qsearch
from qsearch.config import load_config, to_yaml
from qsearch.errors import ConfigError, OutputError
from qsearch.runner import pipeline
from qsearch.runs.lock import locked
from qsearch.search.trials import AnyTrial, SilentObserver, Trial
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.progress import Pace

SEARCHES = {
    "random": ["run.max_trials=3"],
    "hyperband": ["run.mode=hyperband", "run.max_epochs=4", "run.factor=2"],
    "blocks": ["run.blocks=['^conv', '^(?!conv)']", "run.schedule_block=sequential", "run.max_trials=2"],
}


class Killed(BaseException):
    """As final as a signal: nothing of qsearch handles it."""


class Moments(SilentObserver):
    """Counts what a run tells and what it writes, and kills it at one of these moments."""

    def __init__(self, deadly: int = 0) -> None:
        self.count, self.deadly = 0, deadly
        self.started: list[int] = []

    def next(self) -> None:
        self.count += 1
        if self.count == self.deadly:
            raise Killed

    def stage(self, title: str) -> None:
        self.next()

    def trial_started(self, number: int, *_: Any) -> None:
        self.started.append(number)
        self.next()

    def epoch_ended(self, *_: Any) -> None:
        self.next()

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self.next()


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def killed_and_resumed(
    config: Path, sets: Sequence[str], deadly: Sequence[int], monkeypatch: pytest.MonkeyPatch
) -> int:
    """Kill it at these moments, one attempt after the other, then let it end; the moments of the last attempt."""
    fsync, killed, moments = os.fsync, 0, Moments()
    folder = Path(sets[-1].removeprefix("run.output_dir="))
    for moment in (*deadly, 0):
        moments, finished = Moments(moment), lines(folder / "trials.jsonl")

        def synced(descriptor: int, moments: Moments = moments) -> None:
            moments.next()
            fsync(descriptor)

        monkeypatch.setattr(os, "fsync", synced)
        try:
            qsearch.run(config, sets, moments, resume=True)
        except Killed:
            killed += 1
        # the last one only, where its weights were not written yet
        assert min(moments.started, default=finished) >= finished
    monkeypatch.setattr(os, "fsync", fsync)
    assert killed >= min(len(deadly), 1)
    return moments.count


@pytest.mark.parametrize("search", ["random", by_hand("hyperband"), slow("blocks")])
def test_a_killed_run_goes_on_to_the_same_end(search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny(tmp_path, tmp_path / "whole")
    whole = [*SEARCHES[search], f"run.output_dir={tmp_path / 'whole'}"]
    count = killed_and_resumed(config, whole, [], monkeypatch)
    sets = [*SEARCHES[search], f"run.output_dir={tmp_path / 'killed'}"]
    deadly = [int(moment) for moment in numpy.random.default_rng(0).integers(2, count, 4)]
    killed_and_resumed(config, sets, deadly, monkeypatch)
    same(left(tmp_path / "killed"), left(tmp_path / "whole"))


class Epochs(SilentObserver):
    """Counts the epochs of one attempt, and kills it in one of them."""

    def __init__(self, deadly: int = 0) -> None:
        self.count, self.deadly = 0, deadly

    def epoch_ended(self, epoch: int, *_: Any) -> None:
        self.count += 1
        if self.count == self.deadly:
            raise Killed


DRAWING = "quantization_config.kernel={stochastic_ternary: 2, 'quantized_bits(4,0,1,use_stochastic_rounding=1)': 4}"
LONG = ["reference.epochs=3", "run.epochs=3", "final_training.epochs=4", DRAWING]
TRAININGS = {
    # with 3 epochs of the reference, 2 · 3 of each trial, 4 of the final training
    "shared": (["run.max_trials=2", "run.executions_per_trial=2", "run.trials=shared"], [2, 5, 6, 4, 4]),
    "hyperband": (["run.mode=hyperband", "run.max_epochs=4", "run.factor=2", "run.trials=shared"], [3, 2, 4, 5, 6]),
}


@pytest.mark.parametrize("search", [slow("shared"), by_hand("hyperband")])
def test_a_training_goes_on_from_its_last_epoch(search: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    often = partial(Checkpoints, pace=Pace(least=0.0, share=math.inf))
    monkeypatch.setattr(pipeline, "Checkpoints", often)
    options, deadly = TRAININGS[search]
    sets = [*options, *LONG]
    config = tiny(tmp_path, tmp_path / "whole")
    alone = Epochs()
    qsearch.run(config, sets, alone)
    attempts = [Epochs(epoch) for epoch in (*deadly, 0)]
    for attempt in attempts:
        try:
            qsearch.run(config, [*sets, f"run.output_dir={tmp_path / 'killed'}"], attempt, resume=True)
        except Killed:
            assert attempt.deadly
            continue
        assert not attempt.deadly
    assert sum(attempt.count for attempt in attempts) == alone.count + len(deadly)  # the epoch of each kill again
    assert not [*(tmp_path / "killed").rglob("training_*")]
    same(left(tmp_path / "killed"), left(tmp_path / "whole"))


ONE = ["run.max_trials=1", "reference.epochs=1", "run.epochs=1", "final_training.epochs=1"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one trial, to be copied."""
    folder = tmp_path_factory.mktemp("finished")
    qsearch.run(tiny(folder, folder / "out"), ONE)
    return folder / "out"


@pytest.mark.slow
def test_a_finished_run_has_more_trials(finished: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "whole")
    qsearch.run(config, [*ONE, "run.max_trials=2"])
    few = [*ONE, f"run.output_dir={tmp_path / 'more'}"]
    shutil.copytree(finished, tmp_path / "more")
    with (tmp_path / "more" / "trials.jsonl").open("ab") as journal:
        journal.write(b'{"id": 2, "half a li')
    (tmp_path / "more" / "best" / ".partial.1.keras").touch()
    counted = Moments()
    qsearch.run(config, [*few, "run.max_trials=2"], counted, resume=True)
    assert not [*(tmp_path / "more").rglob(".partial*")]
    assert counted.started == [2]
    same(left(tmp_path / "more"), left(tmp_path / "whole"))
    again = Moments()
    qsearch.run(config, [*few, "run.max_trials=2"], again, resume=True)
    assert not again.started
    same(left(tmp_path / "more"), left(tmp_path / "whole"))


def test_another_configuration_is_refused_key_by_key(finished: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    shutil.copytree(finished, tmp_path / "out")
    before = (tmp_path / "out" / "config.yaml").read_bytes()
    with pytest.raises(ConfigError) as caught:
        qsearch.run(config, [*ONE, "run.seed=5", "limit.Dense=[4,8,4]", "run.max_trials=9"], resume=True)
    text = str(caught.value)
    assert "run.seed: found 5, the run has 0" in text
    assert "limit" in text
    assert "run.max_trials: found" not in text
    assert (tmp_path / "out" / "config.yaml").read_bytes() == before


def test_a_journal_of_other_trials_is_refused(finished: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    shutil.copytree(finished, tmp_path / "out")
    journal = tmp_path / "out" / "trials.jsonl"
    line = json.loads(journal.read_text())
    name = next(name for name in line["values"] if name.endswith("_bias_quantizer"))
    line["values"][name] = "quantized_bits(7,0,1)"
    journal.write_text(json.dumps(line) + "\n")
    with pytest.raises(ConfigError, match="trial 1 of the journal has other values"):
        qsearch.run(config, ONE, resume=True)
    journal.write_text("{}\n")
    with pytest.raises(OutputError, match=r"trials\.jsonl:1: is no trial"):
        qsearch.run(config, ONE, resume=True)


def test_one_process_at_a_time_writes(finished: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    shutil.copytree(finished, tmp_path / "out")
    assert not (tmp_path / "out" / ".lock").exists()
    with locked(tmp_path / "out"), pytest.raises(OutputError, match=f"process {os.getpid()} on .* is writing to it"):
        qsearch.run(config, ONE, resume=True)
    (tmp_path / "out" / ".lock").write_text("process 1 on a machine that has died\n")
    qsearch.run(config, ONE, resume=True)


def test_the_last_of_several_runs_goes_on(finished: Path, tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    sets = [*ONE, "run.overwrite=true"]
    shutil.copytree(finished, tmp_path / "out")
    shutil.copytree(finished, tmp_path / "out_1")
    counted = Moments()
    found = qsearch.run(config, [*sets, "run.max_trials=2"], counted, resume=True)
    assert found.run_directory == tmp_path / "out_1"
    assert counted.started == [2]


@pytest.mark.slow
def test_another_budget_and_more_models_are_taken_up(tmp_path: Path) -> None:
    """What is wanted now of finished trials is trained again, to the figures that the journal has."""
    config = tiny(tmp_path, tmp_path / "out")
    sets = ["run.mode=guided", "run.max_trials=4", "run.prune=false", "reference.epochs=1", "final_training.epochs=0"]
    before = qsearch.run(config, sets)
    assert before.best is not None
    journal = (tmp_path / "out" / "trials.jsonl").read_text()
    finished = [trial for trial in before.trials if isinstance(trial, Trial)]
    energies = sorted(trial.price.energy for trial in finished)
    budget = energies[2] - 0.01  # two trials are inside
    expected = max((trial for trial in finished if trial.price.energy < budget), key=lambda trial: trial.score)

    counted = Moments()
    again = qsearch.run(config, [*sets, f"run.budget.energy={budget}", "run.best_models=2"], counted, resume=True)
    assert (tmp_path / "out" / "trials.jsonl").read_text() == journal
    assert again.best is not None
    assert again.best.number == expected.number
    assert again.best.price.energy <= budget
    assert again.summary["best"]["selection"]["acc"] == pytest.approx(expected.metric, abs=1e-6)
    kept = {trial.number for trial in finished if trial.price.energy < budget}
    assert kept <= {model["trial"] for model in again.summary["models"]}
    assert len(counted.started) <= 4

    more = qsearch.run(
        config, [*sets, "run.budget.energy=1e9", "run.best_models=2", "run.max_trials=5"], Moments(), resume=True
    )
    assert more.best is not None
    assert more.best.score >= before.best.score
    assert (tmp_path / "out" / "trials.jsonl").read_text().startswith(journal)


def test_in_blocks_the_budget_stays(tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    blocks = [*ONE, "run.blocks=['^conv', '^(?!conv)']"]
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.yaml").write_text(to_yaml(load_config(config, blocks).config))
    with pytest.raises(ConfigError, match=r"run\.best_models: found 2, the run has 1"):
        qsearch.run(config, [*blocks, "run.best_models=2"], resume=True)
