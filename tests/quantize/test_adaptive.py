"""QAdaptiveActivation in a model that is quantized again."""

from __future__ import annotations

import keras
from keras import layers

from qsearch.graph.from_keras import read_plan
from qsearch.layers import QActivation, QAdaptiveActivation
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import parse


def model() -> keras.Model:
    inputs = keras.Input((4,), name="in")
    x = QAdaptiveActivation("quantized_bits", 6, per_channel=True, ema_decay=0.5, name="q")(inputs)
    return keras.Model(inputs, layers.Dense(2, name="d")(x))


def test_its_own_plan_keeps_its_settings() -> None:
    copy = apply_plan(model(), read_plan(model()))
    found = copy.get_layer("q")
    assert isinstance(found, QAdaptiveActivation)
    assert found.get_config() == model().get_layer("q").get_config()


def test_other_bits_and_a_fixed_quantizer() -> None:
    spec = parse("quantized_relu(4,2)")
    plan = LayerPlan({Role.ACTIVATION: spec}, adaptive=True)
    found = apply_plan(model(), QuantizationPlan({"q": plan})).get_layer("q")
    assert (found.kind, found.total_bits, found.per_channel) == ("quantized_relu", 4, True)
    fixed = apply_plan(model(), QuantizationPlan({"q": LayerPlan({Role.ACTIVATION: spec})})).get_layer("q")
    assert type(fixed) is QActivation
