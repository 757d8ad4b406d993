"""Searches that begin with plans from sensitivities: as wanted, gone on with, and where these cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy
import pytest
from dense_net import dense
from run_left import left, same

from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.goal.price import Price
from qsearch.runner import proposing
from qsearch.runner.notes import unused_keys
from qsearch.runner.pipeline import run
from qsearch.runner.prepared import read_prepared
from qsearch.runner.proposing import first_plans, ladder_of
from qsearch.runner.suggestion import Ladder
from qsearch.runs.directory import SENSITIVITY, RunDirectory
from qsearch.runs.record import RunRecord
from qsearch.search.space import SearchSpace
from qsearch.search.time_limits import NO_LIMIT
from qsearch.search.trials import SilentObserver, Trial
from qsearch.sensitivity.table import Alone, SensitivityTable, plan_dimensions, shown

START = ["run.mode=guided", "run.start=sensitivity", "run.max_trials=2", "run.epochs=1"]


class Lines(SilentObserver):
    """Notes what is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)


def test_the_first_plans_are_of_sensitivities_and_the_same_after_a_kill(tmp_path: Path) -> None:
    config, told = dense(tmp_path), Lines()
    whole = run(config, START, told)
    assert "sensitivities, of each choice alone" in told.lines
    table = RunRecord.read(tmp_path / "whole").sensitivity
    assert table is not None
    ready = read_prepared(load_config(config, START))
    losses = table.losses(ready.experiment.space)
    ladder = Ladder(ready.experiment.space, ready.experiment.costs, losses)
    assert whole.trials[0].plan in [one.plan for one in ladder.rungs(20, ready.experiment.costs.reference_energy.total)]
    # it goes on, and measures again what was lost, to the same bits
    cut = tmp_path / "cut"
    shutil.copytree(tmp_path / "whole", cut)
    (cut / "sensitivity.json").unlink()
    journal = cut / "trials.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").splitlines(keepends=True)[0], encoding="utf-8")
    run(config, [*START, f"run.output_dir={cut}"], resume=True)
    same(left(tmp_path / "whole"), left(cut))
    assert RunRecord.read(cut).sensitivity == table


@pytest.mark.slow
def test_of_a_reference_that_knows_nothing_uniform_plans_come_first(tmp_path: Path) -> None:
    told = Lines()
    found = run(dense(tmp_path), [*START, "run.max_trials=1", "reference.epochs=0"], told)
    line = next(line for line in told.lines if line.startswith("run.start: uniform plans come first, and not those"))
    assert "the reference is not trained" in line
    assert isinstance(found.trials[0], Trial)


def test_left_to_itself_it_measures_only_in_one_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unshared:
        why_not_shared = "flat (Odd) is not known"

        def table(self, **_: object) -> SensitivityTable:
            return table_of(ready.experiment.space)

    monkeypatch.setattr(proposing, "measuring_of", lambda ready: Unshared())
    found = {}
    for start in ("auto", "sensitivity"):
        ready, lines = read_prepared(load_config(dense(tmp_path), [f"run.start={start}"])), list[str]()
        found[start] = first_plans(ready, RunDirectory(tmp_path), 4, lines.append, NO_LIMIT)
        assert "flat (Odd) is not known" in lines[-1]
    assert found["auto"] == []
    assert found["sensitivity"]
    blocks = load_config(dense(tmp_path), ["run.start=auto", 'run.blocks=["^hidden"]'])
    assert blocks.config.run.blocks


def test_blocks_are_refused_and_other_modes_told(tmp_path: Path) -> None:
    config = dense(tmp_path)
    with pytest.raises(ConfigError, match=r"run\.start: found sensitivity with run\.blocks"):
        load_config(config, [*START, 'run.blocks=["^conv"]'])
    lines = unused_keys(load_config(config, ["run.start=sensitivity", "run.mode=random"]).config.run)
    assert lines == ["run.start: is for modes guided and pareto; not used in mode random"]


def table_of(space: SearchSpace) -> SensitivityTable:
    """By chance."""
    rng, parts = numpy.random.default_rng(3), plan_dimensions(space)
    rows = [
        Alone(
            dimension=one.name,
            layers=parts[one.name][0],
            part=parts[one.name][1],
            option=shown(option),
            increase=float(rng.exponential()),
            fisher=None,
        )
        for one in space.dimensions
        if one.name in parts
        for option in one.options
    ]
    return SensitivityTable(loss=1.0, samples=9, shared=True, rows=tuple(rows))


def ladder(folder: Path, sets: list[str], count: int = 5) -> list[Price]:
    """Prices of the plans of a mode's ladder, of sensitivities that are there already."""
    ready = read_prepared(load_config(dense(folder), sets))
    directory = RunDirectory(folder)
    directory.write_json(SENSITIVITY, table_of(ready.experiment.space).to_dict())
    space, costs = ready.experiment.space, ready.experiment.costs
    found = ladder_of(ready, directory, count, lambda line: None, NO_LIMIT)
    return [costs.price(space.plan(values)) for values in found]


def test_the_ladder_is_of_the_goals_own_cost(tmp_path: Path) -> None:
    most = [one.cost for one in ladder(tmp_path, ["goal.type=bits"])]
    assert most == sorted(most)
    assert len(set(most)) >= 3
    limit = sorted(most)[-2]
    inside = [one.cost for one in ladder(tmp_path, ["goal.type=bits", f"run.budget.cost={limit}"])]
    assert inside[0] == most[0]
    assert inside[-1] <= limit
    # one that is no sum has its plans along the energy
    energies = [one.energy for one in ladder(tmp_path, ["goal.type=ram"])]
    assert energies == [one.energy for one in ladder(tmp_path, [])]


def test_plans_outside_of_another_limit_are_left_out(tmp_path: Path) -> None:
    sets = ["run.budget.peak_activation=1MB"]
    peaks = [one.spent["peak_activation"] for one in ladder(tmp_path, sets)]
    limit = (min(peaks) + max(peaks)) / 2
    found = ladder(tmp_path, [f"run.budget.peak_activation={limit:.0f}B"], 3)
    assert found
    assert all(one.spent["peak_activation"] <= limit for one in found)
