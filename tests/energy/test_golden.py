"""Whole models against QTools: formats, the four energies of every layer, totals.

Where a correction of QTools touches a layer, the test names the oddity and computes the corrected figure itself.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import pytest
from golden_models import energies, graph_of, out_of_scope, plan_of, row_of, shown

from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.report import EnergyReport, LayerEnergy
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph
from qsearch.quantizers.formats import SOURCE_FORMATS, source_format
from qsearch.quantizers.number_types import NumberFormat

RULES: dict[str, Literal["internal", "accumulator"]] = {"legacy": "internal", "head": "accumulator"}

TANH_BEHIND_FLATTEN = "q_direct/direct"
"""Oddity 14: QTools turns quantized_tanh behind Flatten into 2-bit ternary; here it stays what it is."""


def settings(config: dict[str, Any], mem: list[Any], rule: Literal["internal", "accumulator"]) -> EnergySettings:
    def named(text: str | None) -> NumberFormat:
        return SOURCE_FORMATS["int8" if text is None else text]

    sources = config["source"]
    return EnergySettings(
        weights_on_memory=mem[0],
        activations_on_memory=mem[1],
        min_sram_size=mem[2],
        rd_wr_on_io=mem[3],
        sources=None if sources is None else tuple(source_format(text) for text in sources),
        internal=named(config["keras_quantizer"]),
        accumulator=named(config["keras_accumulator"]),
        activations=rule,
        unquantized_norm="fp32",
        fused_activation="inline",
    )


def pooled(graph: ModelGraph) -> dict[str, int]:
    """Oddity 5: average pooling does output positions x area x channels additions. Its layers, with that count."""
    return {
        node.name: math.prod(node.output_shape) * math.prod(node.operation.pool_size or node.input_shapes[0][:-1])
        for node in graph.nodes
        if isinstance(node.operation, ops.AveragePooling)
    }


def depthwise_biases(graph: ModelGraph) -> dict[str, int]:
    """Oddity 7: QTools reads one bias per depth multiplier, not per output channel. Layers with a bias: channels."""
    return {
        node.name: node.output_shape[-1]
        for node in graph.nodes
        if isinstance(node.operation, ops.DepthwiseConvolution) and node.operation.use_bias
    }


def access(bits: int, mem: list[Any]) -> float:
    """Section 7 of the energy model, written down a second time: reading parameters."""
    z = math.log2(max(bits, mem[2]))
    sram = math.ceil(bits / 64) * max(0.0, 9.02427321e-4 * z**3 - 2.68847858e-2 * z**2 + 0.208900804 * z)
    return {"fixed": 0.0, "sram": sram, "dram": 20.3125 * bits + (sram if mem[3] else 0.0)}[mem[0]]


class Comparison:
    """A report held against a golden run; `added` is what corrections add to the total."""

    def __init__(self, graph: ModelGraph, report: EnergyReport, dtypes: dict[str, Any], mem: list[Any]) -> None:
        self.report, self.dtypes, self.mem = report, dtypes, mem
        self.pooled, self.biases = pooled(graph), depthwise_biases(graph)
        self.kernels = {node.name: math.prod(node.weights.get("kernel", ())) for node in graph.nodes}
        self.values = {node.name: math.prod(node.output_shape) for node in graph.nodes}
        self.added = 0.0

    def formats(self) -> None:
        assert set(self.report.layers) == set(self.dtypes)
        for name, expected in self.dtypes.items():
            found = self.report.layers[name]
            assert [row_of(item) for item in found.input_formats] == [shown(row) for row in expected["in"]], name
            assert row_of(found.output_format) == shown(expected["out"]), name
            for key, item in (
                ("w", found.weight_format),
                ("b", found.bias_format),
                ("acc", found.accumulator_format),
            ):
                if key in expected:
                    assert item is not None, (name, key)
                    assert row_of(item) == shown(expected[key]), (name, key)
            assert found.operations == self.pooled.get(name, expected["ops"]), name

    def energies(self, profile: dict[str, list[float]]) -> None:
        for name, expected in profile.items():
            layer = self.report.layers[name]
            inputs, outputs, parameters, op_cost = expected
            if name in self.pooled:
                op_cost = self.pool_cost(name, layer)
            if name in self.biases:
                parameters = self.depthwise_parameters(name, layer)
            self.added += op_cost - expected[3] + parameters - expected[2]
            found = [layer.inputs, layer.outputs, layer.parameters, layer.op_cost]
            assert found == [inputs, outputs, parameters, op_cost], name

    def pool_cost(self, name: str, layer: LayerEnergy) -> float:
        accumulator = layer.accumulator_format
        assert accumulator is not None
        each = {5: {16: 0.4, 32: 0.9}.get(accumulator.bits, 0.0)}.get(
            row_of(accumulator)[0], 0.003125 * accumulator.bits
        )
        cost = self.pooled[name] * each
        if "mul" in self.dtypes[name]:  # oddity 5: the product with the quantized 1/area is charged, once a value
            assert self.dtypes[name]["mul"]["op"] == "mul"
            bits = self.dtypes[name]["mul"]["gate_bits"]
            cost += self.values[name] * (0.002994791667 * bits**2 + 0.001041666667 * bits)
        return float(f"{cost:.2f}")

    def depthwise_parameters(self, name: str, layer: LayerEnergy) -> float:
        assert layer.weight_format is not None
        assert layer.bias_format is not None
        weights = access(self.kernels[name] * layer.weight_format.bits, self.mem)
        return round(weights + access(self.biases[name] * layer.bias_format.bits, self.mem), 2)

    def total(self, expected: int) -> None:
        if self.pooled or self.biases:
            assert self.report.total - self.added == pytest.approx(expected + 0.5, abs=0.5)
        else:
            assert int(self.report.total) == expected


REFERENCES = [
    pytest.param(entry, config, id=f"{entry['arch']}-{config['keras_quantizer']}-{config['source']}-{config['rule']}")
    for entry in energies()["reference"]
    for config in entry["configs"]
]
QUANTIZED = [
    pytest.param(entry, id=entry["id"])
    for entry in energies()["quantized"]
    if not out_of_scope(entry["quantized_layers"]) and entry["id"] != TANH_BEHIND_FLATTEN
]


@pytest.mark.parametrize(("entry", "config"), REFERENCES)
def test_references(entry: dict[str, Any], config: dict[str, Any]) -> None:
    graph = graph_of(entry["arch"])
    for run in config["energy"]:
        report = price_reference(graph, settings(config, run["mem"], RULES[config["rule"]]))
        compare = Comparison(graph, report, config["dtypes"], run["mem"])
        compare.formats()
        if "profile" in run:
            compare.energies(dict(zip(entry["layers"], run["profile"], strict=True)))
        if "profile" in run or not (compare.pooled or compare.biases):
            compare.total(run["total"])


def test_no_golden_model_is_left_out() -> None:
    assert not any(out_of_scope(entry["quantized_layers"]) for entry in energies()["quantized"])


@pytest.mark.parametrize("entry", QUANTIZED)
def test_quantized(entry: dict[str, Any]) -> None:
    graph, plan = graph_of(entry["arch"]), plan_of(entry["quantized_layers"])
    for run in entry["runs"]:
        if run["is_inference"]:
            continue  # counts distinct weights: later
        for energy in run["energy"]:
            report = price_plan(graph, plan, settings(run, energy["mem"], "accumulator"))
            compare = Comparison(graph, report, run["dtypes"], energy["mem"])
            compare.formats()
            compare.energies(energy["profile"])
            compare.total(energy["total"])


@pytest.mark.parametrize("entry", QUANTIZED)
def test_quantized_under_the_seeds_rule(entry: dict[str, Any]) -> None:
    graph, plan = graph_of(entry["arch"]), plan_of(entry["quantized_layers"])
    run = entry["runs"][0]
    mem, profile = run["energy"][0]["mem"], run["energy"][0]["profile"]
    report = price_plan(graph, plan, settings(run, mem, "internal"))
    added = price_plan(graph, plan, settings(run, mem, "accumulator")).total - sum(
        _counted(graph, name, figures) for name, figures in profile.items()
    )
    assert report.total - added == pytest.approx(entry["legacy_rule"]["total"] + 0.5, abs=0.51)


def _counted(graph: ModelGraph, name: str, figures: list[float]) -> float:
    """Section 8: which of a layer's [inputs, outputs, parameters, op_cost] count."""
    kind = {node.name: node.class_name for node in graph.nodes}[name].removeprefix("Q")
    positions = {"Activation": (1,), "BatchNormalization": (2,), "Add": (3,), "MaxPooling2D": (3,)}
    return sum(figures[place] for place in positions.get(kind, (0, 2, 3)))


def test_a_format_stays_what_it_is_behind_flatten() -> None:
    """Oddity 14, corrected: 5-bit tanh stays 5 bits; only Flatten's and the next layer's figures differ from QTools."""
    (entry,) = [entry for entry in energies()["quantized"] if entry["id"] == TANH_BEHIND_FLATTEN]
    run = entry["runs"][0]
    graph, plan = graph_of(entry["arch"]), plan_of(entry["quantized_layers"])
    report = price_plan(graph, plan, settings(run, run["energy"][0]["mem"], "accumulator"))
    for name, expected in run["energy"][0]["profile"].items():
        layer = report.layers[name]
        found = [layer.inputs, layer.outputs, layer.parameters, layer.op_cost]
        if name == "fl":
            expected = [9.14, 9.14, 0, 0]  # 512 values of 5 bits, read and written
        elif name == "d":
            # 2560 x (ternary multiplexer 0.6 x 0.003125 x 5 bits + adder of a 15-bit accumulator 0.003125 x 15)
            expected = [9.14, *expected[1:3], 144.0]
        assert found == expected, name


def test_the_mnist_table() -> None:
    """Section 12, the seed's rule: what counts of each layer."""
    counted = {
        "conv2d_0": 8489.00, "bn_0": 3.64, "act_0": 50.05,
        "conv2d_1": 67863.96, "bn_1": 6.60, "act_1": 27.08,
        "conv2d_2": 66723.46, "bn_2": 9.19, "act_2": 16.29,
        "conv2d_3": 34178.25, "bn_3": 11.53, "act_3": 7.87,
        "conv2d_4": 26569.68, "bn_4": 19.39, "act_4": 4.85,
        "flatten": 4.85, "dense": 413.03, "softmax": 0.95,
    }  # fmt: skip
    report = price_reference(graph_of("mnist"), EnergySettings())
    assert {name: round(layer.total, 2) for name, layer in report.layers.items()} == counted
    assert report.total == pytest.approx(204399.67, abs=0.011)  # the sum of the unrounded table; it prints 204399 (.67)


def test_the_two_other_figures_of_the_seed() -> None:
    fp32 = SOURCE_FORMATS["fp32"]
    fp = EnergySettings(
        min_sram_size=8 * 16 * 1024 * 1024, sources=(SOURCE_FORMATS["int8"],), internal=fp32, accumulator=fp32
    )
    assert int(price_reference(graph_of("mnist"), fp).total) == 3295370
    head = EnergySettings(activations="accumulator")
    assert int(price_reference(graph_of("mnist"), head).total) == 574175
