"""A run that ends with a number of epochs, is told so, and goes on with more of them."""

from __future__ import annotations

from pathlib import Path

from few import few

from qsearch.config import load_config
from qsearch.report.headline import headline
from qsearch.report.shown_run import ShownRun
from qsearch.runner.outlook import outlook
from qsearch.runner.pipeline import run
from qsearch.runs.overview import overview
from qsearch.runs.record import RunRecord
from qsearch.runs.state import State


def test_a_run_of_so_many_epochs(tmp_path: Path) -> None:
    config = few(tmp_path, tmp_path / "out")
    sets = ["run.max_epochs_total=3", "run.epochs=2", "run.max_trials=7"]
    seen = outlook(load_config(config, sets))
    assert (seen.max_epochs_total, seen.trials, seen.stages[0].epochs) == (3, 2, 3)
    begun = run(config, sets)
    assert begun.result.ended == "all 3 epochs done (4), 2 trials trained"
    assert any("run.max_trials: not used, as max_epochs_total says" in note for note in begun.result.notes)
    record = RunRecord.read(tmp_path / "out")
    assert (overview(record).planned, overview(record).planned_epochs, overview(record).epochs) == (None, 3, 4)
    assert "epochs 4 of 3" in headline(ShownRun(record, State.RUNNING)).subtitle
    more = run(tmp_path / "out" / "config.yaml", ["run.max_epochs_total=5"], resume=True)
    assert [trial.plan for trial in more.trials][: len(begun.trials)] == [trial.plan for trial in begun.trials]
    assert more.result.ended == "all 5 epochs done (6), 3 trials trained"
