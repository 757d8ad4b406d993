"""Whole searches block by block."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from keras import layers
from run_record import check_record
from tiny_run import tiny

import qsearch
import qsearch.training.trainer as trainer
from qsearch.config import load_config
from qsearch.config.search_modes import SEARCH_MODES
from qsearch.datasets import load_dataset
from qsearch.energy.public import estimate_energy
from qsearch.errors import ConfigError
from qsearch.goal import ForgivingFactor
from qsearch.graph.from_keras import read_plan
from qsearch.plan import QuantizationPlan
from qsearch.runner.experiment import read_experiment, table_of
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult
from qsearch.search.trials import SilentObserver, Trial

BLOCKS = 'run.blocks=["^.*_0$", "^dense", "^.*_1$"]'
QUICK = [
    BLOCKS,
    "run.min_trials_per_block=1",
    "run.max_trials=2",
    "run.epochs=1",
    "reference.epochs=1",
    "final_training=null",
]


def accuracy(model: keras.Model) -> float:
    """On the selection set."""
    data = load_dataset("digits", 300, 100, validation=0.2).selection
    return float(numpy.mean(model.predict(data.x, verbose=0).argmax(-1) == data.y.argmax(-1)))


def model_after(result: RunResult, block: int) -> keras.Model:
    return qsearch.load_model(result.run_directory / "blocks" / str(block) / "model.keras")


def plan_after(result: RunResult, block: int) -> QuantizationPlan:
    trial = result.trials[result.summary["blocks"][block - 1]["trial"] - 1]
    assert isinstance(trial, Trial)
    assert set(read_plan(model_after(result, block))) == set(trial.plan)
    return trial.plan


@pytest.fixture(scope="module")
def blocked(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunResult, list[list[numpy.ndarray]]]:
    """A run, and the weights that each trial was given."""
    folder = tmp_path_factory.mktemp("blocks")
    given = []
    original = trainer.transfer_weights

    def spy(source: keras.Model, target: keras.Model) -> Any:
        given.append(source.get_weights())
        return original(source, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "transfer_weights", spy)
        overrides = [*QUICK, "run.min_trials_per_block=2", "run.epochs=2", "run.schedule_block=cost", "run.prune=false"]
        result = run(tiny(folder, folder / "out"), [*overrides, "final_training={epochs: 1, batch_size: 32}"])
    return result, given


def test_blocks_are_searched_one_after_the_other(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    told = result.summary["blocks"]
    assert [block["pattern"] for block in told] == ["^.*_1$", "^.*_0$", "^dense"]
    assert [block["share"] for block in told] == sorted((block["share"] for block in told), reverse=True)
    lines = (result.run_directory / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    journal = [json.loads(line) for line in lines]
    assert [line["block"] for line in journal] == [1, 1, 2, 2, 3, 3]
    assert [line["id"] for line in journal] == [1, 2, 3, 4, 5, 6]
    assert [block["trials"]["completed"] for block in told] == [2, 2, 2]
    check_record(result)
    assert result.summary["ended"] == "all 3 blocks searched"


def test_only_what_a_block_matches_is_quantized(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    best = result.load_best()
    plan = read_plan(best)
    assert set(plan) == {"conv2d_0", "bn_0", "act_0", "conv2d_1", "bn_1", "act_1", "dense"}
    assert type(best.get_layer("conv2d_2")) is keras.layers.Conv2D
    assert any(
        note.startswith("in no block, and therefore not quantized: conv2d_2") for note in result.summary["notes"]
    )


def test_a_block_keeps_what_earlier_blocks_chose(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    first, second, third = (plan_after(result, number) for number in (1, 2, 3))
    assert set(first) == {"conv2d_1", "bn_1", "act_1"}
    assert set(second) == {*first, "conv2d_0", "bn_0", "act_0"}
    assert set(third) == {*second, "dense"}
    for before, after in ((first, second), (second, third)):
        assert all(after.layers[name] == before.layers[name] for name in before)
    for trial in result.trials[2:]:
        assert all(trial.plan.layers[name] == first.layers[name] for name in first)  # type: ignore[union-attr]


def test_each_block_starts_from_the_best_model_so_far(blocked: tuple[RunResult, Any]) -> None:
    result, given = blocked
    assert len(given) == 6
    starts = [None, model_after(result, 1).get_weights(), model_after(result, 2).get_weights()]
    for number, weights in enumerate(given):
        start = starts[number // 2] or given[0]  # the first block starts from the reference
        assert all((a == b).all() for a, b in zip(weights, start, strict=True))
    assert [w.shape for w in given[0]] != [w.shape for w in given[2]] or any(
        (a != b).any() for a, b in zip(given[0], given[2], strict=True)
    )


def test_before_and_after_are_those_of_the_models(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    told = result.summary["blocks"]
    assert told[0]["before"]["acc"] == result.summary["reference"]["selection"]["acc"]
    assert told[0]["before"]["energy"] == result.summary["reference"]["energy"]
    for number, block in enumerate(told, 1):
        model = model_after(result, number)
        priced = estimate_energy(model, reference=None, source_quantizers="int8")
        assert priced.total == pytest.approx(block["after"]["energy"], abs=0.01)
        assert accuracy(model) == pytest.approx(block["after"]["acc"], abs=1e-6)
        assert block["chosen"].keys() <= plan_after(result, number).layers.keys()
    for before, after in pairwise(told):
        assert {**after["before"], "score": None} == {**before["after"], "score": None}
    assert result.summary["best"]["trial"] == told[-1]["trial"]
    assert result.summary["best"]["energy"] == told[-1]["after"]["energy"]


def worth(result: RunResult, cost: float) -> float:
    """The delta of a cost, by the goal's formula."""
    params = load_config(result.run_directory / "config.yaml").config.goal.params
    forgiving = ForgivingFactor(params.delta_p, params.delta_n, params.rate, params.stress)
    return forgiving.delta(result.summary["reference"]["cost"], cost)


def test_scores_look_ahead_to_the_blocks_to_come(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    for trial in result.trials:
        assert isinstance(trial, Trial)
        assert trial.score == pytest.approx(trial.metric * (1 + trial.price.delta))
        own = worth(result, trial.price.cost)
        if trial.block == 3:
            assert trial.price.delta == pytest.approx(own, abs=1e-5)
        else:
            assert trial.price.delta > own + 0.01
    best = result.summary["best"]
    assert best["delta"] == pytest.approx(worth(result, best["cost"]), abs=1e-5)
    assert best["score"] == pytest.approx(best["trial_metrics"]["val_acc"] * (1 + best["delta"]))
    for block in result.summary["blocks"]:
        rise = block["after"]["score"] - block["before"]["score"]
        assert rise != 0
        assert block["after"]["score"] == result.trials[block["trial"] - 1].score  # type: ignore[union-attr]


@pytest.mark.slow
def test_autoqkeras_way_counts_what_is_there(tmp_path: Path) -> None:
    result = run(tiny(tmp_path, tmp_path / "out"), [*QUICK, BLOCKS, "run.blocks_to_come=reference"])
    for trial in result.trials:
        if isinstance(trial, Trial):
            assert trial.price.delta == pytest.approx(worth(result, trial.price.cost), abs=1e-5)
    report = (result.run_directory / "report.md").read_text(encoding="utf-8")
    assert "as the reference's; so do scores." in report


def test_the_report_tells_of_every_block(blocked: tuple[RunResult, Any]) -> None:
    result, _ = blocked
    report = (result.run_directory / "report.md").read_text(encoding="utf-8")
    section = report.partition("## Block by block")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and "`^" in line]
    assert len(rows) == 3
    for row, block in zip(rows, result.summary["blocks"], strict=True):
        assert f"{block['before']['acc']:.4f} → {block['after']['acc']:.4f}" in row
        assert "2 of 2" in row
    assert "act_1: activation `" in rows[0]


@pytest.mark.slow
def test_layers_of_rate_0_stay_as_they_are(tmp_path: Path) -> None:
    """Only the block that is searched has moved; it is the rates that reach the training."""
    rates = "run.block_learning_rates={quantized: 0, current: 1, rest: 0}"
    result = run(tiny(tmp_path, tmp_path / "out"), [*QUICK, rates, "run.tune_filters=none"])
    first, second = model_after(result, 1), model_after(result, 2)

    def moved(name: str) -> bool:
        pairs = zip(first.get_layer(name).trainable_variables, second.get_layer(name).trainable_variables, strict=True)
        return any((numpy.array(a) != numpy.array(b)).any() for a, b in pairs)

    assert [name for name in ("conv2d_0", "bn_0", "conv2d_1", "bn_1", "conv2d_2", "dense") if moved(name)] == ["dense"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", [name for name, one in SEARCH_MODES.items() if one.trains and not one.shares])
def test_every_mode_searches_a_block(mode: str, tmp_path: Path) -> None:
    overrides = [*QUICK, 'run.blocks=["^.*_0$", "^.*_1$"]', f"run.mode={mode}", "run.max_epochs=2", "run.max_trials=3"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    assert {trial.block for trial in result.trials} == {1, 2}
    assert result.best is not None
    assert result.best.block == 2
    assert set(read_plan(result.load_best())) == {"conv2d_0", "bn_0", "act_0", "conv2d_1", "bn_1", "act_1"}
    assert accuracy(result.load_best()) == pytest.approx(result.best.metric, abs=1e-6)
    ranked = [trial for trial in result.trials if isinstance(trial, Trial) and trial.block == 2]
    assert result.best.score == max(trial.score for trial in ranked)
    if mode == "pareto":
        assert {point["trial"] for point in result.summary["front"]["trials"]} <= {trial.number for trial in ranked}


@pytest.mark.slow
def test_a_residual_network_with_filters(tmp_path: Path) -> None:
    overrides = [
        *QUICK,
        "model={name: digits_resnet, filters: [4, 6]}",
        'run.blocks=["^stem_", "^res0_", "^res1_", "^dense"]',
        "run.max_trials=1",
        "run.seed=3",
    ]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    best = result.load_best()
    assert best.get_layer("stem_conv").filters == best.get_layer("res0_conv1").filters
    assert best.get_layer("res1_conv1").filters == best.get_layer("res1_shortcut").filters
    reference = {"stem_conv": 4, "res0_conv0": 4, "res0_conv1": 4, "res1_conv0": 6, "res1_conv1": 6, "res1_shortcut": 6}
    assert any(best.get_layer(name).filters != width for name, width in reference.items())
    after = model_after(result, 1)  # res0_conv1 has followed the stem, and is not quantized yet
    assert after.get_layer("res0_conv1").filters == after.get_layer("stem_conv").filters
    assert type(after.get_layer("res0_conv1")) is keras.layers.Conv2D
    for number, block in enumerate(result.summary["blocks"], 1):
        priced = estimate_energy(model_after(result, number), reference=None, source_quantizers="int8")
        assert priced.total == pytest.approx(block["after"]["energy"], abs=0.01)


def test_a_sequential_model_from_a_file_whose_second_block_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [layers.Conv2D(4, 3, name="a"), layers.Conv2D(4, 3, name="b"), layers.Flatten(), layers.Dense(10, "softmax")]
    keras.Sequential([keras.Input((8, 8, 1)), *made]).save(tmp_path / "model.keras")
    original = trainer.train

    def failing(model: keras.Model, *arguments: Any, **options: Any) -> Any:
        if type(model.get_layer("b")) is not layers.Conv2D and type(model.layers[-1]) is layers.Dense:
            raise ValueError("no luck in block b")
        return original(model, *arguments, **options)

    monkeypatch.setattr(trainer, "train", failing)
    model = f"model={{path: {tmp_path / 'model.keras'}}}"
    result = run(tiny(tmp_path, tmp_path / "out"), [*QUICK, model, 'run.blocks=["^a", "^b", "^dense"]'])
    assert [trial.status for trial in result.trials] == ["completed", "failed", "completed"]
    second = result.summary["blocks"][1]
    assert (second["trial"], second["before"]) == (None, second["after"])
    assert not (tmp_path / "out" / "blocks" / "2").exists()
    assert [name for name in read_plan(result.load_best()) if name in "ab"] == ["a"]
    assert any(note.startswith("block 2: nothing better was found") for note in result.summary["notes"])
    assert "nothing better" in (result.run_directory / "report.md").read_text(encoding="utf-8")


def test_all_calls_of_a_shared_layer_count(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    shared = layers.Conv2D(4, 3, padding="same", name="shared")
    x = layers.Flatten(name="flat")(shared(shared(layers.Conv2D(4, 1, name="first")(inputs))))
    keras.Model(inputs, layers.Dense(10, "softmax", name="dense")(x)).save(tmp_path / "model.keras")
    blocks = 'run.blocks=["first", "shared|flat", "dense"]'
    overrides = [f"model={{path: {tmp_path / 'model.keras'}}}", blocks]
    experiment = read_experiment(load_config(tiny(tmp_path, tmp_path / "out"), overrides))
    first, second, third = table_of(experiment).blocks
    both = [experiment.reference.layers[name].total for name in ("shared", "shared:1", "flat")]
    assert second.share == pytest.approx(sum(both) / experiment.reference.total)
    assert first.share + second.share + third.share == pytest.approx(1)


def test_a_layer_in_two_blocks_is_searched_again(tmp_path: Path) -> None:
    overrides = [*QUICK, 'run.blocks=["^.*_0$", "^conv2d_[01]$"]', "run.seed=5"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides)
    second = [trial for trial in result.trials if trial.block == 2 and isinstance(trial, Trial)]
    assert second
    for trial in second:
        assert set(trial.plan) == {"conv2d_0", "bn_0", "act_0", "conv2d_1"}
        assert {"conv2d_0_kernel_quantizer", "conv2d_1_kernel_quantizer"} <= trial.values.keys()
    final = result.load_best().get_layer("conv2d_0")
    assert result.best is not None
    chosen = result.best.plan.layers["conv2d_0"]
    assert read_plan(result.load_best()).layers["conv2d_0"].quantizers == chosen.quantizers
    assert type(final) is not keras.layers.Conv2D


@pytest.mark.slow
def test_a_budget_is_for_the_whole_model(tmp_path: Path) -> None:
    free = run(tiny(tmp_path, tmp_path / "free"), [*QUICK, "run.tune_filters=none"])
    energies = [trial.price.energy for trial in free.trials if isinstance(trial, Trial) and trial.block == 3]
    with pytest.raises(ConfigError, match=r"run\.budget\.energy: found 1\.00 pJ, and the cheapest candidate takes"):
        run(tiny(tmp_path, tmp_path / "none"), [*QUICK, "run.tune_filters=none", "run.budget.energy=1"])
    budget = min(energies) * 0.9
    kept = run(tiny(tmp_path, tmp_path / "kept"), [*QUICK, "run.tune_filters=none", f"run.budget.energy={budget}"])
    assert kept.best is not None
    assert kept.best.block == 3
    assert kept.best.price.energy <= budget


class Interrupting(SilentObserver):
    """Stops the run at a stage, or when a trial has ended."""

    def __init__(self, stage: str = "?", trial: int = 0) -> None:
        self.at_stage = stage
        self.at_trial = trial
        self.ended = 0

    def stage(self, title: str) -> None:
        if title.startswith(self.at_stage):
            raise KeyboardInterrupt

    def trial_ended(self, trial: Any, best: Any, number: int, total: int) -> None:
        self.ended += 1
        if self.ended == self.at_trial:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("observer", "trials", "blocks"),
    [(Interrupting(stage="block 2"), 2, ["1"]), (Interrupting(trial=3), 3, ["1", "2"])],
    ids=["between blocks", "inside a block"],
)
def test_an_interrupted_run_keeps_the_best_so_far(
    observer: Interrupting, trials: int, blocks: list[str], tmp_path: Path
) -> None:
    overrides = [*QUICK, "run.min_trials_per_block=2", "run.prune=false", "run.blocks_to_come=reference"]
    result = run(tiny(tmp_path, tmp_path / "out"), overrides, observer)
    assert result.summary["interrupted"] is True
    assert len(result.trials) == trials
    assert sorted(path.name for path in (tmp_path / "out" / "blocks").iterdir()) == blocks
    assert result.best is not None
    best = max((trial for trial in result.trials if isinstance(trial, Trial)), key=lambda trial: trial.score)
    assert result.summary["best"]["trial"] == best.number
    assert accuracy(result.load_best()) == pytest.approx(best.metric, abs=1e-6)
    assert result.summary["blocks"][-1]["ended"] == "interrupted"
    assert (tmp_path / "out" / "report.md").exists()


def test_keys_that_mean_nothing_are_noted(tmp_path: Path) -> None:
    flat = run(tiny(tmp_path, tmp_path / "a"), [*QUICK, "run.blocks=null", "run.max_trials=1"])
    assert (
        "run.min_trials_per_block: is for a search block by block; not used without run.blocks" in flat.summary["notes"]
    )
    assert "blocks" not in flat.summary or flat.summary["blocks"] == []
    assert not (tmp_path / "a" / "blocks").exists()


def test_interrupted_before_the_first_trial_there_is_no_best(tmp_path: Path) -> None:
    result = run(tiny(tmp_path, tmp_path / "out"), QUICK, Interrupting(stage="block 1"))
    assert result.best is None
    assert result.summary["interrupted"] is True
    assert result.summary["best"] is None
