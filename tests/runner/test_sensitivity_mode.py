"""The mode that trains no trial: a run like any other, which goes on where it was stopped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from few import few

from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.runner.pipeline import run
from qsearch.runs.record import RunRecord
from qsearch.search.trials import Trial

MODE = "run.mode=sensitivity"


def test_a_run_without_training_and_what_is_left_of_it(tmp_path: Path) -> None:
    config = few(tmp_path, tmp_path / "out")
    result = run(config, [MODE, "run.max_trials=2"])
    trials = [trial for trial in result.trials if isinstance(trial, Trial)]
    assert [trial.trained.epochs for trial in trials] == [0, 0]
    assert trials[0].price.energy < trials[1].price.energy
    assert result.best is not None
    record = RunRecord.read(tmp_path / "out")
    assert record.sensitivity is not None
    assert record.sensitivity.shared
    assert 'id="sensitivity"' in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    # it goes on: one more, and what was measured is read, not measured again
    kept = tmp_path / "out" / "sensitivity.json"
    changed = json.loads(kept.read_text(encoding="utf-8"))
    changed["samples"] = 77
    kept.write_text(json.dumps(changed), encoding="utf-8")
    more = run(tmp_path / "out" / "config.yaml", ["run.max_trials=3"], resume=True)
    assert RunRecord.read(tmp_path / "out").sensitivity is not None
    assert json.loads(kept.read_text(encoding="utf-8"))["samples"] == 77
    plans = [trial.plan for trial in more.trials]
    assert plans[:2] == [trial.plan for trial in trials]
    assert len(plans) == 3
    assert len(set(plans)) == 3


def test_blocks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.blocks: found blocks; mode: sensitivity is for a whole network"):
        load_config(few(tmp_path, tmp_path / "out"), [MODE, 'run.blocks=["^conv"]'])
