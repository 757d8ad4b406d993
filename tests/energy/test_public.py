"""`qsearch.estimate_energy`, and a quantized model priced in both ways."""

from __future__ import annotations

import json
import random
from typing import Any

import keras
import pytest
from golden_models import graph_of
from keras import layers
from keras_models import build

import qsearch
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.errors import ConfigError
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import QuantizerSpec, parse

WEIGHTS = ("quantized_bits(4,0,1,alpha=1.0)", "binary", "ternary", "quantized_po2(4,1)", "stochastic_binary")
BIASES = ("quantized_bits(8,3,1)", "quantized_po2(4,8)")
ACTIVATIONS = ("quantized_relu(3,1)", "binary", "quantized_relu_po2(4,4)", "quantized_bits(5,1)")
NORMS = ("quantized_relu_po2(6,2048)", "quantized_bits(8,3,1)")


@pytest.mark.parametrize(
    ("options", "total"),
    [
        ({}, 204399),
        ({"reference_activations": "accumulator"}, 574175),
        ({"reference": "fp32", "source_quantizers": "int8", "min_sram_size": 8 * 16 * 1024 * 1024}, 3295370),
        ({"reference": "int8", "accumulator": "int32", "source_quantizers": ["int8"]}, 204399),
    ],
    ids=["seed", "head", "fp32", "spelled out"],
)
def test_the_seeds_figures(options: dict[str, Any], total: int) -> None:
    assert int(qsearch.estimate_energy(build("mnist"), **options).total) == total


def test_without_a_reference_its_own_quantizers_count() -> None:
    plan = QuantizationPlan({"d0": LayerPlan({Role.KERNEL: parse("binary"), Role.BIAS: parse("ternary")})})
    model = apply_plan(build("mlp"), plan)
    report = qsearch.estimate_energy(model, reference=None)
    assert str(report.layers["d0"].weight_format) == "binary"
    assert report.total == price_plan(graph_of("mlp"), plan, EnergySettings()).total
    assert qsearch.estimate_energy(model).total == report.total, "of a quantized model, these are what is asked for"
    float_model = qsearch.estimate_energy(build("mlp"))
    assert qsearch.estimate_energy(model, reference="int8").total == float_model.total, "as reference: unquantized"


def test_a_report_is_data() -> None:
    report = qsearch.estimate_energy(build("mlp"))
    shown = json.loads(json.dumps(report.to_dict()))
    assert shown["total"] == report.total
    assert set(shown["layers"]) == {"d0", "bn0", "a0", "d1", "bn1", "a1", "d2", "sm"}
    assert {"inputs", "parameters", "op_cost", "outputs", "total", "counted", "operations", "formats"} <= set(
        shown["layers"]["d0"]
    )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reference": "int9"}, "reference: found 'int9', allowed: int8, int16, int32, fp16, fp32; did you mean 'int"),
        ({"accumulator": "fp33"}, "accumulator: found 'fp33', allowed"),
        ({"process": "horowits"}, "'horowits'.*allowed: horowitz, jouppi_7nm; did you mean 'horowitz'"),
        ({"weights_on_memory": "ram"}, "weights_on_memory: found 'ram', allowed: fixed, sram, dram"),
        ({"activations_on_memory": "DRAM"}, "activations_on_memory: found 'DRAM'.*did you mean 'dram'"),
        ({"reference_activations": "head"}, "reference_activations: found 'head', allowed: internal, accumulator"),
        ({"source_quantizers": "quantized_bit(4)"}, "did you mean 'quantized_bits'"),
        ({"source_quantizers": ["int8", "int8"]}, "source_quantizers: found 2 formats, but mlp has 1 input"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_wrong_names(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        qsearch.estimate_energy(build("mlp"), **options)


def test_one_source_name_stands_for_all_inputs() -> None:
    """Oddity 16: with four inputs QTools reads the four letters of the name as four formats."""
    inputs = [keras.Input((3,), name=f"in{place}") for place in range(4)]
    model = keras.Model(inputs, layers.Dense(2, name="d")(layers.Concatenate(name="cat")(inputs)))
    report = qsearch.estimate_energy(model, reference="fp32", source_quantizers="fp32")
    assert {str(item) for item in report.layers["cat"].input_formats} == {"fp32"}


def test_sources_are_in_the_order_of_the_models_inputs() -> None:
    first, second = keras.Input((3,), name="first"), keras.Input((5,), name="second")
    model = keras.Model([first, second], layers.Concatenate(name="cat")([second, first]))
    report = qsearch.estimate_energy(model, source_quantizers=["int8", "int16"])
    assert [item.bits for item in report.layers["cat"].input_formats] == [16, 8]


def random_plan(graph: ModelGraph, draw: random.Random, widths: tuple[str, ...]) -> QuantizationPlan:
    def pick(options: tuple[str, ...]) -> QuantizerSpec:
        return parse(draw.choice(options))

    plans: dict[str, LayerPlan] = {}
    for node in graph.nodes:
        chosen: dict[Role, QuantizerSpec] = {}
        match node.operation:
            case ops.Dense(use_bias=bias) | ops.Convolution(use_bias=bias) | ops.DepthwiseConvolution(use_bias=bias):
                chosen[Role.KERNEL] = pick(WEIGHTS)
                if bias and draw.random() < 0.8:
                    chosen[Role.BIAS] = pick(BIASES)
                if draw.random() < 0.3 and node.operation.activation != "softmax":
                    chosen[Role.ACTIVATION] = pick(ACTIVATIONS)
            case ops.BatchNormalization(scale=scale, center=center):
                wanted = [*([Role.GAMMA] * scale), *([Role.BETA] * center), Role.MEAN, Role.VARIANCE]
                chosen = {role: pick(NORMS) for role in wanted if draw.random() < 0.5}
            case ops.Activation(function="relu"):
                chosen[Role.ACTIVATION] = pick(ACTIVATIONS)
            case _:
                continue
        if isinstance(node.operation, ops.Activation) and not chosen:
            continue
        if draw.random() < 0.8:
            filters = draw.randint(2, 12) if node.name in widths else None
            plans[node.name] = LayerPlan(chosen, filters)
    return QuantizationPlan(plans)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("mlp", ("d0", "d1")),
        ("mlp_inline", ("d0",)),
        ("seq_mlp", ("d0",)),
        ("resnet", ("c1", "c3")),
        ("concat", ("c0", "c1", "c2", "c3")),
        ("dsconv", ("pw0", "pw1")),
        ("valid_conv", ("c0",)),
    ],
)
def test_a_plan_costs_what_the_model_that_it_makes_costs(name: str, widths: tuple[str, ...], seed: int) -> None:
    draw = random.Random(f"{name} {seed}")
    reference = build(name)
    graph = read_model(reference)
    plan = random_plan(graph, draw, widths)
    model = apply_plan(reference, plan)
    settings = EnergySettings(rd_wr_on_io=draw.random() < 0.5)
    before, after = price_plan(graph, plan, settings), price_plan(read_model(model), read_plan(model), settings)
    assert before.to_dict() == after.to_dict()
    assert qsearch.estimate_energy(model, reference=None, rd_wr_on_io=settings.rd_wr_on_io).total == before.total
