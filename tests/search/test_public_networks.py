"""Networks that no one here wrote: the cheapest plan costs less than the reference, and what its model costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from qsearch.blocks.lookahead import cost_in
from qsearch.config import load_config
from qsearch.energy.counts import counts, priced_share
from qsearch.energy.estimate import price_plan
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.models import load_model
from qsearch.quantize.apply import apply_plan
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.search.cheapest import cheapest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "models"
CONFIG = """
dataset: {name: digits}
model: MODEL
quantization_config:
  kernel: {ternary: 2, "quantized_bits(4,0,1,alpha=1.0)": 4}
  bias: {"quantized_bits(4,0,1)": 4}
  activation: {"quantized_relu(4,2)": 4, "quantized_hswish(8,2)": 8}
  linear: {"quantized_bits(8,2)": 8}
limit: {Dense: [4, 4, 8], Conv1D: [4, 4, 8], Conv2D: [4, 4, 8], DepthwiseConv2D: [4, 4, 8],
        SeparableConv1D: [4, 4, 8], Activation: [8], BatchNormalization: [], linear: [8]}
goal:
  type: energy
  params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false, source_quantizers: [int8],
           reference_internal: int8, reference_accumulator: int32}
"""


def experiment_of(folder: Path, model: str, *overrides: str) -> Experiment:
    (folder / "c.yaml").write_text(CONFIG.replace("MODEL", model), encoding="utf-8")
    return read_experiment(load_config(folder / "c.yaml", overrides))


def cheapest_costs_less(experiment: Experiment) -> keras.Model:
    """The model of the cheapest plan, which costs what the plan does."""
    space, costs = experiment.space, experiment.costs
    plan = space.plan(cheapest(space, cost_in(space, costs)))
    found = costs.price(plan).energy
    quantized = apply_plan(experiment.model, plan)
    settings = costs.energy_goal.trial_settings
    assert found == price_plan(read_model(quantized), read_plan(quantized), settings).total
    assert found < costs.reference_energy.total / 3
    return quantized


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("MobileNetV2", {"alpha": 0.35}),
        ("MobileNetV3Small", {"include_preprocessing": True}),
        ("EfficientNetB0", {}),
    ],
)
def test_keras_applications(tmp_path: Path, name: str, arguments: dict[str, Any]) -> None:
    given = {"input_shape": [32, 32, 3], "weights": "null", "classes": 3, **arguments}
    text = ", ".join(f"{key}: {value}" for key, value in given.items())
    model = f'{{factory: "keras.applications:{name}", arguments: {{{text}}}}}'
    experiment = experiment_of(tmp_path, model, *(["run.fold_batch_norm=true"] if name == "MobileNetV2" else []))
    assert priced_share(experiment.graph) == 1
    quantized = cheapest_costs_less(experiment)
    kinds = {type(layer).__name__ for layer in quantized.layers}
    assert "QActivation" in kinds
    assert ("QConv2DBatchnorm" if name == "MobileNetV2" else "QConv2D") in kinds
    assert quantized.count_params() > 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the trained models of MLPerf Tiny are not here")
@pytest.mark.parametrize(
    ("name", "macs"),
    [
        ("mlperf_tiny_resnet8", 12_501_632),
        ("mlperf_tiny_streaming_wakeword", None),
        ("mlperf_tiny_autoencoder", 264_192),
    ],
)
def test_mlperf_tiny(tmp_path: Path, name: str, macs: int | None) -> None:
    path = SHARED / f"{name}.h5"
    experiment = experiment_of(tmp_path, f"{{path: {path}}}")
    if macs is not None:
        assert sum(counts(node).macs for node in experiment.graph.nodes) == macs
    cheapest_costs_less(experiment).save(tmp_path / "q.keras")
    assert read_plan(load_model(tmp_path / "q.keras")).layers
