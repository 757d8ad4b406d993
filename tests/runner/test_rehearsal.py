"""What no training could do is told before the first one: optimizers, schedules, budgets, costs of nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_run import tiny

from qsearch.errors import ConfigError
from qsearch.runner.pipeline import run
from qsearch.search.trials import SilentObserver

FINAL = "final_training.optimizer"
BLOCKS = "run.blocks=['^conv', '^dense']"
NOTHING = (
    "goal.params.own_process={name: x, fixed_add: [0], fixed_mul: [0], float_add: {16: 0, 32: 0}, "
    "float_mul: {16: 0, 32: 0}, sram_word: [0], dram_bit: 0}"
)


class Stages(SilentObserver):
    """Remembers what a run says of itself, and stops it when it begins to train."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def stage(self, text: str) -> None:
        if text.startswith("reference: "):
            raise _TrainingError
        self.told.append(text)


class _TrainingError(BaseException):  # as an Exception of an observer ends the observer alone
    """A training began."""


def refused(folder: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as error:
        run(tiny(folder, folder / "out"), overrides, Stages())
    return str(error.value)


def remarks(folder: Path, *overrides: str) -> list[str]:
    """What is told before the reference is trained."""
    stages = Stages()
    with pytest.raises(_TrainingError):
        run(tiny(folder, folder / "out"), overrides, stages)
    return stages.told


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("final_training.learning_rate_schedule={name: exponential, decay_rate: 1.0e+30}",
         "final_training.learning_rate_schedule: the learning rate of the best model reaches 1.78e+23"),
        ("reference.learning_rate_schedule={name: exponential, decay_rate: 2, decay_epochs: 0.0001}",
         "reference.learning_rate_schedule: the learning rate of the reference reaches inf within 2 epochs, allowed"),
        ("run.learning_rate_schedule={name: piecewise, boundaries: [1], values: [0.1, 1.0e+5]}",
         "run.learning_rate_schedule: the learning rate of a trial reaches 1e+05 within 2 epochs"),
        (FINAL + "={name: sgd, gradient_accumulation_steps: 1000}",
         "optimizer.gradient_accumulation_steps: found 1000; the best model is trained in 8 steps (1 epochs of 8)"),
        ("reference.optimizer={name: sgd, gradient_accumulation_steps: 17}",
         "found 17; the reference is trained in 16 steps (2 epochs of 8), so that no weight would ever change"),
        ("run.budget.energy=1pJ", "run.budget.energy: found 1.00 pJ, and the cheapest candidate takes "),
        ("run.budget.cost=0.001", "run.budget.cost: found 0.001 pJ, and the cheapest candidate takes "),
        (NOTHING, "goal.params.own_process: the reference costs 0 pJ with it, and less than 1 counts as 1"),
        ("goal={type: bits, params: {config: {}}}", "goal.params.config: the reference costs 0 bits with it"),
        ("goal.params.source_quantizers=[int8, int8]", "goal.params.source_quantizers: found 2 formats, but digits"),
        ("run.layer_indexes=[]", "run.layer_indexes: found an empty list, allowed: 0 to "),
        ("reference.class_weight={0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0, 9: 0}", "every class has"),
    ],
)  # fmt: skip
def test_before_the_first_training(override: str, expected: str, tmp_path: Path) -> None:
    told = refused(tmp_path, override)
    assert not (tmp_path / "out").exists()
    assert expected in told
    assert "\n" not in told
    assert told.startswith("--set ")


def test_rates_of_blocks(tmp_path: Path) -> None:
    told = refused(tmp_path, BLOCKS, "run.block_learning_rates={current: 1.0e+8}")
    assert (
        "run.block_learning_rates: the learning rate of block 1 reaches 1e+06 within 2 epochs, allowed: 10000" in told
    )


def test_what_keras_says_of_an_optimizer_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def failing(*args: object) -> None:
        raise ValueError("no slots left")

    monkeypatch.setattr(keras.optimizers.RMSprop, "build", failing)
    told = refused(tmp_path, f"{FINAL}=rmsprop")
    assert "final_training.optimizer: cannot be made for the best model: ValueError: no slots left" in told


def test_remarks_are_told_at_the_start(tmp_path: Path) -> None:
    told = remarks(
        tmp_path, "final_training.batch_size=1000000", "reference.direction=min", "dataset.train_samples=200"
    )
    assert any("final_training.batch_size: found 1000000, of 160 training samples" in line for line in told)
    assert any("reference.direction: found min; of acc more is better" in line for line in told)


def test_a_budget_that_one_plan_keeps_to(tmp_path: Path) -> None:
    told = refused(tmp_path, "run.budget.energy=1pJ")
    least = float(told.partition("raise it to ")[2].partition(" at least")[0].replace(",", ""))
    assert "the cheapest candidate takes" in refused(tmp_path, f"run.budget.energy={least * 0.99}")
    assert remarks(tmp_path, f"run.budget.energy={least}")


def test_a_small_space_is_looked_at_whole(tmp_path: Path) -> None:
    small = ["run.tune_filters=none", "limit={Dense: [8, 8, 4]}"]
    told = refused(tmp_path, *small, "run.budget.energy=1pJ")
    assert "or search narrower layers (run.tune_filters: layer)" in told
    least = float(told.partition("raise it to ")[2].partition(" at least")[0].replace(",", ""))
    assert remarks(tmp_path, *small, f"run.budget.energy={least}")


def test_steps_of_a_call_that_nothing_takes_are_told(tmp_path: Path) -> None:
    told = "run.steps_per_execution: found 8, not used: the data are augmented, so that each step is a call"
    sets = ["run.steps_per_execution=8", "dataset.augment={shift: 0.1}"]
    assert any(told in line for line in remarks(tmp_path, *sets))
    assert not any(told in line for line in remarks(tmp_path, sets[0]))
