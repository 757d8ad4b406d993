"""The whole pass on real data: the run directory tells the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import yaml
from tiny_run import tiny

from qsearch.config import load_config
from qsearch.datasets import load_dataset
from qsearch.energy.public import estimate_energy
from qsearch.errors import ConfigError, DatasetError, ModelError, OutputError, SearchError
from qsearch.graph.from_keras import read_plan
from qsearch.models import build_model
from qsearch.report.markdown import markdown
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult
from qsearch.runs.directory import create_directory
from qsearch.runs.record import RunRecord
from qsearch.search.trials import SilentObserver, Trial


def lines(result: RunResult) -> list[dict[str, Any]]:
    text = (result.run_directory / "trials.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def read(result: RunResult, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((result.run_directory / name).read_text(encoding="utf-8"))
    return found


def test_the_directory_holds_what_the_readme_says(tiny_result: RunResult) -> None:
    files = {str(path.relative_to(tiny_result.run_directory)) for path in tiny_result.run_directory.rglob("*")}
    assert files == {
        "config.yaml",
        "environment.json",
        "trials.jsonl",
        "checkpoints",
        "checkpoints/before_final.keras",
        "checkpoints/kept.txt",
        "checkpoints/reference.npz",
        "best",
        "best/model.keras",
        "best/plan.yaml",
        "best/weights.json",
        "costs.json",
        "energy.json",
        "front.csv",
        "result.json",
        "report.html",
        "report.md",
        "trials.csv",
    }
    assert load_config(tiny_result.run_directory / "config.yaml").config.run.max_trials == 3
    environment = read(tiny_result, "environment.json")
    assert environment["seed"] == 0
    assert environment["packages"]["keras"] == keras.__version__


def test_every_trial_is_in_the_journal(tiny_result: RunResult) -> None:
    journal = lines(tiny_result)
    assert [line["id"] for line in journal] == [1, 2, 3]
    assert journal == [json.loads(json.dumps(trial.to_dict())) for trial in tiny_result.trials]
    for line in journal:
        assert line["status"] == "completed"
        assert line["score"] == pytest.approx(line["metrics"]["val_acc"] * (1 + line["delta"]))
        assert set(line["metrics"]) == {"acc", "loss", "val_acc", "val_loss"}


def test_the_best_is_the_greatest_score_and_its_energy_is_right(tiny_result: RunResult) -> None:
    best = max(lines(tiny_result), key=lambda line: line["score"])
    summary = read(tiny_result, "result.json")
    assert summary["best"]["trial"] == best["id"]
    assert summary == json.loads(json.dumps(tiny_result.summary))
    model = tiny_result.load_best()
    priced = estimate_energy(model, reference=None, source_quantizers="int8")
    assert priced.total == pytest.approx(summary["best"]["energy"], abs=0.01)
    energies = read(tiny_result, "energy.json")
    assert energies["best"] == json.loads(json.dumps(priced.to_dict()))
    assert energies["unit"] == "pJ"
    for layer in energies["best"]["layers"].values():
        assert layer["total"] == pytest.approx(sum(layer[part] for part in layer["counted"]), abs=0.011)
    reference = estimate_energy(build_model("digits", filters=[6, 8, 10]), reference="int8")
    assert energies["reference"]["total"] == pytest.approx(reference.total)
    assert summary["best"]["energy_ratio"] == pytest.approx(reference.total / priced.total)


def test_the_reference_has_its_learning_curve(tiny_result: RunResult) -> None:
    reference = read(tiny_result, "result.json")["reference"]
    assert len(reference["curve"]) == 2  # epochs
    assert max(reference["curve"]) == pytest.approx(reference["selection"]["acc"], abs=1e-6)
    assert read(tiny_result, "costs.json")["reference"] == reference


def test_the_saved_plan_is_the_saved_models(tiny_result: RunResult) -> None:
    plan = yaml.safe_load((tiny_result.run_directory / "best" / "plan.yaml").read_text(encoding="utf-8"))
    own = read_plan(tiny_result.load_best()).to_dict()
    without_filters = {name: {k: v for k, v in roles.items() if k != "filters"} for name, roles in plan.items()}
    assert without_filters == own
    widths = {layer.name: layer.filters for layer in tiny_result.load_best().layers if hasattr(layer, "filters")}
    assert widths == {name: roles["filters"] for name, roles in plan.items() if "filters" in roles}


def test_the_saved_model_has_the_reported_accuracy_in_a_new_process(tiny_result: RunResult) -> None:
    program = (
        "import qsearch\n"
        f"model = qsearch.load_model({str(tiny_result.run_directory / 'best' / 'model.keras')!r})\n"
        "data = qsearch.load_dataset('digits', 300, 100, validation=0.2)\n"
        "for split in (data.validation, data.test):\n"
        "    print((model.predict(split.x, verbose=0).argmax(-1) == split.y.argmax(-1)).mean())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    selection, test = map(float, done.stdout.split())
    best = read(tiny_result, "result.json")["best"]
    assert selection == pytest.approx(best["selection"]["acc"], abs=1e-6)
    assert test == pytest.approx(best["test"]["acc"], abs=1e-6)


def test_final_training_never_makes_the_winner_worse(tiny_result: RunResult) -> None:
    best = read(tiny_result, "result.json")["best"]
    assert best["final_training"]["epochs"] == 1
    assert best["selection"]["acc"] >= best["trial_metrics"]["val_acc"] - 1e-6


def test_the_report_can_be_read(tiny_result: RunResult) -> None:
    text = (tiny_result.run_directory / "report.md").read_text(encoding="utf-8")
    record = RunRecord.read(tiny_result.run_directory)
    assert record.result is not None
    assert record.energies is not None
    assert text == markdown(record.result, record.energies, record.trials)
    for part in ("# digits on digits", "| conv2d_0 |", "held out; the test set was used once", "3 trials completed"):
        assert part in text


@pytest.mark.slow
def test_the_same_seed_gives_the_same_trials_and_another_does_not(tiny_result: RunResult, tmp_path: Path) -> None:
    again = run(tiny(tmp_path, tmp_path / "again"))
    for first, second in zip(tiny_result.trials, again.trials, strict=True):
        assert isinstance(first, Trial)
        assert isinstance(second, Trial)
        assert first.proposal == second.proposal
        assert first.metrics == pytest.approx(second.metrics, abs=1e-3)
    other = run(tiny(tmp_path, tmp_path / "other"), ["run.seed=1", "run.max_trials=1", "run.epochs=1"])
    assert isinstance(other.trials[0], Trial)
    assert isinstance(tiny_result.trials[0], Trial)
    assert other.trials[0].plan != tiny_result.trials[0].plan


class Interrupting(SilentObserver):
    """Stops the run at some point, as Ctrl-C would."""

    def __init__(self, when: Callable[[str, int], bool]) -> None:
        self.when = when
        self.title = ""

    def stage(self, title: str) -> None:
        self.title = title

    def epoch_ended(self, epoch: int, epochs: int, metrics: Any, trial: Any = None) -> None:
        if self.when(self.title, epoch):
            raise KeyboardInterrupt

    def trial_ended(self, trial: Any, best: Any, number: int, total: int) -> None:
        if self.when(self.title, -number):
            raise KeyboardInterrupt


def test_an_interrupted_search_keeps_what_is_finished(tmp_path: Path) -> None:
    observer = Interrupting(lambda title, at: title.startswith("search") and at == -1)
    result = run(tiny(tmp_path, tmp_path / "out"), observer=observer)
    assert result.summary["interrupted"] is True
    assert result.summary["best"]["trial"] == 1
    assert result.summary["best"]["final_training"] is None
    assert len(lines(result)) == 1
    assert "interrupted" in result.summary["ended"]


def test_interrupted_final_training_leaves_the_trials_model(tmp_path: Path) -> None:
    observer = Interrupting(lambda title, at: title.startswith("final"))
    result = run(tiny(tmp_path, tmp_path / "out"), ["run.max_trials=1", "run.epochs=1"], observer)
    assert result.summary["interrupted"] is True
    best = result.summary["best"]
    assert best["selection"]["acc"] == pytest.approx(best["trial_metrics"]["val_acc"], abs=1e-6)


def test_without_reference_or_final_training_and_with_bits(tmp_path: Path) -> None:
    path = tmp_path / "bits.yaml"
    path.write_text(
        "dataset: {name: digits, train_samples: 200, test_samples: 50}\nmodel: {name: digits, filters: [4, 4]}\n"
        "reference: {epochs: 0}\nlimit: {Conv2D: [4], Activation: [4]}\n"
        f"run: {{output_dir: {tmp_path / 'out'}, max_trials: 1, epochs: 1, transfer_weights: true,"
        " learning_rate_optimizer: true}\n"
    )
    summary = run(path).summary
    assert summary["unit"] == "bits"
    assert summary["validation"] == "test"
    assert summary["best"]["cost"] < summary["reference"]["cost"]
    assert summary["best"]["energy"] < summary["reference"]["energy"]
    assert summary["selection_samples"] == 50
    assert summary["blocks"] == []
    assert "learning_rate_step" in json.loads((tmp_path / "out" / "trials.jsonl").read_text())["values"]


def test_transferred_weights_start_trials_from_the_reference(tmp_path: Path) -> None:
    overrides = [
        "run.tune_filters=none",
        "run.max_trials=1",
        "run.epochs=1",
        "reference.epochs=15",
        "final_training.epochs=0",
    ]
    path = tiny(tmp_path, tmp_path / "out")
    scratch = run(path, overrides).summary["best"]["trial_metrics"]
    moved = run(path, [*overrides, "run.transfer_weights=true"]).summary["best"]["trial_metrics"]
    assert moved["loss"] < scratch["loss"]


def test_a_model_file_is_searched_as_well(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="features")(inputs)
    outputs = keras.layers.Dense(10, activation="softmax", name="answer")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "own.keras")
    path = tmp_path / "own.yaml"
    path.write_text(
        "dataset: {name: digits, train_samples: 200, test_samples: 50, validation: 0.25}\n"
        f"model: {{path: {tmp_path / 'own.keras'}}}\nreference: {{epochs: 0}}\n"
        "limit: {Dense: [4, 8, 4], Conv2D: [4, 8, 4]}\n"
        f"run: {{output_dir: {tmp_path / 'out'}, max_trials: 1, epochs: 1, tune_filters: layer}}\n"
    )
    result = run(path)
    plan = result.summary["best"]["plan"]
    assert set(plan["features"]) == {"kernel", "bias", "activation", "filters"}
    assert set(plan["answer"]) == {"kernel", "bias"}
    data = load_dataset("digits", 200, 50, validation=0.25)
    hits = model.predict(data.test.x, verbose=0).argmax(-1) == data.test.y.argmax(-1)
    assert result.summary["reference"]["test"]["acc"] == pytest.approx(numpy.mean(hits), abs=1e-6)


def test_data_that_do_not_fit_the_model(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: digits}\nmodel: {name: mnist}\nlimit: {Dense: [4]}\n")
    with pytest.raises(DatasetError, match=r"digits does not fit mnist: samples .* have shape \(8, 8, 1\)"):
        run(path, [f"run.output_dir={tmp_path / 'out'}"])
    assert not (tmp_path / "out").exists()


def test_a_model_file_that_is_none_is_told_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: digits}\nmodel:\n  path: nowhere.keras\nlimit: {Dense: [4]}\n")
    with pytest.raises(ModelError, match=r"c\.yaml:3:9: model\.path: nowhere\.keras: no such file"):
        run(path)


def test_of_a_model_with_two_heads_one_must_be_named(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 1))
    flat = keras.layers.Flatten()(inputs)
    heads = [keras.layers.Dense(10, name=f"h{i}")(flat) for i in (0, 1)]
    keras.Model(inputs, heads, name="two").save(tmp_path / "two.keras")
    path = tmp_path / "c.yaml"
    path.write_text(f"dataset: {{name: digits}}\nmodel: {{path: {tmp_path / 'two.keras'}}}\nlimit: {{Dense: [4]}}\n")
    with pytest.raises(ConfigError, match=r"run\.head_name: is missing; two has several heads, name one of: h0, h1"):
        run(path)
    with pytest.raises(ConfigError, match=r"run\.head_name: two has no head 'h2', its heads are: h0, h1"):
        run(path, ["run.head_name=h2"])


def test_a_search_without_a_single_trial_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ModelError("cannot be built")

    monkeypatch.setattr("qsearch.training.trainer.apply_plan", refuse)
    with pytest.raises(
        SearchError, match=r"no trial was completed .*: all 2 for the same reason: cannot be built;"
    ) as error:
        run(tiny(tmp_path, tmp_path / "out"), ["reference.epochs=0", "run.max_trials=2"])
    assert str(tmp_path / "out" / "trials.jsonl") in str(error.value)
    text = (tmp_path / "out" / "trials.jsonl").read_text(encoding="utf-8")
    assert [json.loads(line)["status"] for line in text.splitlines()] == ["failed", "failed"]


def test_an_earlier_run_is_never_written_to(tmp_path: Path) -> None:
    first = create_directory(str(tmp_path / "r"), fresh_name=True)
    first.write_text("x", "1")
    second = create_directory(str(tmp_path / "r"), fresh_name=True)
    assert second.path == tmp_path / "r_1"
    second.write_text("x", "2")
    assert create_directory(str(tmp_path / "r"), fresh_name=True).path == tmp_path / "r_2"
    with pytest.raises(OutputError, match="holds an earlier run"):
        create_directory(str(tmp_path / "r"), fresh_name=False)


def test_folders_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="is a file, expected a folder"):
        create_directory(str(tmp_path / "file"), fresh_name=True)
    with pytest.raises(OutputError, match="cannot be written: Not a directory"):
        create_directory(str(tmp_path / "file" / "run"), fresh_name=True)
    with pytest.raises(OutputError, match="cannot be written"):
        create_directory("/proc/qsearch/run", fresh_name=True)
