"""Raw operations are the layers that do the same; what serves masks alone, or does nothing at inference, is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy
import pytest
from keras import layers, ops

import qsearch
from qsearch.energy.counts import counts, priced_share
from qsearch.graph import operations
from qsearch.graph.channels import tied_layers
from qsearch.graph.from_keras import read_model
from qsearch.graph.residual import residual_blocks

Body = Callable[[Any], Any]


def model(body: Body, *shape: int) -> keras.Model:
    inputs = keras.Input(shape or (8, 8, 4), name="in")
    return keras.Model(inputs, body(inputs))


def conv(x: Any, name: str = "c") -> Any:
    return layers.Conv2D(4, 3, padding="same", name=name)(x)


PAIRS: list[tuple[str, Body, Body]] = [
    ("add", lambda x: conv(x) + x, lambda x: layers.Add()([conv(x), x])),
    ("subtract", lambda x: conv(x) - x, lambda x: layers.Subtract()([conv(x), x])),
    ("multiply", lambda x: conv(x) * x, lambda x: layers.Multiply()([conv(x), x])),
    ("maximum", lambda x: ops.maximum(conv(x), x), lambda x: layers.Maximum()([conv(x), x])),
    (
        "concatenate",
        lambda x: ops.concatenate([conv(x), x], axis=-1),
        lambda x: layers.Concatenate()([conv(x), x]),
    ),
    ("relu", lambda x: ops.relu(conv(x)), lambda x: layers.ReLU()(conv(x))),
    ("relu of max", lambda x: ops.maximum(conv(x), 0.0), lambda x: layers.Activation("relu")(conv(x))),
    ("clip", lambda x: ops.clip(conv(x), 0, 6), lambda x: layers.ReLU(6.0)(conv(x))),
    ("softmax", lambda x: ops.softmax(conv(x)), lambda x: layers.Softmax()(conv(x))),
    ("mean", lambda x: ops.mean(conv(x), axis=(1, 2)), lambda x: layers.GlobalAveragePooling2D()(conv(x))),
    ("max", lambda x: ops.max(conv(x), axis=(1, 2)), lambda x: layers.GlobalMaxPooling2D()(conv(x))),
    ("reshape", lambda x: ops.reshape(conv(x), (-1, 64, 4)), lambda x: layers.Reshape((64, 4))(conv(x))),
    ("transpose", lambda x: ops.transpose(conv(x), (0, 2, 1, 3)), lambda x: layers.Permute((2, 1, 3))(conv(x))),
    (
        "pad",
        lambda x: ops.pad(conv(x), ((0, 0), (1, 1), (1, 1), (0, 0))),
        lambda x: layers.ZeroPadding2D()(conv(x)),
    ),
    ("scale", lambda x: conv(x) * 0.3, lambda x: layers.Rescaling(0.3)(conv(x))),
    ("divide", lambda x: conv(x) / 7.0, lambda x: layers.Rescaling(1 / 7)(conv(x))),
    ("lambda scale", lambda x: layers.Lambda(lambda v: v / 7.0)(conv(x)), lambda x: layers.Rescaling(1 / 7)(conv(x))),
    ("lambda relu", lambda x: layers.Lambda(ops.relu6)(conv(x)), lambda x: layers.ReLU(6.0)(conv(x))),
    ("max pool", lambda x: ops.max_pool(conv(x), 2, 2), lambda x: layers.MaxPooling2D(2)(conv(x))),
    ("average pool", lambda x: ops.average_pool(conv(x), 2, 2), lambda x: layers.AveragePooling2D(2)(conv(x))),
]


@pytest.mark.parametrize(("operation", "layer"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])
def test_an_operation_costs_what_its_layer_costs(operation: Body, layer: Body) -> None:
    first, second = (qsearch.estimate_energy(model(body)) for body in (operation, layer))
    assert first.total == second.total
    assert not any("no rule" in note for note in first.notes)
    head = {"source_quantizers": "quantized_bits(4,0,1)"}
    entry = {"QConv2D": {"kernel_quantizer": "ternary", "bias_quantizer": "quantized_bits(4,0,1)"}}
    trials = [
        qsearch.estimate_energy(qsearch.quantize_model(model(body), entry), reference=None, **head)
        for body in (operation, layer)
    ]
    assert trials[0].total == trials[1].total


def test_what_has_no_twin_is_named() -> None:
    report = qsearch.estimate_energy(model(lambda x: ops.cumsum(conv(x), axis=1)))
    assert any(note.startswith("cumsum: no rule for Cumsum") for note in report.notes)


def test_channels_that_an_operator_adds_share_a_width_and_make_a_residual_block() -> None:
    def body(x: Any) -> Any:
        x = conv(x, "stem")
        y = ops.relu(conv(x, "a"))
        return conv(conv(y * 0.5, "b") + x, "last")

    graph = read_model(model(body))
    assert tied_layers(graph)["b"] == ("stem", "b")
    assert tied_layers(graph)["a"] == ("a",)
    (block,) = residual_blocks(graph)
    assert block.merge.startswith("add")


@pytest.mark.parametrize("squeeze", [layers.Reshape((1, 1, 4)), lambda x: ops.expand_dims(x, (1, 2))])
def test_squeeze_and_excite_through_a_reshape(squeeze: Any) -> None:
    def body(x: Any) -> Any:
        x = conv(x, "main")
        gate = squeeze(layers.GlobalAveragePooling2D()(x))
        gate = layers.Conv2D(4, 1, activation="sigmoid", name="excite")(gate)
        return conv(x * gate, "last")

    tied = tied_layers(read_model(model(body)))["main"]
    assert tied == ("main", "excite")


@pytest.mark.parametrize("masked", [layers.Masking(), layers.Embedding(20, 6, mask_zero=True)])
def test_helpers_of_masks_are_no_part_of_the_model(masked: Any) -> None:
    shape = (10,) if isinstance(masked, layers.Embedding) else (10, 6)
    graph = read_model(model(lambda x: layers.LSTM(4, name="l")(masked(x)), *shape))
    assert [node.layer for node in graph.nodes] == ["in", masked.name, "l"]
    assert graph.nodes[-1].inputs == (masked.name,)


def test_masking_costs_nothing() -> None:
    def body(*before: Any) -> Body:
        def run(x: Any) -> Any:
            for layer in before:
                x = layer(x)
            return layers.LSTM(4)(x)

        return run

    plain, masked = (qsearch.estimate_energy(model(body(*given), 10, 6)) for given in ((), (layers.Masking(),)))
    assert plain.total == masked.total


@pytest.mark.parametrize(
    "layer",
    [
        layers.RandomFlip(),
        layers.RandomRotation(0.1),
        layers.GaussianNoise(0.1),
        layers.SpatialDropout2D(0.1),
        layers.Identity(),
    ],
)
def test_what_is_idle_at_inference_costs_nothing(layer: Any) -> None:
    plain, noisy = qsearch.estimate_energy(model(conv)), qsearch.estimate_energy(model(lambda x: conv(layer(x))))
    assert plain.total == noisy.total


def test_padding_and_cropping_hand_on_formats() -> None:
    entry = {"QConv2D": {"kernel_quantizer": "ternary"}, "QActivation": "quantized_relu(3,1)"}

    def body(x: Any) -> Any:
        x = layers.Activation("relu", name="a")(conv(x))
        return conv(layers.Cropping2D()(layers.ZeroPadding2D(name="pad")(x)), "last")

    quantized = qsearch.quantize_model(model(body), entry)
    report = qsearch.estimate_energy(quantized, reference=None)
    assert str(report.layers["last"].input_formats[0]) == "ufixed(3,1)"


def attention(layer: Any, *more: int) -> keras.Model:
    query = keras.Input((10, 32), name="q")
    other = keras.Input(more or (64, 16), name="kv")
    return keras.Model([query, other], layer(query, other))


def test_attention_counts_projections_scores_and_sums() -> None:
    query, other = 10, 64
    macs = query * 32 * 4 * 8 + other * 16 * 4 * 8 + other * 16 * 4 * 6 + query * 4 * 6 * 32
    macs += query * other * 4 * (8 + 6)
    node = read_model(attention(layers.MultiHeadAttention(4, 8, value_dim=6))).nodes[-1]
    assert isinstance(node.operation, operations.Attention)
    assert counts(node).macs == macs
    assert sum(numpy.prod(shape) for shape in node.weights.values()) == (
        32 * 32 + 32 + 16 * 32 + 32 + 16 * 24 + 24 + 24 * 32 + 32
    )


def test_grouped_attention() -> None:
    node = read_model(attention(layers.GroupQueryAttention(8, 4, 2), 10, 32)).nodes[-1]
    assert counts(node).macs == 10 * 32 * 32 * 2 + 2 * 10 * 32 * 16 + 2 * 10 * 10 * 4 * 8


def test_attention_without_weights() -> None:
    query, value = keras.Input((10, 16), name="q"), keras.Input((64, 16), name="v")
    node = read_model(keras.Model([query, value], layers.Attention()([query, value]))).nodes[-1]
    assert counts(node).macs == 2 * 10 * 64 * 16


@pytest.mark.parametrize(
    ("layer", "shape", "macs"),
    [
        (layers.Conv3D(4, 3), (6, 6, 6, 2), 4 * 4 * 4 * 4 * 27 * 2),
        (layers.Conv2D(8, 3, groups=2), (6, 6, 4), 4 * 4 * 8 * 9 * 2),
        (layers.Conv2DTranspose(6, 2, strides=2), (8, 8, 4), 8 * 8 * 4 * 4 * 6),
        (layers.Conv1DTranspose(3, 4, strides=2, padding="same"), (10, 5), 10 * 4 * 5 * 3),
        (layers.DepthwiseConv1D(3), (10, 5), 8 * 5 * 3),
        (layers.EinsumDense("abc,cde->abde", (10, 4, 8), bias_axes="de"), (10, 6), 10 * 32 * 6),
        (layers.EinsumDense("abc,cd->abd", (10, 8), bias_axes="d"), (10, 6), 10 * 8 * 6),
        (layers.SpectralNormalization(layers.Dense(5)), (7,), 35),
        (layers.RNN(layers.LSTMCell(3)), (10, 5), 10 * 4 * 3 * (5 + 3)),
        (layers.TimeDistributed(layers.Conv2D(3, 3)), (2, 6, 6, 4), 2 * 16 * 3 * 9 * 4),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_counts(layer: Any, shape: tuple[int, ...], macs: int) -> None:
    built = model(layer, *shape)
    graph = read_model(built)
    assert counts(graph.nodes[-1]).macs == macs
    assert priced_share(graph) == 1
    assert qsearch.estimate_energy(built).layers[layer.name].op_cost > 0


@pytest.mark.parametrize(
    "layer", [layers.LayerNormalization(), layers.RMSNormalization(), layers.GroupNormalization(2)]
)
def test_normalizations_have_a_price(layer: Any) -> None:
    report = qsearch.estimate_energy(model(layer, 10, 8))
    found = report.layers[layer.name]
    assert found.op_cost > 0
    assert found.parameters > 0
    assert str(found.output_format) == "fixed(32,10)"


def test_the_part_without_a_price() -> None:
    graph = read_model(model(lambda x: layers.Dense(3)(layers.ConvLSTM1D(4, 3, name="cl")(x)), 5, 8, 4))
    assert isinstance({node.layer: node for node in graph.nodes}["cl"].operation, operations.Unknown)
    assert 0 < priced_share(graph) < 0.2


def test_an_input_without_axes() -> None:
    inputs = keras.Input(())
    found = qsearch.estimate_energy(keras.Model(inputs, layers.Dense(2)(ops.expand_dims(inputs, -1))))
    assert found.total > 0
