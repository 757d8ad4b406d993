"""A model of the user's own class, with parts of its graph as attributes: the copy has its own parts there."""

from __future__ import annotations

from typing import Any

import keras
import numpy
import pytest
from keras import layers

from qsearch.errors import ModelError
from qsearch.layers import QDense
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.copy_check import check_copies
from qsearch.quantizers import parse

KERNEL = LayerPlan({Role.KERNEL: parse("ternary")})
EMPTY = QuantizationPlan()


class Own(keras.Model):  # type: ignore[misc]
    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        return super().train_step(*args, **kwargs)


def made() -> tuple[keras.Model, Any]:
    inner_in = keras.Input((6,))
    encoder = Own(inner_in, layers.Dense(6, name="e")(inner_in), name="encoder")
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(4, use_bias=False, name="d")(encoder(inputs))
    norm = layers.BatchNormalization(name="n")
    return Own(inputs, layers.Dense(3, name="out")(norm(x)), name="own"), norm


def test_attributes_that_are_parts_of_the_graph() -> None:
    model, norm = made()
    dense, encoder = model.get_layer("d"), model.get_layer("encoder")
    teacher = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    teacher.trainable = False
    model.body, model.encoder, model.teacher = dense, encoder, teacher
    model.blocks = [dense, {"norm": (norm,)}, 3]
    model.features = keras.Model(model.input, dense.output, name="features")
    model.temperature = 2.0
    encoder.first = encoder.get_layer("e")
    check_copies(model, QuantizationPlan({"d": KERNEL}))
    model.kernel = dense.kernel  # which Keras loads from no file
    copy = apply_plan(model, QuantizationPlan({"d": KERNEL, "encoder/e": KERNEL}))
    found = copy.get_layer("d")
    assert isinstance(found, QDense)
    assert copy.body is found
    assert copy.kernel is found.kernel
    assert copy.encoder is copy.get_layer("encoder")
    assert copy.encoder.first is copy.encoder.get_layer("e")
    assert isinstance(copy.encoder.first, QDense)
    assert copy.blocks[0] is found
    assert copy.blocks[1]["norm"][0] is copy.get_layer("n")
    assert copy.features.get_layer("d") is found
    assert copy.teacher is teacher
    assert copy.temperature == 2.0
    originals = {id(variable) for variable in model.variables} - {id(variable) for variable in teacher.variables}
    assert not originals & {id(variable) for variable in copy.variables}
    copy.set_weights(model.get_weights())
    x = numpy.ones((2, 6), "float32")
    numpy.testing.assert_allclose(copy.features(x), found(copy.encoder(x)), rtol=1e-6)
    copy.compile("sgd", "mse")
    copy.fit(x, numpy.zeros((2, 3)), verbose=0)


def test_an_attribute_that_a_fold_takes_away() -> None:
    model, norm = made()
    model.norms = [norm]
    with pytest.raises(ModelError, match="its attribute 'norms' is the batch normalization 'n', which is folded"):
        apply_plan(model, QuantizationPlan({"d": LayerPlan({Role.KERNEL: parse("ternary")}, fold=Fold("n"))}))
    assert apply_plan(model, EMPTY).norms[0].name == "n"


def test_an_attribute_that_shares_layers() -> None:
    model, _ = made()
    other = keras.Input((6,))
    model.other = keras.Model(other, model.get_layer("d")(other))
    with pytest.raises(ModelError, match="own: its attribute 'other' shares layers"):
        apply_plan(model, EMPTY)


def test_attributes_of_a_sequential_model() -> None:
    class Row(keras.Sequential):  # type: ignore[misc]
        pass

    model = Row([keras.Input((4,)), layers.Dense(3, name="a")], name="row")
    model.first = model.layers[0]
    copy = apply_plan(model, QuantizationPlan({"a": KERNEL}))
    assert copy.first is copy.layers[0]
