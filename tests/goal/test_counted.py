"""Goals of operations and memory: totals of many plans against the metrics of one, and scores by hand."""

from __future__ import annotations

import random
from typing import get_args, get_type_hints

import keras
import pytest
from keras import layers

import qsearch
from qsearch.config.budget import BudgetConfig
from qsearch.config.costs import COST_KINDS, COUNTED
from qsearch.config.goals import BitsGoalConfig, CountedGoalConfig, CountedParams, EnergyGoalConfig
from qsearch.goal.pricer import Costs, costs_of
from qsearch.goal.target import Target
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantizers import parse

KERNELS = ["binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_po2(4,1)", "quantized_bits(8,0,1)"]
ACTIVATIONS = ["quantized_relu(3,1)", "quantized_relu_po2(4,4)", "binary", "quantized_relu(16,8)"]


def residual() -> keras.Model:
    """Tied widths, a dropout, a shared layer and a normalization that folds."""
    inputs = keras.Input((6, 6, 4), name="in")
    shared = layers.Conv2D(4, 3, padding="same", use_bias=False, name="c")
    x = layers.Dropout(0.5, name="drop")(shared(shared(inputs)))
    x = layers.Add(name="add")([x, inputs])
    x = layers.Activation("relu", name="a")(x)
    x = layers.Conv2D(6, 1, use_bias=False, name="e")(x)
    x = layers.BatchNormalization(name="b")(x)
    x = layers.Activation("relu", name="a2")(x)
    return keras.Model(inputs, layers.Dense(3, name="d")(layers.Flatten(name="flat")(x)))


def random_plan(graph: ModelGraph, rng: random.Random, widths: bool) -> QuantizationPlan:
    found: dict[str, LayerPlan] = {}
    for node in graph.nodes:
        if rng.random() < 0.2:
            continue
        if node.class_name in ("Conv2D", "Dense"):
            quantizers = {Role.KERNEL: parse(rng.choice(KERNELS)), Role.BIAS: parse("quantized_bits(8,3,1)")}
            if rng.random() < 0.3:
                quantizers[Role.OUTPUT] = parse("quantized_bits(8,2,1,alpha=1.0)")
            wide = widths and node.class_name == "Conv2D"
            found[node.layer] = LayerPlan(
                quantizers, node.output_shape[-1] * rng.choice([1, 2, 3]) // 2 if wide else None
            )
        elif node.class_name == "Activation" and node.layer != "softmax":
            found[node.layer] = LayerPlan({Role.ACTIVATION: parse(rng.choice(ACTIVATIONS))})
    return QuantizationPlan(found)


def reported(costs: Costs, plan: QuantizationPlan | None) -> dict[str, float]:
    """The same figures from the reports that `qsearch energy` shows."""
    metrics, ebops = costs.metrics(plan)
    return {
        "macs": metrics.macs,
        "bops": metrics.bops,
        "ebops": ebops,
        "weight_memory": metrics.weight_bytes,
        "activation_memory": -(-metrics.activation_bits // 8),
        "peak_activation": metrics.peak_activation_bytes,
        "flash": metrics.footprint.weights,
        "ram": metrics.footprint.activations,
    }


@pytest.mark.parametrize("name", ["mnist", "digits", "residual"])
def test_prices_of_many_plans_are_the_metrics_of_each(name: str) -> None:
    graph = read_model(residual() if name == "residual" else qsearch.build_model(name))
    costs = costs_of(EnergyGoalConfig(type="energy"), graph, further=(*COUNTED, "bits"))
    bits = costs_of(BitsGoalConfig(type="bits"), graph)
    goals = {kind: costs_of(CountedGoalConfig(type=kind), graph) for kind in COUNTED}
    rng = random.Random(1)
    for number in range(12):
        plan = random_plan(graph, rng, widths=name != "residual")
        if name == "residual" and number % 3 == 0:
            plan = QuantizationPlan({**plan.layers, "e": LayerPlan({Role.KERNEL: parse("binary")}, fold=Fold("b"))})
        price = costs.price(plan)
        assert price.energy == costs.energy(plan).total
        assert price.spent == {**reported(costs, plan), "bits": bits.cost(plan).total}
        assert bits.price(plan).cost == bits.cost(plan).total
        for kind, own in goals.items():
            found = own.price(plan)
            assert found.cost == own.cost(plan).total == reported(own, plan)[kind]
            shares = sum(layer.total for layer in own.cost(plan).layers.values())
            assert found.cost - 1 < shares <= found.cost
            assert found.energy == own.energy(plan).total


@pytest.mark.parametrize("name", ["digits", "residual"])
def test_of_the_reference(name: str) -> None:
    graph = read_model(residual() if name == "residual" else qsearch.build_model(name))
    for kind in COUNTED:
        costs = costs_of(CountedGoalConfig(type=kind), graph, further=[kind])
        assert costs.reference.total == reported(costs, None)[kind] == costs.reference_of(kind)
        assert costs.unit == COST_KINDS[kind].unit


def test_a_score_of_bit_operations_by_hand() -> None:
    """4 inputs of 8 bits, 3 units; the reference's weights have 8 bits, the trial's 2, and its inputs 8."""
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, use_bias=False, name="d")])
    costs = costs_of(CountedGoalConfig(type="bops", params=CountedParams(delta_p=10.0, rate=2.0)), read_model(model))
    plan = QuantizationPlan({"d": LayerPlan({Role.KERNEL: parse("ternary")})})
    assert costs.reference.total == 12 * 8 * 8
    price = costs.price(plan)
    assert price.cost == 12 * 2 * 8
    assert price.delta == pytest.approx(0.1 * 2)  # a fourth: twice the factor 2
    assert Target("val_acc").score(0.9, price.delta) == pytest.approx(0.9 * 1.2)


def test_every_cost_has_a_goal_and_a_budget() -> None:
    assert get_args(get_type_hints(CountedGoalConfig)["type"]) == COUNTED
    assert {*BudgetConfig.model_fields} == {*COST_KINDS, "cost"}
