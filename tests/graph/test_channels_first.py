"""Models with channels first are read, priced, widened and quantized as their twins with channels last are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import keras
import numpy
import pytest
from keras import layers, ops

import qsearch
from qsearch.graph.built import built
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.plan import LayerPlan, QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights


class Layout:
    """Where the channels are: `image(h, w, c)`, the format and the axis of layers."""

    def __init__(self, first: bool) -> None:
        self.first = first
        self.format = "channels_first" if first else "channels_last"
        self.axis = 1 if first else -1

    def shape(self, *sizes: int) -> tuple[int, ...]:
        return (sizes[-1], *sizes[:-1]) if self.first else sizes

    @property
    def positions(self) -> tuple[int, ...]:
        return (2, 3) if self.first else (1, 2)

    def conv(self, filters: int, size: int = 3, **options: object) -> keras.layers.Layer:
        return layers.Conv2D(filters, size, padding="same", data_format=self.format, **options)


def squeezed(way: Layout) -> keras.Model:
    inputs = keras.Input(way.shape(8, 6, 3))
    x = way.conv(8, name="c0")(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=way.axis)(x))
    y = layers.DepthwiseConv2D(3, padding="same", data_format=way.format)(x)
    s = layers.GlobalAveragePooling2D(data_format=way.format)(x)
    s = layers.Dense(8, activation="sigmoid", name="gate")(s)
    x = layers.Add()([x, y]) * layers.Reshape(way.shape(1, 1, 8))(s)
    x = layers.Concatenate(axis=way.axis)([x, way.conv(4, 1, name="c1")(y)])
    x = layers.MaxPooling2D(2, data_format=way.format)(x)
    x = layers.SeparableConv2D(6, 3, data_format=way.format, name="s")(x)
    x = layers.SpatialDropout2D(0.1, data_format=way.format)(x)
    return keras.Model(inputs, layers.Dense(5, name="d")(layers.Flatten(data_format=way.format)(x)))


def raw(way: Layout) -> keras.Model:
    inputs = keras.Input(way.shape(8, 6, 3))
    x = ops.relu(way.conv(6, name="c0")(inputs))
    x = ops.concatenate([x, ops.clip(way.conv(4, name="c1")(x), 0, 6)], axis=way.axis)
    x = x * ops.mean(x, axis=way.positions, keepdims=True) + 1.0
    x = layers.Conv2DTranspose(5, 2, strides=2, data_format=way.format, name="t")(x)
    x = layers.LeakyReLU(0.25)(x)
    x = x[:, :, 1:9] if way.first else x[:, 1:9]
    return keras.Model(inputs, layers.Dense(2, name="d")(ops.mean(x, axis=way.positions)))


def nested(way: Layout) -> keras.Model:
    inner = keras.Sequential(
        [
            keras.Input(way.shape(8, 6, 4)),
            layers.ReLU(),
            way.conv(4, name="c"),
            layers.BatchNormalization(axis=way.axis),
        ],
        name="inner",
    )
    inputs = keras.Input(way.shape(8, 6, 3))
    x = inner(way.conv(4, name="c0", activation="relu")(inputs))
    x = layers.Activation("relu")(inner(x) + x)
    return keras.Model(
        inputs, layers.Dense(2, name="d")(layers.GlobalMaxPooling2D(data_format=way.format)(x)), name="outer"
    )


def frames(way: Layout) -> keras.Model:
    inputs = keras.Input((5, *way.shape(8, 6, 3)))
    x = layers.TimeDistributed(way.conv(4, name="c"), name="c0")(inputs)
    x = layers.ReLU()(x)
    x = layers.TimeDistributed(layers.AveragePooling2D(2, data_format=way.format))(x)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D(data_format=way.format))(x)
    return keras.Model(inputs, layers.Dense(2, name="d")(layers.LSTM(3)(x)))


def series(way: Layout) -> keras.Model:
    inputs = keras.Input(way.shape(16, 2))
    x = layers.Conv1D(4, 3, data_format=way.format, name="c0", activation="relu")(inputs)
    x = layers.AveragePooling1D(2, data_format=way.format)(x)
    return keras.Model(inputs, layers.Dense(2, name="d")(layers.GlobalAveragePooling1D(data_format=way.format)(x)))


MODELS = (squeezed, raw, nested, frames, series)


def comparable(graph: ModelGraph) -> list[Node]:
    """Nodes without what names and layouts differ in."""
    names = {node.name: str(place) for place, node in enumerate(graph.nodes)}
    return [
        replace(node, name="", layer="", inputs=tuple(names[name] for name in node.inputs), channel_axis=-1)
        for node in graph.nodes
    ]


@pytest.mark.parametrize("build", MODELS)
def test_reads_as_its_twin(build: Callable[[Layout], keras.Model]) -> None:
    last, first = build(Layout(False)), build(Layout(True))
    assert comparable(read_model(first)) == comparable(read_model(last))
    assert qsearch.estimate_energy(first).total == qsearch.estimate_energy(last).total


WIDTHS = {squeezed: ("c1", "s"), raw: ("c0", "c1", "t"), nested: (), frames: ("c0",), series: ("c0",)}


@pytest.mark.parametrize("build", [squeezed, raw, frames, series])
def test_widths_are_those_of_the_built_model(build: Callable[[Layout], keras.Model]) -> None:
    model = build(Layout(True))
    plan = QuantizationPlan({name: LayerPlan(filters=7) for name in WIDTHS[build]})
    copy = apply_plan(model, plan)
    graph, _ = built(read_model(model), plan)
    assert comparable(graph) == comparable(read_model(copy))
    transfer_weights(model, copy)
    x = numpy.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    numpy.testing.assert_allclose(copy(x), model(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("data_format", ["channels_first", "channels_last"])
def test_a_flatten_in_either_order_follows_its_channels(data_format: str) -> None:
    inputs = keras.Input((3, 6, 5))
    x = layers.Conv2D(4, 3, data_format="channels_first", name="c")(inputs)
    model = keras.Model(inputs, layers.Dense(3)(layers.Flatten(data_format=data_format)(x)))
    for filters in (3, 6):
        copy = apply_plan(model, QuantizationPlan({"c": LayerPlan(filters=filters)}))
        if filters == 3:
            kernel = numpy.array(model.get_layer("c").kernel)
            kernel[..., 1] = 0.0
            model.get_layer("c").kernel.assign(kernel)
        transfer_weights(model, copy)
        x = numpy.random.default_rng(0).normal(size=(2, 3, 6, 5)).astype("float32")
        numpy.testing.assert_allclose(copy(x), model(x), rtol=1e-4, atol=1e-5)


def test_a_reshape_takes_its_channels_along() -> None:
    model = squeezed(Layout(True))
    names = [layer.name for layer in model.layers if isinstance(layer, layers.DepthwiseConv2D | layers.Reshape)]
    plan = QuantizationPlan({name: LayerPlan(filters=5) for name in ("c0", "gate")})
    copy = apply_plan(model, plan)
    assert copy.get_layer(names[1]).target_shape == (5, 1, 1)
    assert comparable(built(read_model(model), plan)[0]) == comparable(read_model(copy))


def test_a_permutation_between_the_layouts_keeps_the_channels() -> None:
    inputs = keras.Input((8, 6, 3))
    x = layers.Permute((3, 1, 2))(inputs)
    x = layers.Conv2D(4, 3, data_format="channels_first", name="c")(x)
    x = ops.transpose(layers.ReLU()(x), (0, 2, 3, 1))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(2, 3)(x)))
    plan = QuantizationPlan({"c": LayerPlan(filters=6)})
    copy = apply_plan(model, plan)
    assert comparable(built(read_model(model), plan)[0]) == comparable(read_model(copy))
    transfer_weights(model, copy)
    x = numpy.random.default_rng(0).normal(size=(2, 8, 6, 3)).astype("float32")
    numpy.testing.assert_allclose(copy(x), model(x), rtol=1e-4, atol=1e-5)


def test_dense_layers_on_the_last_axis_count_that_axis() -> None:
    inputs = keras.Input((3, 8))
    x = layers.Conv1D(4, 3, padding="same", data_format="channels_first")(inputs)
    graph = read_model(keras.Model(inputs, layers.Dense(5)(x)))
    assert (graph.nodes[-1].input_shapes, graph.nodes[-1].output_shape) == (((4, 8),), (4, 5))


def test_quantized_and_folded_it_costs_what_its_plan_says() -> None:
    last, first = squeezed(Layout(False)), squeezed(Layout(True))
    bits = "quantized_bits(4,0,1)"
    limit = {
        "QConv2D": {"kernel_quantizer": bits, "bias_quantizer": bits},
        "QDepthwiseConv2D": {"depthwise_quantizer": bits, "bias_quantizer": bits},
        "QSeparableConv2D": {"depthwise_quantizer": bits, "pointwise_quantizer": bits, "bias_quantizer": bits},
        "QActivation": {"relu": "quantized_relu(4,2)"},
        "QBatchNormalization": {},
    }
    for folding in (False, True):
        one, other = (qsearch.quantize_model(model, limit, 4, enable_bn_folding=folding) for model in (last, first))
        assert qsearch.estimate_energy(one).total == qsearch.estimate_energy(other).total
        assert read_plan(other)
        x = numpy.random.default_rng(0).normal(size=(8, 3, 8, 6)).astype("float32")
        transfer_weights(one, other)
        for given, wanted in zip(one.weights, other.weights, strict=True):
            wanted.assign(given)
        numpy.testing.assert_allclose(other(x), one(numpy.moveaxis(x, 1, -1)), rtol=1e-4, atol=1e-4)
