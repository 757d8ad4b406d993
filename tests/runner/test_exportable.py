"""`target:` of a configuration: what the search keeps to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny_run import tiny

import qsearch
from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.integer.operations import Thresholds, Uniform
from qsearch.hardware.targets import codes
from qsearch.hardware.targets.codes import CodesTarget
from qsearch.hardware.targets.target import Write
from qsearch.runner.experiment import Experiment, read_experiment

QUICK = ["reference.epochs=1", "run.epochs=1", "final_training.epochs=0"]


class NoTables:
    """A target that computes no tables, rounds half away from zero alone, and has kernels of 4 bits at most."""

    name, extra, readme, wide_option, norms = "codes", "", "", "", "scale"
    keeps_softmax = False
    run = codes.TARGET.run

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        for step in model.steps:
            kernel = getattr(step.operation, "kernel", None)
            if kernel is not None and abs(kernel).max() > 8:
                raise qsearch.errors.ExportError(f"{step.layer}: kernels of 4 bits at most")
            if isinstance(step.operation, Thresholds):
                raise qsearch.errors.ExportError(f"{step.layer}: has a table")
            if isinstance(step.operation, Uniform) and step.operation.shift < 0 and not step.operation.half_away:
                raise qsearch.errors.ExportError(f"{step.layer}: rounds to even")
        return CodesTarget().prepare(model, options)


@pytest.fixture
def no_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "TARGET", NoTables())


def read(tmp_path: Path, *sets: str) -> Experiment:
    return read_experiment(load_config(tiny(tmp_path, tmp_path / "out"), [*QUICK, "target=codes", *sets]))


def options(experiment: Experiment, name: str) -> list[str]:
    return [str(one) for part in experiment.space.dimensions if part.name.endswith(name) for one in part.options]


def test_nothing_is_left_out_for_a_target_that_takes_all(tmp_path: Path) -> None:
    every = read_experiment(load_config(tiny(tmp_path, tmp_path / "out"), QUICK))
    assert read(tmp_path).space.dimensions == every.space.dimensions


@pytest.mark.usefixtures("no_tables")
def test_candidates_are_left_out_or_rounded_otherwise(tmp_path: Path) -> None:
    kinds = "quantization_config.activation={binary: 1, 'quantized_relu(3,1)': 3}"
    experiment = read(tmp_path, kinds, "limit.Activation=[4]", "limit.Dense=[8,8,4]")
    chosen = options(experiment, "activation_quantizer")
    assert set(chosen) == {"quantized_relu(3,1,rounding='half_away')"}
    kernels = options(experiment, "kernel_quantizer")
    assert "quantized_bits(8,0,1,alpha=1.0)" not in kernels
    assert "ternary" in kernels
    assert "target codes: left out activation binary: has a table" in experiment.remarks
    told = "target codes: quantized_relu(3,1) is searched as quantized_relu(3,1,rounding='half_away')"
    assert told in experiment.remarks


@pytest.mark.usefixtures("no_tables")
def test_a_layer_without_a_candidate_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--set target=codes: target: codes takes no candidate of .*: binary: has a table"
    ):
        read(tmp_path, "quantization_config.activation={binary: 1}", "limit.Activation=[4]")


def test_a_model_that_cannot_be_exported_is_told_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"target: codes cannot compute .*fp32, which is no integer"):
        read(tmp_path, "goal.params.source_quantizers=[fp32]")
    with pytest.raises(ConfigError, match=r"target: .*layer is no quantized layer|target: .*is no quantized layer"):
        read(tmp_path, "limit={Activation: [4]}")


def test_options_of_a_target_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="packd"):
        read(tmp_path, "target={name: c, options: {packd: true}}")


@pytest.mark.slow
def test_a_front_is_exported_whole(tmp_path: Path) -> None:
    sets = [*QUICK, "run.max_trials=3", "export=[{name: codes, models: front}]", "run.best_models=1"]
    result = qsearch.run(tiny(tmp_path, tmp_path / "out"), sets)
    front = [point.trial for point in result.result.front.trials]
    for trial in front:
        folder = tmp_path / "out" / "exports" / f"trial_{trial}" / "codes"
        told = json.loads((folder / "verification.json").read_text(encoding="utf-8"))
        assert set(told["keras_mismatches"].values()) == {0}
    assert (tmp_path / "out" / "exports" / "codes" / "network.json").is_file()
    assert len(result.exports) == len(front) + 1
