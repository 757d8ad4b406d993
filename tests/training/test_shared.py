"""One model for all trials: bit for bit what a model of its own gives, and told where it cannot be."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf
from slow import by_hand, slow
from tiny_run import tiny

import qsearch
from qsearch.config import load_config
from qsearch.config.schedules import ScheduleConfig
from qsearch.errors import ConfigError
from qsearch.layers import QDense
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import get
from qsearch.quantizers.arithmetic.draws import Stream
from qsearch.quantizers.switched import Switched
from qsearch.runner.data import data_of
from qsearch.runner.experiment import read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.training import shared_training
from qsearch.training.fit import train
from qsearch.training.resizable import Resizable, assign_all, varying
from qsearch.training.schedules import RateSchedule
from qsearch.training.seeds import seed_all, seed_quantizers
from qsearch.training.shared_model import NotShareableError, SharedModel
from qsearch.training.shared_training import SharedTraining

HEAD = """
dataset: {factory: "shared_nets:data", validation: 0.25}
model: {factory: "shared_nets:NAME"}
reference: {epochs: 1, loss: LOSS, metrics: [acc], batch_size: 16, optimizer: {name: OPTIMIZER, learning_rate: 0.01}}
limit: {Dense: [8, 8, 4], Conv1D: [4, 8, 4], Conv2D: [4, 8, 4], DepthwiseConv2D: [4, 8, 4], SeparableConv2D: [4, 8, 4],
        Activation: [4], BatchNormalization: [], LSTM: [4, 4, 8], GRU: [4, 4, 8], SimpleRNN: [4, 4, 8]}
run: {mode: random, max_trials: 3, epochs: 2, batch_size: 16, tune_filters: layer, output_dir: OUT}
"""
NETS = """
import keras, numpy
from keras import layers

def images():
    return keras.Input((8, 8, 2), name="image")

def residual():
    x = inputs = images()
    first = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(x)))
    x = layers.Dropout(0.3)(layers.Conv2D(4, 3, padding="same", name="second")(first))
    x = layers.Activation("relu")(layers.Add()([layers.BatchNormalization()(x), first]))
    x = layers.Conv2D(6, 3, strides=2, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.GlobalAveragePooling2D()(x)))

def unet():
    inputs = images()
    skip = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same")(inputs))
    x = layers.Activation("relu")(layers.Conv2D(8, 3, padding="same")(layers.MaxPooling2D(2)(skip)))
    x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])
    x = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def inverted():
    x = inputs = images()
    x = stem = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same")(x))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(12, 1)(x)))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.DepthwiseConv2D(3, padding="same")(x)))
    x = layers.Add()([layers.BatchNormalization()(layers.Conv2D(4, 1)(x)), stem])
    x = layers.SeparableConv2D(6, 3, activation="relu")(x)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def sequence():
    x = inputs = images()
    x = layers.Reshape((32, 4))(x)
    for filters in (6, 8):
        x = layers.MaxPooling1D(2)(layers.Activation("relu")(layers.Conv1D(filters, 3, padding="causal")(x)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def nested():
    inner_in = keras.Input((8, 8, 4))
    inner = keras.Model(inner_in, layers.Activation("relu")(layers.Conv2D(4, 3)(inner_in)), name="inner")
    x = layers.Activation("relu")(layers.Conv2D(4, 3, padding="same")(images()))
    return keras.Sequential([images(), layers.Conv2D(4, 1, name="first"), inner, layers.Flatten(),
                             layers.Dense(3, activation="softmax", name="head")])

class Doubled(layers.Layer):
    def call(self, x):
        return x * 2.0

def own_layer():
    x = layers.Activation("relu")(Doubled()(layers.Conv2D(4, 3)(inputs := images())))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def recurrent():
    x = layers.Activation("relu")(layers.Conv1D(4, 3)(layers.Reshape((8, 16))(inputs := images())))
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(layers.LSTM(4, return_sequences=True)(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.SimpleRNN(4)(x)))

def over_time():
    x = layers.Activation("relu")(layers.Conv1D(4, 3)(layers.Reshape((8, 16))(inputs := images())))
    x = layers.LSTM(4, return_sequences=True, dropout=0.2, recurrent_dropout=0.2)(x)
    x = layers.Flatten()(layers.TimeDistributed(layers.Dense(4))(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))

def reshaped():
    x = layers.Activation("relu")(layers.Conv2D(4, 3, name="conv")(inputs := images()))
    x = layers.Conv1D(4, 3, name="last")(layers.Reshape((36, 4), name="line")(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def data():
    random = numpy.random.default_rng(0)
    x, y = random.normal(size=(96, 8, 8, 2)).astype("float32"), random.integers(0, 3, 96)
    return (x[:64], y[:64]), (x[64:], y[64:])
"""


def prepared(folder: Path, name: str, optimizer: str = "adam", *sets: str) -> tuple[Any, ...]:
    """(experiment, data, recipe) of a network of the file."""
    (folder / "shared_nets.py").write_text(NETS, encoding="utf-8")
    text = HEAD.replace("NAME", name).replace("OUT", str(folder / "out")).replace("OPTIMIZER", optimizer)
    (folder / "run.yaml").write_text(text.replace("LOSS", "sparse_categorical_crossentropy"), encoding="utf-8")
    experiment = read_experiment(load_config(folder / "run.yaml", sets))
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = replace(recipe_of(experiment, objective, data), epochs=2, batch_size=16)
    return experiment, data, recipe


def same_training(
    folder: Path,
    name: str,
    optimizer: str = "adam",
    trials: int = 3,
    epochs: int = 2,
    tolerance: float = 0.0,
    learning_rates: Sequence[float] = (0.01,),
    **changes: Any,
) -> None:
    """Train candidates both ways, from the same weights and batches."""
    experiment, data, recipe = prepared(folder, name, optimizer)
    space, recipe = experiment.space, replace(recipe, epochs=epochs, **changes)
    shared = SharedTraining(SharedModel(experiment.model, space), recipe, data.train.steps(16))
    random = numpy.random.default_rng(1)
    for trial in range(trials):
        rate = learning_rates[trial % len(learning_rates)]
        recipe = replace(recipe, optimizer=recipe.optimizer.model_copy(update={"learning_rate": rate}))
        values = {one.name: one.options[random.integers(len(one.options))] for one in space.dimensions}
        pair = []
        for _ in range(2):
            keras.utils.set_random_seed(trial)
            pair.append(apply_plan(experiment.model, space.plan(values)))
        own, end = train(pair[0], data, recipe, trial, lambda *_: None)
        found, shared_end = shared.train(pair[1], values, data, recipe, trial, lambda *_: None)
        assert found.metrics == pytest.approx(own.metrics, abs=tolerance, rel=0)
        for ours, others in (
            (end.weights, shared_end.weights),
            (end.optimizer, shared_end.optimizer),
            (pair[0].get_weights(), pair[1].get_weights()),
        ):
            for one, other in zip(ours, others, strict=True):
                numpy.testing.assert_allclose(other, one, rtol=0, atol=tolerance)


@pytest.fixture(autouse=True)
def fresh_nets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shared_nets", raising=False)


@pytest.mark.parametrize(
    "name", ["unet", by_hand("inverted"), by_hand("sequence"), "nested", by_hand("own_layer"), by_hand("recurrent")]
)
def test_training_is_the_same_to_the_bit(name: str, tmp_path: Path) -> None:
    same_training(tmp_path, name)


@pytest.mark.parametrize("name", ["residual", by_hand("over_time")])
def test_training_of_some_networks_is_the_same_but_for_rounding(name: str, tmp_path: Path) -> None:
    """Behind a global average and around a TimeDistributed TensorFlow sums in another order if widths are unknown."""
    same_training(tmp_path, name, "sgd", trials=2, epochs=1, tolerance=1e-6)


@pytest.mark.parametrize("optimizer", [slow("rmsprop"), "adagrad", by_hand("adamw"), by_hand("lion")])
def test_optimizers_start_anew(optimizer: str, tmp_path: Path) -> None:
    same_training(tmp_path, "sequence", optimizer, trials=2)


@pytest.mark.slow
def test_a_schedule_is_traced_once_for_each_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []
    original = shared_training.optimizer_of

    def counted(model: Any, recipe: Any, steps: Any) -> Any:
        made.append(recipe.optimizer.learning_rate)
        return original(model, recipe, steps)

    monkeypatch.setattr(shared_training, "optimizer_of", counted)
    schedule = RateSchedule(ScheduleConfig(name="cosine"), 0.01, 2)
    same_training(tmp_path, "sequence", trials=5, epochs=1, learning_rates=(0.01, 0.004, 0.002), schedule=schedule)
    assert sorted(set(made)) == sorted(made)


@pytest.mark.slow
def test_layers_have_rates_of_their_own(tmp_path: Path) -> None:
    same_training(tmp_path, "sequence", trials=2, epochs=1, rates={"head": 0.5})


@pytest.mark.slow
def test_what_cannot_be_shared_is_told(tmp_path: Path) -> None:
    experiment, _, _ = prepared(tmp_path, "reshaped")
    with pytest.raises(NotShareableError, match="line"):
        SharedModel(experiment.model, experiment.space)
    with pytest.raises(ConfigError, match=r"run.trials: found 'shared', and .*allowed here: auto, rebuilt"):
        qsearch.run(tmp_path / "run.yaml", ["run.trials=shared", "run.max_trials=1"])
    found = qsearch.run(tmp_path / "run.yaml")
    assert found.result.trials.completed == 3


def test_an_optimizer_with_shapes_of_its_own_is_told(tmp_path: Path) -> None:
    experiment, data, recipe = prepared(tmp_path, "sequence", "adafactor")
    with pytest.raises(NotShareableError, match="Adafactor"):
        SharedTraining(SharedModel(experiment.model, experiment.space), recipe, data.train.steps(16))


@pytest.mark.parametrize("mode", [by_hand("random"), by_hand("hyperband"), slow("guided")])
def test_searches_are_the_same_both_ways(mode: str, tmp_path: Path) -> None:
    kernels = "quantization_config.kernel={stochastic_ternary: 2, 'quantized_bits(4,0,1,use_stochastic_rounding=1)': 4}"
    journals = []
    for trials in ("shared", "rebuilt"):
        sets = [f"run.trials={trials}", f"run.mode={mode}", "run.max_trials=4", f"run.output_dir={tmp_path / trials}"]
        qsearch.run(
            tiny(tmp_path, tmp_path / trials), [*sets, kernels, "run.max_epochs=3", "run.transfer_weights=true"]
        )
        lines = (tmp_path / trials / "trials.jsonl").read_text(encoding="utf-8").splitlines()
        journals.append([{**json.loads(line), "seconds": 0} for line in lines])
    assert journals[0] == journals[1]


def test_a_variable_changes_its_shape() -> None:
    variable = keras.Variable(numpy.zeros((3, 4)), name="kernel")
    free = Resizable(variable, varying((3, 4), (3, 2)))
    with pytest.raises(ValueError, match="shape"):
        variable.assign(numpy.ones((3, 2)))
    free.release()
    assign_all([variable], [numpy.ones((3, 2))])
    assert variable.numpy().shape == (3, 2)
    with pytest.raises(ValueError, match="shape"):
        variable.assign(numpy.ones((2, 2)))
    free.hold()
    assert tuple(variable.shape) == (3, 2)


@pytest.mark.parametrize("training", [False, True])
def test_every_quantizer_is_what_it_is_when_it_is_chosen(training: bool) -> None:
    texts = ["binary", "ternary", "quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits(4,0,1,alpha='auto')"]
    texts += [
        "quantized_po2(4,1)",
        "quantized_relu(4,2)",
        "quantized_tanh(4)",
        "quantized_linear(4)",
        "quantized_ulaw(4)",
        "stochastic_binary",
        "stochastic_ternary(alpha='auto')",
        "bernoulli(alpha=1)",
        "binary(use_stochastic_rounding=1)",
        "ternary(alpha='auto',use_stochastic_rounding=1)",
        "quantized_po2(4,1,use_stochastic_rounding=1)",
        "quantized_relu(4,2,use_stochastic_rounding=1)",
        "quantized_linear(4,use_stochastic_rounding=1)",
        "quantized_tanh(4,use_stochastic_rounding=1)",
    ]
    options = [quantizer for text in texts if (quantizer := get(text)) is not None]
    index = tf.Variable(0, trainable=False)
    switched = Switched(options, index)
    x = tf.constant(numpy.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32"))

    @tf.function(autograph=False)
    def called(one: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = one(x, training=training)
        return y, tape.gradient(y, x)

    for place, option in enumerate(options):
        index.assign(place)
        for one in (switched, option):
            if isinstance(one.seeds, Stream):
                one.seeds.start(5)
        for found, expected in zip(called(switched), called(option), strict=True):
            numpy.testing.assert_array_equal(found, expected, err_msg=texts[place])


def test_quantizers_that_draw_have_numbers_of_their_own_place_and_call() -> None:
    inputs = keras.Input((40,))
    x = QDense(40, kernel_quantizer="stochastic_binary", use_bias=False, name="one")(inputs)
    model = keras.Model(inputs, QDense(40, kernel_quantizer="stochastic_binary", use_bias=False, name="two")(x))
    for layer in model.layers[1:]:
        layer.kernel.assign(numpy.zeros((40, 40)))

    @tf.function(autograph=False)
    def signs() -> Any:
        return [layer.suited.in_use["kernel"](layer.kernel, training=True) for layer in model.layers[1:]]

    seed_quantizers(model, 3)
    first, second = signs(), signs()
    drawn = [numpy.asarray(one) for one in (*first, *second)]
    for one in range(4):
        for other in range(one):
            assert 0.4 < (drawn[one] == drawn[other]).mean() < 0.6
    seed_quantizers(model, 3)
    numpy.testing.assert_array_equal(signs()[1], drawn[1])
    seed_quantizers(model, 4)
    assert (numpy.asarray(signs()[1]) != drawn[1]).any()


def test_draws_without_a_seed_follow_set_random_seed() -> None:
    def drawn() -> Any:
        keras.utils.set_random_seed(1)
        return numpy.asarray(get("stochastic_ternary(alpha=1)")(tf.zeros((30, 30)), training=True))

    numpy.testing.assert_array_equal(drawn(), drawn())


def test_seeds_are_those_of_keras() -> None:
    def drawn() -> list[float]:
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        order = next(iter(tf.data.Dataset.range(50).shuffle(50).batch(50))).numpy()
        return [*model.get_weights()[0].ravel(), *order, numpy.random.default_rng(0).normal(), numpy.random.normal()]

    keras.utils.set_random_seed(7)
    expected = drawn()
    seed_all(7)
    assert drawn() == expected
