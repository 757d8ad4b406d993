"""Unusual but plausible models: what a fresh pair of eyes found."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest
from keras import layers, ops

import qsearch
from qsearch.energy.batch import PlanPricer
from qsearch.energy.counts import pooling_area, priced_share
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.graph import operations
from qsearch.graph.activations import recognised
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import parse
from qsearch.search.bottlenecks import linear_outputs
from qsearch.search.widths import tunable_widths

KERNEL = {Role.KERNEL: parse("ternary")}
SEED = EnergySettings()


def model(body: Any, *shape: int) -> keras.Model:
    inputs = keras.Input(shape or (6, 8), name="in")
    return keras.Model(inputs, body(inputs))


def same_price(built: keras.Model, plan: dict[str, LayerPlan]) -> None:
    graph, whole = read_model(built), QuantizationPlan(plan)
    quantized = apply_plan(built, whole)
    found = price_plan(read_model(quantized), read_plan(quantized), SEED).total
    assert price_plan(graph, whole, SEED).total == PlanPricer(graph, SEED).total(whole) == found


def test_trying_an_activation_leaves_no_trace() -> None:
    built = model(lambda x: layers.Dense(5, activation=layers.PReLU(), name="d")(x), 6)
    graph = read_model(built)
    assert graph.nodes[-1].operation.activation.name == "prelu"  # type: ignore[union-attr]
    assert built(numpy.ones((2, 6))).shape == (2, 5)


@pytest.mark.parametrize(
    "function",
    [
        lambda t: ops.relu(t[:, ::-1]),
        lambda t: ops.cumsum(t, axis=1),
        lambda t: t - ops.mean(t, axis=1, keepdims=True),
        lambda t: ops.normalize(t, axis=-1),
        lambda t: ops.flip(t, axis=-1),
    ],
)
def test_functions_along_another_axis_are_no_activations(function: Any) -> None:
    assert recognised(function, 3) is None
    graph = read_model(model(lambda x: layers.Lambda(function)(layers.Dense(8)(x))))
    assert isinstance(graph.nodes[-1].operation, operations.Unknown)


def test_folds_in_a_model_that_is_used_twice() -> None:
    parts = [keras.Input((8,)), layers.Dense(4, use_bias=False, name="c"), layers.BatchNormalization(name="b")]
    inner = keras.Sequential([*parts, layers.ReLU(name="r")], name="enc")
    built = model(lambda x: layers.Concatenate()([inner(x), inner(1 - x)]), 8)
    same_price(built, {"enc/c": LayerPlan(KERNEL, fold=Fold("b"))})


def test_operations_of_a_model_that_is_reached_by_two_paths() -> None:
    i = keras.Input((8,))
    inner = keras.Model(i, ops.relu(layers.Dense(4, name="d")(i)), name="inner")
    inputs = keras.Input((3, 8))
    x = layers.Add()(
        [layers.TimeDistributed(inner, name="td")(inputs), layers.TimeDistributed(inner, name="te")(inputs)]
    )
    built = keras.Model(inputs, x)
    name = next(node.layer for node in read_model(built).nodes if isinstance(node.operation, operations.Activation))
    same_price(built, {name: LayerPlan({Role.ACTIVATION: parse("quantized_relu(4,2)")})})


def test_a_plain_layer_over_time() -> None:
    pooled = read_model(model(lambda x: layers.TimeDistributed(layers.GlobalAveragePooling2D())(x), 3, 8, 8, 4))
    assert pooling_area(pooled.nodes[-1]) == 64
    frames = lambda x: layers.TimeDistributed(layers.Flatten())(  # noqa: E731
        layers.TimeDistributed(layers.MaxPooling2D())(
            layers.TimeDistributed(layers.Conv2D(4, 3, name="c"), name="t")(x)
        )
    )
    built = model(lambda x: layers.LSTM(2, name="l")(frames(x)), 3, 8, 8, 2)
    same_price(built, {"t": LayerPlan(KERNEL), "l": LayerPlan({**KERNEL, Role.RECURRENT: parse("ternary")})})


def test_batch_norm_on_another_axis_with_widths() -> None:
    built = model(lambda x: layers.BatchNormalization(axis=1)(layers.Conv1D(5, 1, name="c")(x)))
    same_price(built, {"c": LayerPlan(KERNEL, filters=7)})


def test_layers_with_several_outputs_get_no_output_quantizer() -> None:
    def body(x: Any) -> Any:
        y, scores = layers.MultiHeadAttention(2, 4, name="m")(x, x, return_attention_scores=True)
        return layers.Dense(2)(y), layers.Dense(2)(scores)

    inputs = keras.Input((6, 8))
    assert "m" not in linear_outputs(read_model(keras.Model(inputs, list(body(inputs)))))


@pytest.mark.parametrize(
    ("take", "keeps"),
    [
        (lambda x: x[:, :, 0], False),
        (lambda x: x[:, :, 0:6], False),
        (lambda x: x[..., ::-1], False),
        (lambda x: ops.take(x, [5, 4, 3, 2, 1, 0], axis=-1), False),
        (lambda x: ops.flip(x), False),
        (lambda x: x[:, 1:3], True),
        (lambda x: x[:, 0], True),
        (lambda x: x[:, ::2, :], True),
        (lambda x: ops.take(x, [0, 1], axis=1), True),
    ],
)
def test_what_keeps_channels_is_not_told_by_sizes(take: Any, keeps: bool) -> None:
    node = read_model(model(lambda x: take(layers.Dense(6)(x)), 6, 6)).nodes[-1]
    assert isinstance(node.operation, operations.DataMover)
    assert node.operation.keeps_channels is keeps


def test_a_state_from_a_dense_layer_keeps_its_width() -> None:
    def body(x: Any) -> Any:
        return layers.Dense(2, name="out")(layers.GRU(4, name="g")(x, initial_state=layers.Dense(4, name="d")(x[:, 0])))

    widths = tunable_widths(read_model(model(body)), ["d"])
    assert "is given a state of another width" in widths.kept["d"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda x: x, lambda x: layers.Activation("linear")(x)),
        (lambda x: x * x, ops.square),
        (lambda x: x * x, lambda x: x**2),
        (lambda x: x + 0.3, layers.Lambda(lambda t: t + 0.3)),
        (lambda x: x * numpy.arange(5, dtype="float32"), layers.Rescaling([0, 1, 2, 3, 4])),
    ],
)
def test_spellings_that_cost_the_same(one: Any, other: Any) -> None:
    def body(part: Any) -> Any:
        return lambda x: layers.Dense(3)(part(layers.Dense(5)(x)))

    first, second = (qsearch.estimate_energy(model(body(part))).total for part in (one, other))
    assert first == pytest.approx(second, abs=1e-9)


def test_constant_matrices_are_multiplications_without_a_price() -> None:
    filters = numpy.ones((8, 5), dtype="float32")
    assert priced_share(read_model(model(lambda x: layers.Dense(3)(ops.matmul(x, filters))))) < 1


class Dense(layers.Dense):  # type: ignore[misc]
    """A class of the user's own, called as Keras'."""


class Rectified(layers.ReLU):  # type: ignore[misc]
    """The same of an activation."""


def test_classes_of_ones_own_are_not_taken_for_keras() -> None:
    graph = read_model(model(lambda x: Rectified(name="r")(Dense(3, name="d")(x))))
    assert [node.classes for node in graph.nodes[1:]] == [(f"{__name__}.Dense",), (f"{__name__}.Rectified",)]
