"""A copy has the original's graph, classes, names and live objects, whatever the graph is made of."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from keras import layers, ops

import qsearch
from qsearch.errors import ModelError
from qsearch.graph.einsum import dense_units
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.graph.walk import layers_by_path, operations_by_path
from qsearch.layers import QActivation, QDense
from qsearch.models import custom_objects_in
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.copy_check import check_copies
from qsearch.quantize.transfer import transfer_weights
from qsearch.quantizers import parse

RNG = numpy.random.default_rng(7)
TERNARY, RELU, BITS = parse("ternary"), parse("quantized_relu(4,2)"), parse("quantized_bits(8,2,1,alpha=1.0)")
KERNEL = LayerPlan({Role.KERNEL: TERNARY})
EMPTY = QuantizationPlan()


def inputs_of(model: keras.Model) -> Any:
    def made(tensor: Any) -> Any:
        shape = [2 if side is None else side for side in tensor.shape]
        if str(tensor.dtype).startswith("int"):
            return RNG.integers(0, 3, shape)
        return RNG.normal(size=shape).astype("float32")

    return keras.tree.map_structure(made, model.inputs[0] if isinstance(model, keras.Sequential) else model.input)


def same(model: keras.Model, copy: keras.Model | None = None) -> keras.Model:
    """The copy, which computes what the original does."""
    copy = apply_plan(model, EMPTY) if copy is None else copy
    assert type(copy) is type(model)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert list(operations_by_path(copy)) == list(operations_by_path(model))
    mine = {id(layer) for layer in layers_by_path(model).values()}
    assert not mine & {id(layer) for layer in layers_by_path(copy).values()}
    copy.set_weights(model.get_weights())
    x = inputs_of(model)
    for one, other in zip(keras.tree.flatten(model(x)), keras.tree.flatten(copy(x)), strict=True):
        numpy.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    return copy


def raw_operations() -> keras.Model:
    inputs = keras.Input((4, 4), name="in")
    x = layers.Dense(4, name="d")(inputs)
    x = ops.relu(x + inputs) * 0.5
    x = ops.reshape(x, (-1, 2, 8))[:, 0]
    return keras.Model(inputs, layers.Dense(3, name="out")(1.0 - x), name="raw")


def masked() -> keras.Model:
    inputs = keras.Input((5,), dtype="int32", name="in")
    x = layers.Embedding(4, 6, mask_zero=True, name="e")(inputs)
    x = layers.LSTM(4, return_sequences=True, go_backwards=True, name="l")(x)
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True), name="b")(x)
    x = layers.TimeDistributed(layers.Dense(3), name="t")(x)
    return keras.Model(inputs, layers.SimpleRNN(2, name="s")(x))


def masking() -> keras.Model:
    inputs = keras.Input((5, 3), name="in")
    x = layers.Masking(name="m")(inputs)
    return keras.Model(inputs, layers.LSTM(2, name="l")(layers.Activation("relu", name="a")(x)))


def structured() -> keras.Model:
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b", optional=True)
    shared = layers.Dense(4, name="shared")
    x, y = shared(a), shared(b)
    return keras.Model({"a": a, "b": b}, {"sum": x + y, "parts": [x, layers.Subtract(name="s")([x, y])]})


def attention() -> keras.Model:
    a, b = keras.Input((5, 4), name="a"), keras.Input((3, 4), name="b")
    x = layers.MultiHeadAttention(2, 3, name="m")(a, b, key=b)
    sequence, state, _ = layers.LSTM(4, return_sequences=True, return_state=True, name="l")(x)
    again = layers.LSTM(4, name="k")(sequence, initial_state=[state, state])
    return keras.Model([a, b], [again, state])


def nests() -> keras.Model:
    block = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="d"), layers.ReLU(name="r")], name="block")
    inner_in = keras.Input((4,))
    inner = keras.Model(inner_in, ops.tanh(block(inner_in)) + inner_in, name="inner")
    inputs = keras.Input((4,), name="in")
    return keras.Model(inputs, block(inner(inner(inputs))))


def open_sizes() -> keras.Model:
    inner_in = keras.Input((None, 3))
    inner = keras.Model(inner_in, layers.Conv1D(3, 2, padding="same", name="c")(inner_in), name="inner")
    inputs = keras.Input((6, 3), name="in")
    return keras.Model(inputs, inner(inner(inputs)[:, :4]))


def sequential() -> keras.Model:
    inner = keras.Sequential([layers.Dense(3, name="d")], name="inner")
    return keras.Sequential([keras.Input((4,)), layers.Dense(5, name="a"), inner, layers.Dense(2, name="b")], name="s")


def half_precision() -> keras.Model:
    inputs = keras.Input((4,), name="in")
    x = layers.Dense(4, dtype="mixed_float16", name="d")(inputs)
    return keras.Model(inputs, layers.Dense(2, dtype="float32", name="e")(ops.relu(x)))


BUILDS = [
    raw_operations,
    masked,
    masking,
    structured,
    attention,
    nests,
    open_sizes,
    sequential,
    half_precision,
]


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.__name__)
def test_copies_compute_the_same(build: Callable[[], keras.Model]) -> None:
    model = build()
    config, nodes = model.get_config(), [len(layer._inbound_nodes) for layer in operations_by_path(model).values()]
    copy = same(same(model))
    assert model.get_config() == config
    assert [len(layer._inbound_nodes) for layer in operations_by_path(model).values()] == nodes
    assert [layer.dtype_policy.name for layer in copy.layers] == [layer.dtype_policy.name for layer in model.layers]


def test_structures_of_inputs_and_outputs_are_kept() -> None:
    model = structured()
    copy = apply_plan(model, EMPTY)
    assert set(copy.input) == {"a", "b"}
    assert isinstance(copy.output["parts"], list)
    assert copy.get_layer("b").optional
    assert len(copy.get_layer("shared")._inbound_nodes) == 2


def test_masks_reach_the_layers_of_a_quantized_copy() -> None:
    for model in (masking(), masked()):
        plan = QuantizationPlan({"l": LayerPlan({Role.KERNEL: parse("quantized_bits(16,2,1,alpha=1.0)")})})
        copy = apply_plan(model, plan)
        transfer_weights(model, copy)
        x = inputs_of(model)
        x[:, 2:] = 0
        assert numpy.abs(numpy.asarray(copy(x)) - numpy.asarray(model(x))).max() < 1e-3
        named = "a" in operations_by_path(model)
        activation = {"a": LayerPlan({Role.ACTIVATION: parse("quantized_relu(16,6)")})} if named else {}
        quantized = apply_plan(model, QuantizationPlan({**plan.layers, **activation}))
        transfer_weights(model, quantized)
        assert numpy.abs(numpy.asarray(quantized(x)) - numpy.asarray(model(x))).max() < 2e-3


def test_copies_are_saved_and_loaded(tmp_path: Path) -> None:
    for build in (raw_operations, attention, masking):
        copy = apply_plan(build(), EMPTY)
        copy.save(tmp_path / "m.keras")
        again = qsearch.load_model(tmp_path / "m.keras")
        x = inputs_of(copy)
        for one, other in zip(keras.tree.flatten(copy(x)), keras.tree.flatten(again(x)), strict=True):
            numpy.testing.assert_array_equal(one, other)


def test_an_unbuilt_sequential_model() -> None:
    copy = apply_plan(keras.Sequential([layers.Dense(2, name="d"), layers.ReLU(name="r")]), EMPTY)
    assert not copy.built
    assert [layer.name for layer in copy.layers] == ["d", "r"]


# raw operations and outputs


def raw_path(model: keras.Model, name: str) -> str:
    """Keras numbers the names of operations."""
    return next(path for path in operations_by_path(model) if path.startswith(name))


def test_a_raw_operation_becomes_an_activation() -> None:
    model = raw_operations()
    path = raw_path(model, "relu")
    copy = apply_plan(model, QuantizationPlan({path: LayerPlan({Role.ACTIVATION: parse("quantized_relu(16,6)")})}))
    assert type(copy.get_layer(path)) is QActivation
    assert set(read_plan(copy).layers[path].quantizers) == {Role.ACTIVATION}
    copy.set_weights(model.get_weights())
    x = inputs_of(model)
    assert numpy.abs(numpy.asarray(copy(x)) - numpy.asarray(model(x))).max() < 2e-2
    inner_in = keras.Input((4,))
    inner = keras.Model(inner_in, ops.relu(layers.Dense(4, name="d")(inner_in)), name="inner")
    inputs = keras.Input((4,))
    nested = keras.Model(inputs, inner(inputs))
    path = raw_path(nested, "inner/relu")
    copy = apply_plan(nested, QuantizationPlan({path: LayerPlan({Role.ACTIVATION: RELU}), "inner/d": KERNEL}))
    assert read_plan(copy).layers[path].quantizers == {Role.ACTIVATION: RELU}
    with pytest.raises(ModelError, match=r"relu.*needs an activation quantizer"):
        apply_plan(nested, QuantizationPlan({path: KERNEL}))


OUTPUT = LayerPlan({Role.OUTPUT: BITS})


def test_outputs_are_quantized_behind_every_call() -> None:
    model = structured()
    copy = apply_plan(model, QuantizationPlan({"shared": LayerPlan({Role.KERNEL: TERNARY, Role.OUTPUT: BITS})}))
    assert type(copy.get_layer("shared")) is QDense
    behind = copy.get_layer("shared_output")
    assert len(behind._inbound_nodes) == 2
    x = inputs_of(model)
    grid = numpy.asarray(copy(x)["parts"][0]) * 2**5
    assert numpy.array_equal(grid, numpy.round(grid))
    again = apply_plan(copy, QuantizationPlan({"shared": LayerPlan({Role.OUTPUT: parse("quantized_bits(4,1)")})}))
    assert str(again.get_layer("shared_output").activation) == "quantized_bits(4,1)"
    assert type(again.get_layer("shared")) is QDense
    assert read_plan(again).layers["shared"].quantizers == {Role.KERNEL: TERNARY}


def test_outputs_of_operations_nested_and_sequential_layers_and_folds() -> None:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4, name="d")], name="inner")
    inputs = keras.Input((4,), name="in")
    x = layers.BatchNormalization(name="n")(layers.Dense(4, name="f")(inner(inputs)))
    model = keras.Model(inputs, x + inputs)
    add = raw_path(model, "add")
    fold = LayerPlan({Role.KERNEL: TERNARY, Role.OUTPUT: BITS}, fold=Fold("n"))
    copy = apply_plan(model, QuantizationPlan({"inner/d": OUTPUT, add: OUTPUT, "f": fold, "in": OUTPUT}))
    assert list(operations_by_path(copy)) == [
        "in", "in_output", "inner/d", "inner/d_output", "f", "f_output", add, f"{add}_output",
    ]  # fmt: skip
    assert type(copy.get_layer("inner").get_layer("d")) is layers.Dense
    assert [node.name for node in read_model(copy).nodes][-1] == f"{add}_output"
    chain = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="a"), layers.BatchNormalization(name="n")])
    copy = apply_plan(chain, QuantizationPlan({"a": fold}))
    assert [layer.name for layer in copy.layers] == ["a", "a_output"]
    assert transfer_weights(chain, copy) == ()


# widths


def test_reshapes_follow_widths() -> None:
    inputs = keras.Input((4, 4, 3), name="in")
    x = layers.GlobalAveragePooling2D(name="g")(layers.Conv2D(6, 3, name="c")(inputs))
    model = keras.Model(inputs, layers.Conv2D(2, 1, name="e")(layers.Reshape((1, 1, 6), name="r")(x)))
    raw = keras.Model(inputs, layers.Conv2D(2, 1, name="e2")(ops.reshape(x, (-1, 1, 1, 6))))
    for one in (model, raw):
        try:
            copy = apply_plan(one, QuantizationPlan({"c": LayerPlan(filters=4)}))
        except ModelError as error:
            assert "cannot reshape" in str(error) or "not known" in str(error)  # until graph.resize follows it
            continue
        assert copy(inputs_of(one)).shape == (2, 1, 1, 2)


def test_what_does_not_fit_names_the_layer() -> None:
    model = raw_operations()
    with pytest.raises(ModelError, match=r"'add'|layer 'd'|adds|widths|not known"):
        apply_plan(model, QuantizationPlan({"d": LayerPlan(filters=7)}))


# kinds


def test_layers_inside_time_distributed_are_quantized() -> None:
    inputs = keras.Input((5, 4), name="in")
    x = layers.TimeDistributed(layers.Dense(3, activation="relu", name="i"), name="t")(inputs)
    model = keras.Model(inputs, layers.Flatten(name="f")(x))
    entries = {"QDense": {"kernel_quantizer": "ternary", "activation": "quantized_relu(4,2)"}}
    copy = qsearch.quantize_model(model, entries, transfer_weights=True)
    wrapper = copy.get_layer("t")
    assert type(wrapper) is layers.TimeDistributed
    assert type(wrapper.layer) is QDense
    assert read_plan(copy).layers["t"].quantizers == {Role.KERNEL: TERNARY, Role.ACTIVATION: RELU}
    assert numpy.array_equal(wrapper.layer.kernel, model.get_layer("t").layer.kernel)
    assert set(qsearch.quantized_weights(copy)) == {"t"}
    wider = apply_plan(model, QuantizationPlan({"t": LayerPlan(filters=7)}))
    assert wider.get_layer("t").layer.units == 7
    assert type(apply_plan(copy, EMPTY).get_layer("t").layer) is QDense


@pytest.mark.parametrize(
    ("equation", "shape", "bias", "units"),
    [
        ("ab,bc->ac", 3, "c", 3),
        ("abc,cd->abd", (None, 5), None, 5),
        ("...x,xy->...y", 4, "y", 4),
        ("abc,cd->abd", (None, 5), "bd", None),
        ("abc,bd->adc", (5, None), None, None),
        ("abc,cde->abde", (None, 2, 3), None, None),
        ("ab,cb->ac", 3, None, None),
    ],
)
def test_einsums_that_are_dense_layers(equation: str, shape: Any, bias: str | None, units: int | None) -> None:
    layer = layers.EinsumDense(equation, output_shape=shape, bias_axes=bias, activation="relu", name="e")
    assert dense_units(layer) == units
    assert dense_units(layers.Dense(3)) is None
    if units is None:
        return
    inputs = keras.Input((6,) if equation.startswith("ab,") else (4, 6), name="in")
    model = keras.Model(inputs, layer(inputs))
    fine = {"kernel_quantizer": "quantized_bits(16,2,1,alpha=1.0)", "activation": "quantized_relu(16,6)"}
    copy = qsearch.quantize_model(model, {"QDense": fine}, transfer_weights=True)
    assert type(copy.get_layer("e")) is QDense
    assert copy.get_layer("e").use_bias == (bias is not None)
    x = inputs_of(model)
    assert numpy.abs(numpy.asarray(copy(x)) - numpy.asarray(model(x))).max() < 1e-2
    assert apply_plan(model, QuantizationPlan({"e": LayerPlan(filters=9)})).output.shape[-1] == 9


# classes of models


class Watched(keras.Model):  # type: ignore[misc]
    seen: tuple[str, ...] = ()

    def train_step(self, *args: Any, **kwargs: Any) -> Any:
        type(self).seen += (type(self.get_layer("d")).__name__,)
        return super().train_step(*args, **kwargs)


class Chain(keras.Sequential):  # type: ignore[misc]
    pass


class Passing(keras.Model):  # type: ignore[misc]
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean(name="tracked")


class Own(keras.Model):  # type: ignore[misc]
    def __init__(self, units: int) -> None:
        inputs = keras.Input((4,))
        super().__init__(inputs, layers.Dense(units, name="d")(inputs))


class More(keras.Model):  # type: ignore[misc]
    def __init__(self, *args: Any, rate: float = 0.1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.rate = rate


def of_class(kind: type[Any]) -> keras.Model:
    inputs = keras.Input((4,), name="in")
    return kind(inputs, layers.Dense(2, name="d")(inputs), name="m")


def test_copies_are_of_the_models_own_class() -> None:
    model = of_class(Watched)
    model.teacher = of_class(Passing)
    model.teacher.trainable = False
    copy = apply_plan(model, QuantizationPlan({"d": LayerPlan({Role.KERNEL: BITS})}))
    assert type(copy) is Watched
    assert copy.teacher is model.teacher
    model.compile("sgd", "mse")
    assert not hasattr(apply_plan(model, EMPTY), "optimizer")
    copy.compile("sgd", "mse")
    copy.fit(numpy.ones((2, 4)), numpy.ones((2, 2)), verbose=0)
    assert Watched.seen == ("QDense",)
    assert type(apply_plan(of_class(Passing), EMPTY)) is Passing
    chain = Chain([keras.Input((4,)), layers.Dense(2, name="d")], name="c")
    assert type(same(chain)) is Chain
    inputs = keras.Input((4,))
    outer = keras.Model(inputs, chain(of_class(Watched)(inputs[:, :]) @ numpy.ones((2, 4), "float32")))
    assert type(apply_plan(outer, EMPTY).get_layer("m")) is Watched


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: Own(3), "class Own: its __init__ takes units; give it an __init__ of inputs, outputs, name alone"),
        (lambda: of_class(More), "class More: its __init__ takes args, rate, kwargs"),
    ],
)
def test_classes_that_cannot_be_made_again(model: Callable[[], keras.Model], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        apply_plan(model(), EMPTY)


# live objects


def clipped(x: Any) -> Any:
    return ops.clip(x, 0.0, 6.0)


def another(limit: float) -> Callable[[Any], Any]:
    def clipped(x: Any) -> Any:
        return ops.clip(x, 0.0, limit)

    return clipped


def ones(shape: Any, dtype: Any = None) -> Any:
    return ops.ones(shape, dtype)


class Small(keras.regularizers.Regularizer):  # type: ignore[misc]
    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def __call__(self, x: Any) -> Any:
        return self.factor * ops.sum(ops.abs(x))

    def get_config(self) -> dict[str, Any]:
        return {"factor": self.factor}


class Applied(layers.Layer):  # type: ignore[misc]
    """Keeps its function as Keras' own layers do, and reads it with a from_config of its own."""

    def __init__(self, function: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function = function

    def call(self, x: Any) -> Any:
        return self.function(x)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "function": keras.saving.serialize_keras_object(self.function)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        return cls(keras.saving.deserialize_keras_object(config.pop("function")), **config)


def with_functions(one: Any = clipped, other: Any = clipped) -> keras.Model:
    inputs = keras.Input((4, 3), name="in")
    x = layers.Dense(3, activation=one, kernel_initializer=ones, kernel_regularizer=Small(0.1), name="d")(inputs)
    x = layers.Activation(other, name="a")(x)
    x = layers.LSTM(3, activation=one, recurrent_activation=other, return_sequences=True, name="l")(x)
    x = layers.TimeDistributed(layers.Dense(3, activation=other, name="i"), name="t")(x)
    return keras.Model(inputs, Applied(one, name="own")(x))


def test_functions_are_the_same_objects() -> None:
    one, other = another(1.0), another(2.0)
    model = with_functions(one, other)
    copy = same(model)
    for found in (copy, apply_plan(copy, QuantizationPlan({"d": KERNEL, "l": KERNEL, "t": KERNEL}))):
        assert found.get_layer("d").activation is one
        assert found.get_layer("a").activation is other
        assert found.get_layer("l").activation is one
        assert found.get_layer("l").recurrent_activation is other
        assert found.get_layer("t").layer.activation is other
        assert found.get_layer("own").function is one
        assert found.get_layer("d").kernel_regularizer.factor == 0.1
    assert type(found.get_layer("d")) is QDense
    assert numpy.array_equal(copy.get_layer("d").kernel, numpy.ones((3, 3)))
    once_more = apply_plan(found, EMPTY)
    assert once_more.get_layer("d").activation is one
    with pytest.raises(ModelError, match=r"'(d|a|l|i)' and '(d|a|l|i)': use two different objects called 'clipped'"):
        custom_objects_in(model)


def test_lambdas_are_the_same_objects() -> None:
    limit = numpy.float32(3.0)
    inputs = keras.Input((4,), name="in")
    x = layers.Lambda(lambda v: ops.minimum(v, limit), name="one")(inputs)
    x = layers.Dense(3, activation=lambda v: ops.maximum(v, 0.0), name="d")(x)
    x = layers.Lambda(lambda v, by: v * by, arguments={"by": 2.0}, output_shape=(3,), name="two")(x)
    model = keras.Model(inputs, x)
    copy = same(model)
    assert copy.get_layer("one").function is model.get_layer("one").function
    quantized = apply_plan(model, QuantizationPlan({"one": LayerPlan({Role.ACTIVATION: RELU}), "d": KERNEL}))
    assert type(quantized.get_layer("one")) is QActivation
    assert quantized.get_layer("d").activation is model.get_layer("d").activation


def test_own_objects_and_files(tmp_path: Path) -> None:
    model = with_functions()
    found = custom_objects_in(model)
    assert set(found) == {"clipped", "ones", "Small", "Applied"}
    check_copies(model, QuantizationPlan({"d": KERNEL, "l": KERNEL}))
    quantized = apply_plan(model, QuantizationPlan({"d": KERNEL, "l": KERNEL}))
    quantized.save(tmp_path / "m.keras")
    again = qsearch.load_model(tmp_path / "m.keras", custom_objects=found)
    x = inputs_of(model)
    assert numpy.array_equal(again(x), quantized(x))
    assert set(custom_objects_in(of_class(Watched))) == {"Watched"}


def relu(x: Any) -> Any:
    return ops.relu(x) * 2.0


def test_functions_with_a_name_of_keras() -> None:
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(3, activation=relu, name="d")(inputs))
    assert same(model).get_layer("d").activation is relu
    with pytest.raises(ModelError, match=r"'d': uses a function 'relu' of its own.*another name"):
        custom_objects_in(model)


# what cannot be copied


class Forgets(layers.Layer):  # type: ignore[misc]
    def __init__(self, factor: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x: Any) -> Any:
        return x * self.factor

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}


class Silent(layers.Layer):  # type: ignore[misc]
    def __init__(self, values: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.values = values

    def call(self, x: Any) -> Any:
        return x + self.values


class Breaks(layers.Layer):  # type: ignore[misc]
    made = 0

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        Breaks.made += 1
        self.broken = Breaks.made > 1

    def call(self, x: Any) -> Any:
        if self.broken and hasattr(x, "numpy"):
            raise RuntimeError("only the first works")
        return x


class Nameless(layers.Layer):  # type: ignore[misc]
    def __init__(self, units: int) -> None:
        super().__init__()
        self.inside = layers.Dense(units)

    def call(self, x: Any) -> Any:
        return self.inside(x)


def around(layer: Any) -> keras.Model:
    inputs = keras.Input((4,), name="in")
    inner_in = keras.Input((4,))
    inner = keras.Model(inner_in, layer(inner_in), name="inner")
    return keras.Model(inputs, layers.Dense(2, name="out")(inner(layers.Dense(4, name="d")(inputs))), name="m")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: Forgets(2.0, name="f"), r"'inner/f': Forgets computes something else in a copy.*its get_config must"),
        (lambda: Silent(numpy.ones(4), name="s"), "'s': its class Silent has no get_config that works"),
        (lambda: Nameless(3), r"Nameless cannot be copied: .*'trainable'.*take \*\*kwargs"),
        (lambda: layers.Dense(2, activation=lambda x: x, name="l"), "'l': its activation is a lambda"),
        (
            lambda: layers.Dense(2, activation=functools.partial(keras.activations.relu, max_value=6), name="p"),
            "'p': its activation is a functools.partial",
        ),
        (lambda: Breaks(name="b"), r"'inner/b': Breaks fails in a copy \(only the first works\)"),
    ],
)
def test_what_cannot_be_copied_is_named(layer: Callable[[], Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        check_copies(around(layer()), QuantizationPlan({"d": KERNEL}))


@pytest.mark.parametrize("called", [False, True])
def test_activations_with_weights_that_layers_share_are_named(called: bool) -> None:
    shared = layers.PReLU(name="p")
    inputs = keras.Input((4,))
    model = keras.Model(
        inputs, layers.Dense(4, activation=shared, name="b")(layers.Dense(4, activation=shared, name="a")(inputs))
    )
    if called:
        model(numpy.ones((2, 4)))
    with pytest.raises(ModelError, match=r"layers 'a' and 'b' share the weights of PReLU 'p'.*give each a PReLU"):
        check_copies(model, EMPTY)
    activation = layers.ReLU(6.0)
    check_copies(keras.Sequential([inputs, *(layers.Dense(4, activation=activation) for _ in range(2))]), EMPTY)


def test_what_can_be_copied_passes() -> None:
    for layer in (Forgets(name="f"), layers.Dropout(0.5), layers.Lambda(lambda x: 2 * x)):
        model = around(layer)
        weights = model.get_weights()
        check_copies(model, QuantizationPlan({"d": KERNEL}))
        assert all(map(numpy.array_equal, weights, model.get_weights()))
    for build in BUILDS:
        check_copies(build(), EMPTY)
