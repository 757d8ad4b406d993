"""One network, one price: batch norms, fused activations, output quantizers, folds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest
from keras import layers

import qsearch
from qsearch.energy.batch import PlanPricer
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.graph.built import built
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role, output_layer
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import parse

K4 = {"kernel_quantizer": "quantized_bits(4,0,1,alpha=1.0)"}
KERNEL = {Role.KERNEL: parse("quantized_bits(4,0,1,alpha=1.0)")}
OUTPUT = {Role.OUTPUT: parse("quantized_bits(8,2)")}
SEED = EnergySettings()


def chain(*make: Callable[[], Any]) -> keras.Model:
    x = inputs = keras.Input((16,))
    for layer in make:
        x = layer()(x)
    return keras.Model(inputs, x)


ACTIVATIONS: list[Callable[[], Any]] = [
    lambda: layers.Activation("relu", name="a"),
    lambda: layers.ReLU(name="a"),
    lambda: layers.Lambda(keras.ops.relu, name="a"),
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_batch_norm_without_quantizers_is_affine_arithmetic(activation: Callable[[], Any]) -> None:
    model = chain(
        lambda: layers.Dense(64, use_bias=False, name="d"),
        lambda: layers.BatchNormalization(name="bn"),
        activation,
        lambda: layers.Dense(5, name="e"),
    )
    reference = qsearch.estimate_energy(model, reference="int8")
    for entries in ({"QDense": K4}, {"QDense": K4, "bn": {}}):
        trial = qsearch.estimate_energy(qsearch.quantize_model(model, entries), reference=None)
        assert trial.layers["bn"].output_format == reference.layers["bn"].output_format
        assert trial.total < 0.6 * reference.total
    as_qtools = qsearch.estimate_energy(
        qsearch.quantize_model(model, {"QDense": K4, "bn": {}}), reference=None, unquantized_norm="fp32"
    )
    assert str(as_qtools.layers["bn"].output_format) == "fp32"


def test_nothing_changes_where_something_quantizes_behind_it() -> None:
    model = chain(
        lambda: layers.Dense(64, use_bias=False, name="d"),
        lambda: layers.BatchNormalization(name="bn"),
        lambda: layers.Activation("relu", name="a"),
        lambda: layers.Dense(5, name="e"),
    )
    quantized = qsearch.quantize_model(model, {"QDense": K4, "bn": {}, "a": "quantized_relu(4,2)"})
    first, second = (
        qsearch.estimate_energy(quantized, reference=None, unquantized_norm=rule) for rule in ("accumulator", "fp32")
    )
    assert first.total == second.total


FUSED = {
    "dense": (
        (lambda: layers.Dense(64, activation="relu", name="d"),),
        (lambda: layers.Dense(64, name="d"), *ACTIVATIONS[:1]),
    ),
    "tanh": (
        (lambda: layers.Dense(64, activation="tanh", name="d"),),
        (lambda: layers.Dense(64, name="d"), lambda: layers.Activation("tanh", name="a")),
    ),
    "layer": (
        (lambda: layers.Dense(64, activation=layers.ReLU(6), name="d"),),
        (lambda: layers.Dense(64, name="d"), lambda: layers.ReLU(6, name="a")),
    ),
    "convolution": (
        (lambda: layers.Reshape((4, 4)), lambda: layers.Conv1D(5, 2, activation="relu", name="d"), layers.Flatten),
        (lambda: layers.Reshape((4, 4)), lambda: layers.Conv1D(5, 2, name="d"), *ACTIVATIONS[1:2], layers.Flatten),
    ),
    "separable": (
        (lambda: layers.Reshape((4, 4)), lambda: layers.SeparableConv1D(5, 2, activation="relu"), layers.Flatten),
        (lambda: layers.Reshape((4, 4)), lambda: layers.SeparableConv1D(5, 2), *ACTIVATIONS[:1], layers.Flatten),
    ),
}


@pytest.mark.parametrize("name", FUSED)
def test_a_fused_activation_costs_what_a_layer_does(name: str) -> None:
    last = lambda: layers.Dense(5, name="e")  # noqa: E731
    fused, separate = (qsearch.estimate_energy(chain(*spelt, last), reference="int8") for spelt in FUSED[name])
    assert fused.total == pytest.approx(separate.total, abs=1e-9)
    inline = qsearch.estimate_energy(chain(*FUSED[name][0], last), reference="int8", fused_activation="inline")
    assert inline.layers["e"].inputs > fused.layers["e"].inputs


def test_a_trial_does_not_depend_on_spelling_either() -> None:
    last = lambda: layers.Dense(5, name="e")  # noqa: E731
    fused, separate = (chain(*spelt, last) for spelt in FUSED["dense"])
    first = qsearch.quantize_model(fused, {"d": {**K4, "activation": "quantized_relu(4,2)"}, "e": K4})
    second = qsearch.quantize_model(separate, {"d": K4, "a": "quantized_relu(4,2)", "e": K4})
    totals = [qsearch.estimate_energy(model, reference=None).total for model in (first, second)]
    assert totals[0] == pytest.approx(totals[1], abs=1e-9)
    # an activation that stays as it is hands on what it hands on in the reference
    plain = qsearch.quantize_model(separate, {"d": K4, "e": K4})
    kept = apply_plan(fused, QuantizationPlan({"d": LayerPlan(KERNEL), "e": LayerPlan(KERNEL)}))
    totals = [qsearch.estimate_energy(model, reference=None).total for model in (plain, kept)]
    assert totals[0] == pytest.approx(totals[1], abs=1e-9)


def residual() -> keras.Model:
    """A MobileNetV2 block, with an operator for the sum."""
    inputs = keras.Input((8, 8, 4), name="in")
    x = layers.Conv2D(4, 1, use_bias=False, name="c0")(inputs)
    x = layers.BatchNormalization(name="n0")(x)
    y = layers.Conv2D(8, 1, use_bias=False, name="c1")(x)
    y = layers.ReLU(6.0, name="r1")(layers.BatchNormalization(name="n1")(y))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="c2")(y)
    y = layers.ReLU(6.0, name="r2")(layers.BatchNormalization(name="n2")(y))
    y = layers.Conv2D(4, 1, use_bias=False, name="c3")(y)
    y = layers.BatchNormalization(name="n3")(y)
    x = layers.Add(name="sum")([x, y])
    x = layers.Conv2D(6, 1, name="c4")(x) + 0.5
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(3, name="out")(x), name="block")


PLANS = {
    "outputs": {"n0": LayerPlan(OUTPUT), "n3": LayerPlan(OUTPUT), "sum": LayerPlan(OUTPUT), "c4": LayerPlan(OUTPUT)},
    "quantized outputs": {"c4": LayerPlan({**KERNEL, **OUTPUT}), "c1": LayerPlan(KERNEL), "sum": LayerPlan(OUTPUT)},
    "folds": {"c1": LayerPlan(KERNEL, fold=Fold("n1")), "c2": LayerPlan(KERNEL, fold=Fold("n2"))},
    "folds with outputs": {"c0": LayerPlan({**KERNEL, **OUTPUT}, fold=Fold("n0")), "sum": LayerPlan(OUTPUT)},
    "folds with widths": {
        "c1": LayerPlan(KERNEL, filters=12, fold=Fold("n1")),
        "c2": LayerPlan(KERNEL, fold=Fold("n2")),
        "c4": LayerPlan({**KERNEL, **OUTPUT}, filters=3),
    },
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_costs_what_its_model_costs(name: str) -> None:
    model = residual()
    graph, plan = read_model(model), QuantizationPlan(PLANS[name])
    quantized = apply_plan(model, plan)
    found = price_plan(read_model(quantized), read_plan(quantized), SEED)
    assert price_plan(graph, plan, SEED).total == found.total
    pricer = PlanPricer(graph, SEED)
    assert pricer.total(plan) == pricer.total(plan) == found.total
    expected, own = built(graph, plan)
    assert [node.name for node in expected.nodes] == [node.name for node in read_model(quantized).nodes]
    assert {key for key, value in own.layers.items() if value.quantizes} == set(read_plan(quantized))


def test_the_state_of_a_recurrent_layer_is_read_as_small_as_it_is() -> None:
    inputs, target = keras.Input((20, 8)), keras.Input((10, 8))
    x, *state = layers.LSTM(16, return_sequences=True, return_state=True, name="encoder")(inputs)
    y = layers.LSTM(16, name="decoder")(target, initial_state=state)
    model = keras.Model([inputs, target], [layers.Dense(3, name="a")(x), layers.Dense(2, name="b")(y)])
    graph, plan = read_model(model), QuantizationPlan({"encoder": LayerPlan(KERNEL), "a": LayerPlan(KERNEL, filters=5)})
    assert graph.nodes[3].input_shapes[1:] == ((16,), (16,))
    quantized = apply_plan(model, plan)
    found = price_plan(read_model(quantized), read_plan(quantized), SEED).total
    assert PlanPricer(graph, SEED).total(plan) == price_plan(graph, plan, SEED).total == found


def test_an_output_quantizer_makes_the_sum_narrow() -> None:
    model = residual()
    plan = QuantizationPlan({"sum": LayerPlan(OUTPUT)})
    graph = read_model(model)
    before, after = price_plan(graph, QuantizationPlan(), SEED), price_plan(graph, plan, SEED)
    assert str(after.layers["c4"].input_formats[0]) == "fixed(8,2)"
    assert after.layers[output_layer("sum")].class_name == "QActivation"
    assert after.total < before.total
    quantized = apply_plan(model, plan)
    assert type(quantized.get_layer("sum")) is layers.Add
    assert str(quantized.get_layer("sum_output").quantizer) == "quantized_bits(8,2)"


def test_a_report_tells_the_part_that_has_a_price() -> None:
    assert qsearch.estimate_energy(chain(lambda: layers.Dense(3))).priced_share == 1
    inputs = keras.Input((3, 4, 4))
    strange = keras.Model(inputs, layers.Dense(2)(layers.ConvLSTM1D(2, 1, name="c")(inputs)))
    report = qsearch.estimate_energy(strange)
    assert 0 < report.priced_share < 1
    assert report.to_dict()["priced_share"] == round(report.priced_share, 4)
