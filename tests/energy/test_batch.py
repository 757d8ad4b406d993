"""Batch prices are those of single estimates, to the last bit, for random plans."""

from __future__ import annotations

import random
from typing import Any

import keras
import pytest

import qsearch
from qsearch.energy.batch import PlanPricer
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.errors import ModelError
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import parse

KERNELS = ["binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_po2(4,1)", "quantized_bits(8,0,1)"]
ACTIVATIONS = ["quantized_relu(3,1)", "quantized_relu_po2(4,4)", "binary", "ternary", "quantized_relu(16,8)"]


def random_plan(graph: ModelGraph, rng: random.Random) -> QuantizationPlan:
    layers: dict[str, LayerPlan] = {}
    for node in graph.nodes:
        if rng.random() < 0.2:
            continue
        kind = node.class_name
        if kind in ("Conv2D", "Dense", "DepthwiseConv2D"):
            quantizers = {Role.KERNEL: parse(rng.choice(KERNELS)), Role.BIAS: parse("quantized_bits(8,3,1)")}
            operation = node.operation
            wide = isinstance(operation, ops.Convolution) and not isinstance(operation, ops.DepthwiseConvolution)
            filters = operation.filters * rng.choice([1, 2, 3]) // 2 if wide else None  # type: ignore[union-attr]
            layers[node.layer] = LayerPlan(quantizers, filters)
        elif kind == "Activation" and node.layer != "softmax":
            layers[node.layer] = LayerPlan({Role.ACTIVATION: parse(rng.choice(ACTIVATIONS))})
        elif kind == "BatchNormalization":
            layers[node.layer] = LayerPlan({Role.GAMMA: parse("quantized_relu_po2(6,2048)")})
    return QuantizationPlan(layers)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
@pytest.mark.parametrize(
    "settings", [{}, {"activations_on_memory": "dram", "rd_wr_on_io": True, "min_sram_size": 4096}]
)
def test_random_plans(name: str, settings: dict[str, Any]) -> None:
    graph = read_model(qsearch.build_model(name))
    design, rng = EnergySettings(**settings), random.Random(3)
    pricer = PlanPricer(graph, design)
    for _ in range(40):
        plan = random_plan(graph, rng)
        assert pricer.total(plan) == pricer.total(plan) == price_plan(graph, plan, design).total


@pytest.mark.parametrize("seed", range(3))
def test_the_built_model_costs_the_same(seed: int) -> None:
    model = qsearch.build_model("fashion_mnist")
    graph = read_model(model)
    plan = random_plan(graph, random.Random(seed))
    built = apply_plan(model, plan)
    found = price_plan(read_model(built), read_plan(built), EnergySettings())
    assert PlanPricer(graph, EnergySettings()).total(plan) == found.total


def test_shared_layers_dropout_and_folds() -> None:
    inputs = keras.Input((6, 6, 2))
    conv = keras.layers.Conv2D(2, 3, padding="same", use_bias=False, name="c")
    x = keras.layers.Dropout(0.5)(conv(conv(inputs)))
    x = keras.layers.Conv2D(3, 1, use_bias=False, name="e")(keras.layers.Add()([x, inputs]))
    graph = read_model(keras.Model(inputs, keras.layers.BatchNormalization(name="b")(x)))
    binary = {Role.KERNEL: parse("binary")}
    for plan in (
        QuantizationPlan({"c": LayerPlan(binary)}),
        QuantizationPlan({"c": LayerPlan(binary), "e": LayerPlan(binary, fold=Fold("b"))}),
    ):
        assert PlanPricer(graph, EnergySettings()).total(plan) == price_plan(graph, plan, EnergySettings()).total
    with pytest.raises(ModelError, match="has no layer 'd'"):
        PlanPricer(graph, EnergySettings()).total(QuantizationPlan({"d": LayerPlan(binary)}))
