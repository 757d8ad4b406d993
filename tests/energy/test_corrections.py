"""Small graphs by hand, where QTools fails or miscounts. Numbers of oddities are those of the energy spec.

Word energy q(z) = 9.02427321e-4 z^3 - 2.68847858e-2 z^2 + 0.208900804 z, z = log2(bits); 8x8 product 0.2 pJ.
"""

from __future__ import annotations

import math

import pytest
from golden_models import graph_of

from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.report import EnergyReport
from qsearch.errors import ConfigError, ModelError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers import parse
from qsearch.quantizers.formats import SOURCE_FORMATS, source_format

INT8 = SOURCE_FORMATS["int8"]
SEED = EnergySettings()


def sram(bits: int) -> float:
    z = math.log2(bits)
    return math.ceil(bits / 64) * max(0.0, 9.02427321e-4 * z**3 - 2.68847858e-2 * z**2 + 0.208900804 * z)


def node(
    name: str,
    operation: ops.Operation,
    inputs: tuple[Node, ...],
    output: Shape,
    weights: dict[str, Shape] | None = None,
) -> Node:
    shapes = tuple(source.output_shape for source in inputs)
    names = tuple(source.name for source in inputs)
    layer = name.split(":")[0]
    return Node(
        name=name,
        layer=layer,
        class_name=type(operation).__name__,
        operation=operation,
        inputs=names,
        input_shapes=shapes,
        output_shape=output,
        weights=weights or {},
    )


def source(*shape: int, name: str = "in") -> Node:
    return node(name, ops.Input(), (), shape)


def graph(*nodes: Node, outputs: tuple[str, ...] = ()) -> ModelGraph:
    return ModelGraph("small", nodes, outputs or (nodes[-1].name,))


def dense(name: str, x: Node, units: int) -> Node:
    return node(
        name,
        ops.Dense(units=units, use_bias=False),
        (x,),
        (*x.output_shape[:-1], units),
        {"kernel": (x.output_shape[-1], units)},
    )


def price(*nodes: Node, outputs: tuple[str, ...] = ()) -> EnergyReport:
    return price_reference(graph(*nodes, outputs=outputs), SEED)


def test_a_dense_layer() -> None:
    x = source(10)
    layer = price(x, dense("d", x, 4)).layers["d"]
    assert layer.operations == 40
    assert layer.op_cost == pytest.approx(40 * (0.2 + 0.1), abs=0.005), "8x8 product, 32-bit addition"
    assert layer.inputs == round(sram(80), 2)
    assert layer.parameters == round(sram(320), 2)
    assert layer.outputs == round(sram(4 * 32), 2)
    assert layer.total == pytest.approx(layer.inputs + layer.parameters + layer.op_cost)


def test_dense_on_sequences() -> None:
    """Oddity 26: QTools stops at Dense on (time, features)."""
    x = source(7, 10)
    assert price(x, dense("d", x, 4)).layers["d"].operations == 7 * 10 * 4


def test_grouped_convolution() -> None:
    """Oddity 7: groups divide the products."""
    x = source(6, 6, 8)
    operation = ops.Convolution(filters=16, kernel_size=(3, 3), use_bias=False, groups=4)
    layer = price(x, node("c", operation, (x,), (4, 4, 16), {"kernel": (3, 3, 2, 16)})).layers["c"]
    assert layer.operations == 4 * 4 * 16 * 3 * 3 * 2


def test_depth_multiplier() -> None:
    """Oddity 7: a depth multiplier multiplies products and biases."""
    x = source(6, 6, 5)
    operation = ops.DepthwiseConvolution(kernel_size=(3, 3), use_bias=True, depth_multiplier=2)
    weights: dict[str, Shape] = {"kernel": (3, 3, 5, 2), "bias": (10,)}
    layer = price(x, node("dw", operation, (x,), (4, 4, 10), weights)).layers["dw"]
    assert layer.operations == 4 * 4 * 10 * 3 * 3
    assert layer.parameters == round(sram(90 * 8) + sram(10 * 8), 2)


def test_conv1d() -> None:
    """Oddity 27."""
    x = source(20, 3)
    layer = price(
        x, node("c", ops.Convolution(filters=6, kernel_size=(5,), use_bias=False), (x,), (16, 6), {"kernel": (5, 3, 6)})
    ).layers["c"]
    assert layer.operations == 16 * 6 * 5 * 3


def test_average_pooling() -> None:
    """Oddity 5: QTools counts channels x area, whatever the image's size."""
    x = source(8, 8, 4)
    layer = price(x, node("ap", ops.AveragePooling((2, 2)), (x,), (4, 4, 4))).layers["ap"]
    assert layer.operations == 4 * 4 * 4 * 4
    assert layer.op_cost == pytest.approx(256 * 0.1)
    whole = price(x, node("gap", ops.AveragePooling(None), (x,), (4,))).layers["gap"]
    assert whole.operations == 8 * 8 * 4, "directly behind an input too, where QTools takes the area for 1"


def test_adding_a_tensor_to_itself() -> None:
    """Oddity 20: QTools prices Add([x, x]) at nothing."""
    x = source(64)
    layer = price(x, node("add", ops.Merge(ops.MergeKind.ADD), (x, x), (64,))).layers["add"]
    assert layer.operations == 64
    assert layer.op_cost == pytest.approx(64 * 9 * 0.003125, abs=0.005), "one 9-bit addition a value"
    assert layer.inputs == pytest.approx(2 * sram(512), abs=0.011)
    assert layer.total == layer.op_cost


def test_several_inputs_of_one_merge() -> None:
    """Oddity 20: each model input is read."""
    first, second, third = source(64, name="a"), source(64, name="b"), source(64, name="c")
    report = price(first, second, third, node("add", ops.Merge(ops.MergeKind.ADD), (first, second, third), (64,)))
    assert report.layers["add"].op_cost == pytest.approx(2 * 64 * 9 * 0.003125, abs=0.005)


def test_multiplying_a_tensor_by_itself() -> None:
    """Oddity 20: QTools stops."""
    x = source(64)
    layer = price(x, node("m", ops.Merge(ops.MergeKind.MULTIPLY), (x, x), (64,))).layers["m"]
    assert layer.op_cost == pytest.approx(64 * 0.2)


def test_subtract() -> None:
    """Oddity 25: QTools stops; here as Add."""
    first, second = source(64, name="a"), source(64, name="b")
    layer = price(first, second, node("s", ops.Merge(ops.MergeKind.SUBTRACT), (first, second), (64,))).layers["s"]
    assert layer.total == layer.op_cost == pytest.approx(64 * 9 * 0.003125, abs=0.005)


def test_every_call_of_a_shared_layer_costs() -> None:
    """Oddity 21: QTools prices the first call only."""
    x = source(8)
    first = dense("d", x, 8)
    report = price(x, first, dense("d:1", first, 8))
    assert report.layers["d"].operations == report.layers["d:1"].operations == 64
    quantized = QuantizationPlan({"d": LayerPlan({Role.KERNEL: parse("binary")})})
    both = price_plan(graph(x, first, dense("d:1", first, 8)), quantized, SEED)
    assert {str(layer.weight_format) for layer in both.layers.values()} == {"binary"}


def test_an_output_that_is_also_used_inside_is_written_out() -> None:
    """Oddity 24."""
    x = source(16)
    inner = dense("d", x, 16)
    io = EnergySettings(rd_wr_on_io=True)
    alone = price_reference(graph(x, inner, dense("e", inner, 2)), io).layers["d"]
    shown = price_reference(graph(x, inner, dense("e", inner, 2), outputs=("d", "e")), io).layers["d"]
    assert alone.outputs == round(sram(16 * 32), 2)
    assert shown.outputs == round(20.3125 * 16 * 32 + sram(16 * 32), 2)


def test_batch_norm_fed_by_the_model_input() -> None:
    """Oddity 28: it writes all its values, not one."""
    x = source(8, 8, 3)
    weights: dict[str, Shape] = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (3,))
    layer = price(x, node("bn", ops.BatchNormalization(), (x,), (8, 8, 3), weights)).layers["bn"]
    assert layer.operations == 192
    assert layer.outputs == round(sram(192 * 32), 2)
    assert layer.total == layer.parameters == round(4 * sram(24), 2)


def test_a_float_carried_by_a_multiplexer_has_a_price() -> None:
    """Oddity 17: QTools knows only 16 and 32-bit floats, and no float multiplexer."""
    x = source(10)
    settings = EnergySettings(sources=(source_format("binary"),), internal=INT8, accumulator=SOURCE_FORMATS["fp32"])
    layer = price_reference(graph(x, dense("d", x, 4)), settings).layers["d"]
    assert layer.op_cost == pytest.approx(40 * (0.3 * 0.9 + 0.9), abs=0.005)


def test_any_quantizer_may_be_a_source() -> None:
    """Oddity 16: QTools takes strings but five names for int8."""
    x = source(10)
    settings = EnergySettings(sources=(source_format("quantized_bits(4,0,1)"),))
    layer = price_reference(graph(x, dense("d", x, 4)), settings).layers["d"]
    assert layer.inputs == round(sram(40), 2)


def test_unknown_layers_pay_for_reading_and_are_named() -> None:
    x = source(16)
    report = price(x, node("odd", ops.Unknown("Stranger"), (x,), (16,)))
    assert report.layers["odd"].total == round(sram(128), 2)
    assert any(note.startswith("odd: no rule for Stranger") for note in report.notes)


def test_unquantized_batch_norm_hands_on_the_accumulator_as_in_the_reference() -> None:
    """Oddity 10, decided otherwise; QTools' fp32 stays reachable, and the report says so."""
    plan = QuantizationPlan({"bn_0": LayerPlan(), "conv2d_0": LayerPlan({Role.KERNEL: parse("ternary")})})
    report = price_plan(graph_of("mnist"), plan, SEED)
    assert report.layers["bn_0"].output_format == SEED.accumulator
    assert "flatten: passes its input's format through" in report.notes
    as_qtools = price_plan(graph_of("mnist"), plan, EnergySettings(unquantized_norm="fp32"))
    assert str(as_qtools.layers["bn_0"].output_format) == "fp32"
    assert "bn_0: batch norm without quantizers hands on fp32" in as_qtools.notes


@pytest.mark.parametrize("count", [2, 3])
def test_sources_must_be_one_or_one_each(count: int) -> None:
    x = source(10)
    with pytest.raises(ConfigError, match=f"found {count} formats, but small has 1 input"):
        price_reference(graph(x, dense("d", x, 4)), EnergySettings(sources=(INT8,) * count))


def test_unknown_memory() -> None:
    """Oddity 18: QTools lets activations in an unknown memory cost nothing."""
    with pytest.raises(
        ConfigError, match=r"activations_on_memory: found 'srm', allowed: fixed, sram, dram; did you mean"
    ):
        EnergySettings(activations_on_memory="srm")  # type: ignore[arg-type]


def test_a_plan_for_a_layer_that_is_not_there() -> None:
    with pytest.raises(ModelError, match="mnist has no layer 'conv2d_9'; did you mean 'conv2d_"):
        price_plan(graph_of("mnist"), QuantizationPlan({"conv2d_9": LayerPlan()}), SEED)


def test_filters_of_a_plan_are_priced() -> None:
    half = price_plan(graph_of("mlp"), QuantizationPlan({"d0": LayerPlan(filters=32)}), SEED)
    assert half.layers["d0"].operations == 784 * 32
    assert half.layers["d1"].operations == 32 * 32
