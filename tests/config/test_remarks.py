"""What is allowed and probably not meant is told with its place, and what is meant is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsearch.config import load_config
from qsearch.config.remarks import remarks

GOOD = {"dataset": "{name: digits}", "model": "{name: digits}", "limit": "{Conv2D: [4, 8, 4]}"}
CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))


def told(folder: Path, **sections: str) -> list[str]:
    path = folder / "c.yaml"
    path.write_text("\n".join(f"{key}: {text}" for key, text in {**GOOD, **sections}.items()), encoding="utf-8")
    return [line.replace(f"{path}:", "") for line in remarks(load_config(path))]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_shipped_configurations_mean_what_they_say(path: Path) -> None:
    assert remarks(load_config(path)) == []


PIECES = "learning_rate_schedule: {name: piecewise, boundaries: [3, 9], factors: [1, 0.1, 0.01]}"
PLATEAU = "learning_rate_schedule: reduce_on_plateau"
OWN = "own_process: {name: x, based_on: horowitz}"


@pytest.mark.parametrize(
    ("section", "value", "expected"),
    [
        ("reference", "{direction: min}", "4:24: reference.direction: found min; of acc more is better, so that"),
        ("reference", "{metrics: [mse], direction: max}", "reference.direction: found max; of mse less is better"),
        ("reference", f"{{epochs: 5, {PIECES}}}", "learning_rate_schedule.boundaries: found 9, of 5 epochs: the rates"),
        ("run", f"{{epochs: 9, {PIECES}}}", "run.learning_rate_schedule.boundaries: found 9, of 9 epochs"),
        ("final_training", f"{{epochs: 3, {PIECES}}}", "boundaries: found 3, of 3 epochs"),
        ("reference", f"{{epochs: 5, {PLATEAU}}}", "learning_rate_schedule: found 10, of 5 epochs: the rate never"),
        ("final_training", "{batch_size: 64}", "final_training: epochs is 0: the best model is not trained further"),
        ("reference", "{epochs: 0}", "reference.epochs: found 0: the reference keeps its first weights"),
        ("model", "{name: digits, custom_objects: ['a:b']}", "model.custom_objects: not used: digits has no classes"),
        ("goal", "{type: energy, params: {delta_p: 0, delta_n: 0}}", "delta_p and delta_n are 0: costs do not count"),
        ("goal", f"{{type: energy, params: {{process: jouppi_7nm, {OWN}}}}}", "process: found jouppi_7nm; own_process"),
        ("goal", "{type: bits, params: {config: {Dense: [parameters]}}}", "counts Dense and not QDense: a layer costs"),
        ("run", "{mode: bayesian, max_trials: 5, num_initial_points: 5}", "found 5, of 5 trials: all are drawn"),
        ("run", "{max_trials: 5, best_models: 6}", "run.best_models: found 6, of 5 trials: all are kept"),
        ("run", "{tune_filters_exceptions: a}", "run.tune_filters_exceptions: not used: run.tune_filters is none"),
        ("run", "{blocks: [a], block_learning_rates: {current: 0}}", "current: found 0: the block that is searched is"),
        ("quantization_config", '{kernel: {"quantized_bits(8)": 4, binary: 1}}', "found 4, and it has 8 bits; limits"),
    ],
)  # fmt: skip
def test_a_remark(tmp_path: Path, section: str, value: str, expected: str) -> None:
    found = told(tmp_path, **{section: value})
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("section", "value"),
    [
        ("reference", "{direction: max}"),
        ("reference", "{metrics: [mse], direction: min}"),
        ("reference", "{metrics: ['a:b'], direction: min}"),
        ("reference", f"{{epochs: 10, {PIECES}}}"),
        ("reference", f"{{epochs: 11, {PLATEAU}}}"),
        ("final_training", "{epochs: 1}"),
        ("goal", f"{{type: energy, params: {{process: horowitz, {OWN}}}}}"),
        ("goal", "{type: bits, params: {config: {Dense: [parameters], QDense: [parameters]}}}"),
        ("goal", "{type: bits, params: {config: {Dense: [parameters], default: [activations]}}}"),
        ("goal", "{type: energy, params: {delta_p: 0}}"),
    ],
)
def test_no_remark(tmp_path: Path, section: str, value: str) -> None:
    assert told(tmp_path, **{section: value}) == []


def test_the_metric_that_scores_counts(tmp_path: Path) -> None:
    assert told(tmp_path, reference="{direction: min}", run="{score_metric: mse}") == []
    assert "of mse less is better" in told(tmp_path, reference="{direction: max}", run="{score_metric: mse}")[0]
