"""Searches that begin with plans from sensitivities: as wanted, gone on with, and where these cannot be had."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from run_left import left, same

from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.runner.notes import unused_keys
from qsearch.runner.pipeline import run
from qsearch.runner.prepared import read_prepared
from qsearch.runner.suggestion import Ladder
from qsearch.runs.record import RunRecord
from qsearch.search.trials import SilentObserver, Trial

START = ["run.mode=pareto", "run.start=sensitivity", "run.max_trials=3", "run.epochs=1"]
NET = """
import keras
from keras import layers

def dense():
    x = inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Flatten(name="flat")(x)
    x = layers.Activation("relu", name="act")(layers.Dense(8, name="hidden")(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))
"""
CONFIG = """
dataset: {name: digits, train_samples: 200, test_samples: 100, validation: 0.2}
model: {factory: "start_net:dense"}
reference: {optimizer: {name: adam, learning_rate: 0.01}, metrics: [acc], epochs: 5, batch_size: 32}
limit: {Dense: [["quantized_bits(8,0,1,alpha=1.0)", ternary], 8, 4], Activation: [4]}
run: {output_dir: OUT, mode: pareto, batch_size: 32}
"""


def dense(folder: Path) -> Path:
    """A run of a network of two layers."""
    (folder / "start_net.py").write_text(NET, encoding="utf-8")
    path = folder / "start.yaml"
    path.write_text(CONFIG.replace("OUT", str(folder / "whole")), encoding="utf-8")
    return path


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


def test_of_a_reference_that_knows_nothing_uniform_plans_come_first(tmp_path: Path) -> None:
    told = Lines()
    found = run(dense(tmp_path), [*START, "run.max_trials=1", "reference.epochs=0"], told)
    line = next(line for line in told.lines if line.startswith("run.start: uniform plans come first, and not those"))
    assert "the reference is not trained" in line
    assert isinstance(found.trials[0], Trial)


def test_blocks_are_refused_and_other_modes_told(tmp_path: Path) -> None:
    config = dense(tmp_path)
    with pytest.raises(ConfigError, match=r"run\.start: found sensitivity with run\.blocks"):
        load_config(config, [*START, 'run.blocks=["^conv"]'])
    lines = unused_keys(load_config(config, ["run.start=sensitivity", "run.mode=random"]).config.run)
    assert lines == ["run.start: is for modes guided and pareto; not used in mode random"]
