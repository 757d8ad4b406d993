"""Transposed convolutions, recurrent layers, embeddings and layers over time give what Keras gives."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest
from integer_layers import CELL, GATES, KERNEL, LAYERS, layers, transposed, weighted

import qsearch
from qsearch import layers as q
from qsearch.errors import ExportError
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.compare import compare, extremes
from qsearch.hardware.integer.operations import Lookup, Slice, Stuff
from qsearch.hardware.public import verify_export
from qsearch.layers.cells import QLSTMCell


def differing(model: keras.Model, seed: int = 0, count: int = 100) -> int:
    """Outputs that differ from Keras', on extreme and random inputs."""
    integers = integer_model(weighted(model, seed))
    return sum(compare(model, integers, extremes(integers, count)).keras_mismatches.values())


@pytest.mark.parametrize("network", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_networks(network: Any, seed: int) -> None:
    assert differing(network(), seed) == 0


@pytest.mark.parametrize("size", [(3, 3), (2, 3), (1, 4)])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_transposed_sizes(size: Any, strides: Any, padding: str) -> None:
    assert differing(transposed(kernel_size=size, strides=strides, padding=padding)) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"strides": 2, "padding": "same", "output_padding": 1},
        {"kernel_size": (3, 2), "strides": 3, "padding": "same", "output_padding": (1, 2)},
        {"strides": 2, "padding": "valid", "output_padding": (1, 0)},
        {"kernel_size": 1, "strides": 3, "padding": "same", "output_padding": 1},
        {"kernel_size": (3, 2), "dilation_rate": 2, "padding": "same"},
        {"kernel_size": (3, 2), "dilation_rate": (2, 3), "padding": "valid"},
        {"kernel_size": 2, "strides": 3, "use_bias": False},
    ],
)
def test_transposed_paddings(options: dict[str, Any]) -> None:
    assert differing(transposed(**options)) == 0


@pytest.mark.parametrize(
    "kernel", ["quantized_bits(4,0,1)", "quantized_bits(4,0,1,scale_axis=2)", "binary", "ternary", "quantized_po2(4,1)"]
)
def test_transposed_kernels(kernel: str) -> None:
    """Automatic scales are of input channels, or of filters."""
    assert differing(transposed(strides=2, kernel_quantizer=kernel, use_bias=False)) == 0


def test_zeros_between_only_where_there_is_a_stride() -> None:
    kinds = [type(step.operation) for step in integer_model(transposed(strides=2)).steps]
    assert kinds[0] is Stuff
    assert Stuff not in [type(step.operation) for step in integer_model(transposed()).steps]


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (q.QSimpleRNN, CELL),
        (q.QSimpleRNN, {**CELL, "activation": "relu"}),
        (q.QLSTM, GATES),
        (q.QGRU, GATES),
        (q.QGRU, {**GATES, "reset_after": True}),
    ],
)
def test_recurrent(kind: Any, options: dict[str, Any], sequences: bool, backwards: bool) -> None:
    inputs = keras.Input((5, 3))
    x = kind(4, return_sequences=sequences, go_backwards=backwards, **options)(inputs)
    assert differing(keras.Model(inputs, x), seed=3) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"kernel_quantizer": "quantized_bits(4,0,1)", "recurrent_quantizer": "quantized_bits(4,0,1)"},
        {"kernel_quantizer": "ternary(alpha=1.0)", "recurrent_quantizer": "binary(alpha=1.0)"},
        {"state_quantizer": "binary(alpha=1.0)", "activation": "ternary(alpha=1.0)"},
        {"recurrent_activation": "quantized_sigmoid(4,use_real_sigmoid=True)"},
        {"use_bias": False},
    ],
)
@pytest.mark.parametrize("kind", [q.QLSTM, q.QGRU])
def test_cells(kind: Any, options: dict[str, Any]) -> None:
    """A binary state begins with 1, as the sign of 0 is."""
    inputs = keras.Input((6, 3))
    assert differing(keras.Model(inputs, kind(4, **{**GATES, **options})(inputs))) == 0


@pytest.mark.parametrize("merge", ["concat", "sum", "mul", "ave"])
@pytest.mark.parametrize("sequences", [True, False])
def test_bidirectional(merge: str, sequences: bool) -> None:
    inputs = keras.Input((4, 3))
    x = q.QBidirectional(q.QLSTM(4, return_sequences=sequences, **GATES), merge_mode=merge)(inputs)
    assert differing(keras.Model(inputs, x)) == 0


@pytest.mark.parametrize("seed", range(4))
def test_time_steps_whose_formats_differ(seed: int) -> None:
    """States begin with 0 and gain bits: every row is brought to one scale by a factor of its own."""
    inputs = keras.Input((3, 8))
    x = q.QActivation("quantized_relu(2,1)")(inputs)
    options = {**GATES, "activation": "ternary(alpha=1.0)", "state_quantizer": "quantized_tanh(4)", "use_bias": False}
    x = q.QBidirectional(q.QGRU(2, return_sequences=True, reset_after=True, **options), merge_mode="ave")(x)
    assert differing(keras.Model(inputs, x), seed) == 0


def test_a_loop_around_a_quantized_cell() -> None:
    inputs = keras.Input((6, 3))
    assert differing(keras.Model(inputs, layers.RNN(QLSTMCell(4, **GATES))(inputs))) == 0


def test_weights_of_all_time_steps_are_held_once() -> None:
    inputs = keras.Input((9, 3))
    integers = integer_model(keras.Model(inputs, q.QGRU(4, **GATES)(inputs)))
    kernels = [step.operation.kernel for step in integers.steps if step.name.endswith(":recurrent")]  # type: ignore[attr-defined]
    assert len(kernels) == 9
    assert all(numpy.array_equal(kernels[0], kernel) for kernel in kernels)
    assert any(isinstance(step.operation, Slice) for step in integers.steps)


@pytest.mark.parametrize(
    ("window", "strides", "shape"),
    [((2, 2), 2, (5, 7, 2)), ((3, 3), 2, (7, 6, 3)), ((3, 2), 1, (4, 4, 2)), ((5, 5), 3, (8, 9, 2))],
)
@pytest.mark.parametrize("quantized", [True, False])
def test_averages_at_the_edge(window: Any, strides: int, shape: tuple[int, ...], quantized: bool) -> None:
    inputs = keras.Input(shape)
    x = layers.AveragePooling2D(window, strides, padding="same")(inputs)
    x = q.QActivation("quantized_bits(6,1,1)")(x) if quantized else x
    assert differing(keras.Model(inputs, x)) == 0


def test_other_averages_at_the_edge() -> None:
    inputs = keras.Input((7, 7, 2))
    x = q.QAveragePooling2D((3, 2), 2, padding="same", average_quantizer="quantized_bits(8,0,1)")(inputs)
    assert differing(keras.Model(inputs, q.QActivation("quantized_bits(6,1,1)")(x))) == 0
    inputs = keras.Input((11, 2))
    x = layers.AveragePooling1D(3, 2, padding="same")(inputs)
    assert differing(keras.Model(inputs, q.QActivation("quantized_bits(6,1,1)")(x))) == 0


def test_an_average_of_tensors() -> None:
    one, other = keras.Input((4,)), keras.Input((4,))
    assert differing(keras.Model([one, other], q.QDense(2, **KERNEL)(layers.Average()([one, other])))) == 0


def test_numbers_of_tokens_are_no_real_inputs() -> None:
    integers = integer_model(weighted(LAYERS["words"]()))
    (source,) = integers.sources
    assert (source.form.least, source.form.greatest, source.form.fraction) == (0, 10, 0)
    tables = [step.operation.table for step in integers.steps if isinstance(step.operation, Lookup)]
    assert tables[0].max() < 16  # the quantizer behind it is applied to the table
    assert tables[1].max() > 2**16
    assert source.codes(numpy.array([3, 20, -1])).tolist() == [3, 10, 0]


def test_layers_over_several_axes_of_time() -> None:
    inputs = keras.Input((2, 3, 6, 2))
    x = layers.TimeDistributed(layers.TimeDistributed(q.QConv1D(3, 2, strides=2, **KERNEL)))(inputs)
    assert differing(keras.Model(inputs, x)) == 0
    inputs = keras.Input((2, 5, 2))
    assert differing(keras.Model(inputs, layers.TimeDistributed(q.QGRU(3, **GATES))(inputs))) == 0


def test_a_model_over_time() -> None:
    image = keras.Input((6, 6, 2))
    x = q.QActivation("quantized_relu(4,2)")(layers.BatchNormalization()(q.QConv2D(4, 3, **KERNEL)(image)))
    x = q.QActivation("quantized_bits(4,1)")(layers.GlobalAveragePooling2D()(x))
    inputs = keras.Input((3, 6, 6, 2))
    x = layers.TimeDistributed(keras.Model(image, x))(inputs)
    assert differing(keras.Model(inputs, q.QDense(2, **KERNEL)(x))) == 0


def test_a_kernel_with_a_mask() -> None:
    inputs = keras.Input((5, 5, 2))
    mask = numpy.array([[1, 0, 1], [0, 1, 1], [1, 1, 0]])
    assert differing(keras.Model(inputs, q.QConv2D(3, 3, mask=mask, **KERNEL)(inputs))) == 0


@pytest.mark.parametrize("kind", ["quantized_bits", "quantized_relu"])
@pytest.mark.parametrize("by_channel", [True, False])
@pytest.mark.parametrize("bits", [3, 9])
def test_adaptive_activations(kind: str, by_channel: bool, bits: int) -> None:
    """Each channel has a grid of its own."""
    inputs = keras.Input((5, 5, 2))
    layer = q.QAdaptiveActivation(kind, bits, per_channel=by_channel)
    model = weighted(keras.Model(inputs, layer(q.QConv2D(3, 3, **KERNEL)(inputs))))
    count = 3 if by_channel else 1
    layer.ema_min.assign(-numpy.array([1, 0.3, 3])[:count])
    layer.ema_max.assign(numpy.array([2, 0.4, 1])[:count])
    integers = integer_model(model)
    assert sum(compare(model, integers, extremes(integers, 100)).keras_mismatches.values()) == 0


def of(layer: Any, shape: tuple[int, ...] = (6, 3), **options: Any) -> keras.Model:
    inputs = keras.Input(shape)
    x = layer(inputs, **options)
    return keras.Model(inputs, x[0] if isinstance(x, list | tuple) else x)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: of(layers.LSTM(4, name="r")), "r: is no quantized layer.*limit: LSTM"),
        (lambda: of(layers.Conv1DTranspose(4, 3, name="t")), "t: is no quantized layer"),
        (lambda: of(q.QLSTM(4, return_state=True, name="r", **GATES)), "r: gives its states too.*return_state=False"),
        (
            lambda: of(q.QLSTM(4, name="r", **{**GATES, "activation": "tanh"})),
            "r: its activation tanh gives real numbers.*activation='quantized_tanh",
        ),
        (
            lambda: of(q.QGRU(4, name="r", **CELL)),
            "r: its recurrent_activation hard_sigmoid gives real numbers.*recurrent_activation='quantized_sigmoid",
        ),
        (
            lambda: of(q.QLSTM(4, name="r", **{**GATES, "state_quantizer": None}), (40, 3)),
            "r: needs .* bits.*give it state_quantizer=",
        ),
        (
            lambda: of(q.QBidirectional(q.QLSTM(4, **GATES), merge_mode=None, name="b")),
            "b: gives both directions apart; allowed: merge_mode 'concat'",
        ),
        (
            lambda: of(q.QGRU(3, name="r", **GATES), (6, 3), initial_state=keras.ops.zeros((1, 3))),
            "r: is given its first states",
        ),
        (
            lambda: of(q.QGRU(3, name="r", **GATES), (6, 3), mask=keras.ops.ones((1, 6), "bool")),
            "r: is given a mask",
        ),
        (
            lambda: keras.Sequential(
                [keras.Input((5,)), layers.Embedding(9, 4, mask_zero=True, name="e"), q.QGRU(3, name="r", **GATES)]
            ),
            "e: masks time steps, which r leaves out.*mask_zero=False",
        ),
        (
            lambda: keras.Sequential([keras.Input((5,)), q.QDense(4, **KERNEL), layers.Embedding(9, 4, name="e")]),
            "e: reads numbers that are no rows of its table",
        ),
        (
            lambda: of(
                q.QSeparableConv2DTranspose(
                    3,
                    3,
                    depthwise_kernel_quantizer="quantized_bits(4,0,1)",
                    pointwise_kernel_quantizer="quantized_bits(4,0,1)",
                    depthwise_activation="tanh",
                    use_bias=False,
                    name="s",
                ),
                (4, 4, 2),
            ),
            "s: tanh gives real numbers",
        ),
        (
            lambda: of(layers.TimeDistributed(layers.Conv1D(3, 2), name="c"), (2, 5, 3)),
            "c: is no quantized layer",
        ),
        (
            lambda: of(q.QActivation("quantized_bits(4,0,1,alpha='auto_po2')", name="a")),
            "a: rounds by a scale that it takes from all the values.*alpha=1.0",
        ),
        (
            lambda: of(q.QGRU(3, name="r", **{**GATES, "state_quantizer": "ternary(alpha='auto')"})),
            r"r: rounds by a scale that it takes from all the values.* \(its state\)",
        ),
        (
            lambda: of(layers.AdaptiveAveragePooling2D(3, name="p"), (7, 7, 2)),
            "p: a AdaptiveAveragePooling2D layer is not computed in integers yet",
        ),
    ],
)
def test_what_is_refused(model: Any, message: str) -> None:
    with pytest.raises(ExportError, match=message):
        integer_model(model())


def test_a_token_input_that_something_else_reads() -> None:
    inputs = keras.Input((4,), name="x")
    x = layers.Multiply(name="m")([layers.GlobalMaxPooling1D()(layers.Embedding(9, 4, name="e")(inputs)), inputs])
    with pytest.raises(ExportError, match="m: computes with x, which e reads numbers of tokens from"):
        integer_model(keras.Model(inputs, x))


TARGETS = {"codes": "numpy", "c": "numpy", "onnx": "onnxruntime", "qonnx": "qonnx"}


@pytest.mark.extras
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("network", LAYERS.values(), ids=LAYERS)
@pytest.mark.parametrize("target", TARGETS)
def test_targets(network: Any, target: str, tmp_path: Any) -> None:
    pytest.importorskip(TARGETS[target], reason="not installed")
    found = qsearch.export(weighted(network(), 1), target, tmp_path / "out")
    assert sum(found.comparison.keras_mismatches.values()) == 0
    assert found.comparison.artefact_mismatches == 0
    assert found.comparison.samples == 205


@pytest.mark.extras
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("unet", "q_conv2d_transpose.*: hls4ml has no transposed convolutions; .* c or onnx"),
        ("lstm", "q_bidirectional.*: hls4ml has no slices, which recurrent layers"),
        ("words", "embedding.*: hls4ml has no embeddings"),
    ],
)
def test_hls4ml_refuses_what_it_has_not(name: str, message: str, tmp_path: Any) -> None:
    pytest.importorskip("hls4ml", reason="not installed")
    with pytest.raises(ExportError, match=message):
        qsearch.export(LAYERS[name](), "hls4ml", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_verify_reads_tokens_again(tmp_path: Any) -> None:
    model = weighted(LAYERS["words"]())
    tokens = numpy.random.default_rng(0).integers(0, 11, (9, 7))
    qsearch.export(model, "codes", tmp_path / "out", samples=tokens)
    assert verify_export(model, tmp_path / "out", samples=tokens).comparison.samples == 214
