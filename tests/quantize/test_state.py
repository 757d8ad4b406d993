"""State that no training makes is the copy's too, whether weights are transferred or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from keras import layers

import qsearch
from qsearch.errors import ModelError
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.quantizers import parse

RNG = numpy.random.default_rng(5)
FINE = parse("quantized_bits(16,2,1,alpha=1.0)")
KERNEL = LayerPlan({Role.KERNEL: FINE})
EMPTY = QuantizationPlan()


def normal(*shape: int) -> Any:
    return RNG.normal(3.0, 2.0, shape).astype("float32")


def settled(model: keras.Model) -> keras.Model:
    """With weights that are not those of a fresh model."""
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([RNG.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model


def equal(one: Any, other: Any) -> bool:
    return len(one.weights) == len(other.weights) and all(
        map(numpy.array_equal, one.get_weights(), other.get_weights())
    )


@pytest.mark.parametrize("axis", [None, -1])
def test_an_adapted_normalization(axis: int | None) -> None:
    norm = layers.Normalization(axis=axis, name="n")
    norm.adapt(normal(64, 4))
    model = keras.Sequential([keras.Input((4,)), norm, layers.Dense(3, name="d"), layers.Dense(2, name="e")])
    x = normal(5, 4)
    for transferred in (False, True):
        copy = qsearch.quantize_model(model, QuantizationPlan({"d": KERNEL}), transfer_weights=transferred)
        found = copy.get_layer("n")
        numpy.testing.assert_array_equal(found.mean, norm.mean)
        numpy.testing.assert_array_equal(found.variance, norm.variance)
        numpy.testing.assert_allclose(found(x), norm(x))
        assert equal(copy.get_layer("e"), model.get_layer("e")) == transferred


def test_transfer_keeps_normalizations_whole() -> None:
    """Between models that were made apart from each other."""

    def made() -> keras.Model:
        return keras.Sequential([keras.Input((4,)), layers.Normalization(name="n"), layers.Dense(2, name="d")])

    source, target = made(), made()
    source.get_layer("n").adapt(normal(64, 4))
    assert transfer_weights(source, target) == ()
    x = normal(5, 4)
    numpy.testing.assert_allclose(target(x), source(x))


def test_vocabularies_and_bins() -> None:
    words, numbers = keras.Input((2,), dtype="string", name="w"), keras.Input((1,), dtype="int64", name="i")
    values, text = keras.Input((3,), name="v"), keras.Input((1,), dtype="string", name="t")
    strings = layers.StringLookup(output_mode="multi_hot", name="sl")
    strings.adapt(numpy.array(["a", "b", "c c"]))
    integers = layers.IntegerLookup(name="il")
    integers.adapt(numpy.array([[7], [7], [9]]))
    bins = layers.Discretization(num_bins=4, name="bins")
    bins.adapt(RNG.normal(size=(100, 3)))
    vectors = layers.TextVectorization(output_mode="tf_idf", name="tv")
    vectors.adapt(numpy.array(["one two", "two three", "three"]))
    given = layers.StringLookup(vocabulary=["x", "y"], output_mode="multi_hot", name="given")
    outputs = [strings(words), integers(numbers), bins(values), vectors(text), given(words)]
    model = keras.Model([words, numbers, values, text], outputs)
    copy = apply_plan(apply_plan(model, EMPTY), EMPTY)
    import tensorflow

    x = [
        tensorflow.constant([["a", "zz"], ["c c", "x"]]),
        tensorflow.constant([[9], [7]], "int64"),
        tensorflow.constant(RNG.normal(size=(2, 3)).astype("float32")),
        tensorflow.constant([["one three"], ["four two"]]),
    ]
    for one, other in zip(model(x), copy(x), strict=True):
        numpy.testing.assert_array_equal(one, other)
    assert [output.shape for output in copy.outputs] == [output.shape for output in model.outputs]


class Table(layers.Layer):  # type: ignore[misc]
    """Keeps what it looks up in a file beside the weights."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.table = 1.0

    def call(self, x: Any) -> Any:
        return x * self.table

    def save_assets(self, folder: str) -> None:
        (Path(folder) / "table.txt").write_text(str(self.table), encoding="utf-8")

    def load_assets(self, folder: str) -> None:
        self.table = float((Path(folder) / "table.txt").read_text(encoding="utf-8"))


class Counting(layers.Layer):  # type: ignore[misc]
    """With a constant that nothing trains, and an average that training makes."""

    def build(self, shape: Any) -> None:
        self.constant = self.add_weight(name="constant", shape=(shape[-1],), trainable=False)
        self.moving_average = self.add_weight(name="moving_average", shape=(shape[-1],), trainable=False)
        self.factor = self.add_weight(name="factor", shape=(shape[-1],))

    def call(self, x: Any) -> Any:
        return x * self.factor + self.constant


def test_layers_of_the_users_own() -> None:
    inputs = keras.Input((4,), name="in")
    x = Table(name="t")(layers.Dense(4, name="d")(inputs))
    model = keras.Model(inputs, layers.SpectralNormalization(layers.Dense(2), name="s")(Counting(name="c")(x)))
    model.get_layer("t").table = 3.0
    counting = model.get_layer("c")
    for weight in counting.weights:
        weight.assign(numpy.arange(4) + 1.0)
    copy = apply_plan(model, QuantizationPlan({"d": KERNEL})).get_layer("c")
    assert apply_plan(model, EMPTY).get_layer("t").table == 3.0
    assert numpy.array_equal(copy.constant, counting.constant)
    assert not numpy.array_equal(copy.moving_average, counting.moving_average)
    assert not numpy.array_equal(copy.factor, counting.factor)
    counting.trainable = False
    assert equal(apply_plan(model, EMPTY).get_layer("c"), counting)


def frozen() -> keras.Model:
    inner_in = keras.Input((4,))
    x = layers.BatchNormalization(name="n")(layers.Dense(4, name="d")(inner_in))
    inner = keras.Model(inner_in, layers.Dense(4, name="last")(x), name="inner")
    inner.trainable = False
    inner.get_layer("last").trainable = True
    inputs = keras.Input((4,), name="in")
    x = layers.BatchNormalization(name="n")(layers.Dense(4, name="first")(inner(inputs)))
    return settled(keras.Model(inputs, layers.Dense(2, trainable=False, name="out")(x)))


def test_frozen_layers_keep_weights_and_flags() -> None:
    model = frozen()
    plan = QuantizationPlan(dict.fromkeys(("inner/d", "inner/last", "first", "out"), KERNEL))
    for copy in (apply_plan(model, EMPTY), apply_plan(model, plan), apply_plan(apply_plan(model, plan), EMPTY)):
        inner, other = model.get_layer("inner"), copy.get_layer("inner")
        assert not other.trainable
        for name in ("d", "n", "last"):
            assert other.get_layer(name).trainable == inner.get_layer(name).trainable == (name == "last")
            assert equal(other.get_layer(name), inner.get_layer(name)) == (name != "last")
        for name in ("first", "n", "out"):
            assert copy.get_layer(name).trainable == (name != "out")
            assert equal(copy.get_layer(name), model.get_layer(name)) == (name == "out")
        assert len(copy.trainable_variables) == len(model.trainable_variables)


def test_a_model_that_is_frozen_as_a_whole() -> None:
    model = frozen()
    model.trainable = False
    copy = apply_plan(model, QuantizationPlan({"first": KERNEL}))
    assert not copy.trainable
    assert equal(copy, model)


def test_a_normalization_is_folded_into_a_layer_that_is_frozen_too() -> None:
    inputs = keras.Input((6, 6, 2), name="in")
    x = layers.BatchNormalization(name="n", trainable=False)(layers.Conv2D(3, 3, name="c", trainable=False)(inputs))
    model = settled(keras.Model(inputs, x))
    copy = apply_plan(model, QuantizationPlan({"c": LayerPlan({Role.KERNEL: FINE}, fold=Fold("n"))})).get_layer("c")
    for name in ("gamma", "beta", "moving_mean", "moving_variance"):
        numpy.testing.assert_array_equal(getattr(copy, name), getattr(model.get_layer("n"), name))
    numpy.testing.assert_array_equal(copy.kernel, model.get_layer("c").kernel)
    assert not copy.trainable
    assert int(copy.iteration) == -1


def test_frozen_layers_follow_channels() -> None:
    inputs = keras.Input((4,), name="in")
    x = layers.Dense(6, activation="relu", name="a")(inputs)
    x = layers.Dense(5, activation="relu", name="b")(x)
    model = keras.Model(inputs, layers.Dense(2, name="c")(x))
    model.trainable = False
    wider = apply_plan(model, QuantizationPlan({"a": LayerPlan(filters=9), "b": LayerPlan(filters=7)}))
    x = normal(5, 4)
    numpy.testing.assert_allclose(wider(x), model(x), rtol=1e-4, atol=1e-5)
    grouped_in = keras.Input((4, 4, 4), name="in")
    y = layers.Conv2D(4, 3, groups=2, trainable=False, name="g")(layers.Conv2D(4, 1, name="c")(grouped_in))
    with pytest.raises(ModelError, match="'g': is frozen, and its weights do not fit the new widths"):
        apply_plan(keras.Model(grouped_in, y), QuantizationPlan({"c": LayerPlan(filters=8)}))


def test_sizes_that_are_not_known_before_a_model_runs() -> None:
    norm = layers.Normalization(name="n")
    norm.adapt(normal(64, 3))
    inputs = keras.Input((None, None, 3), name="in")
    x = layers.Conv2D(4, 3, name="c", trainable=False)(norm(inputs))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(x))
    copy = qsearch.quantize_model(model, QuantizationPlan({"c": KERNEL}), transfer_weights=True)
    x = normal(2, 8, 8, 3)
    assert numpy.abs(numpy.asarray(copy(x)) - numpy.asarray(model(x))).max() < 1e-2


def test_random_seeds_are_not_copied() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dropout(0.5, name="o"), layers.Dense(2)])
    before = numpy.asarray(model.get_layer("o").seed_generator.state)
    copy = apply_plan(model, EMPTY)
    assert not numpy.array_equal(copy.get_layer("o").seed_generator.state, before)


# transfer


def folding() -> keras.Model:
    inputs = keras.Input((8, 8, 2), name="in")
    x = layers.BatchNormalization(name="b1")(layers.Conv2D(4, 3, use_bias=False, name="c1")(inputs))
    x = layers.BatchNormalization(name="b2")(layers.DepthwiseConv2D(3, name="w")(layers.ReLU(name="r")(x)))
    x = layers.GlobalAveragePooling2D(name="g")(x)
    x = layers.BatchNormalization(name="b3")(layers.Dense(5, name="d")(x))
    return settled(keras.Model(inputs, layers.Dense(3, name="out")(x)))


def test_channels_follow_through_folds_and_quantized_outputs() -> None:
    model = folding()
    folds = {"c1": "b1", "w": "b2", "d": "b3"}
    widths = {"c1": 7, "d": 9}
    output = parse("quantized_bits(20,4,1,alpha=1.0)")
    for roles in ({Role.KERNEL: FINE}, {Role.KERNEL: FINE, Role.OUTPUT: output}):
        plan = QuantizationPlan(
            {name: LayerPlan(roles, filters=widths.get(name), fold=Fold(norm)) for name, norm in folds.items()}
        )
        wider = apply_plan(model, plan)
        assert transfer_weights(model, wider) == ()
        x = RNG.normal(size=(4, 8, 8, 2)).astype("float32")
        assert numpy.abs(numpy.asarray(wider(x)) - numpy.asarray(model(x))).max() < 1e-2
        again = apply_plan(wider, QuantizationPlan({"d": LayerPlan({Role.KERNEL: FINE}, filters=12)}))
        assert transfer_weights(wider, again) == ()
        assert numpy.abs(numpy.asarray(again(x)) - numpy.asarray(model(x))).max() < 1e-2


def test_channels_follow_through_wrappers() -> None:
    inputs = keras.Input((5, 4), name="in")
    x = layers.TimeDistributed(layers.Dense(6, activation="relu"), name="t")(inputs)
    x = layers.TimeDistributed(layers.Dense(4), name="u")(x)
    model = keras.Model(inputs, layers.Dense(3, name="out")(layers.Flatten(name="f")(x)))
    plan = QuantizationPlan({"t": LayerPlan({Role.KERNEL: FINE}, 9), "u": LayerPlan({Role.OUTPUT: FINE}, 7)})
    wider = apply_plan(model, plan)
    assert transfer_weights(model, wider) == ()
    x = RNG.normal(size=(3, 5, 4)).astype("float32")
    assert numpy.abs(numpy.asarray(wider(x)) - numpy.asarray(model(x))).max() < 1e-2
