"""One model for all trials: bit for bit what a model of its own gives, and told where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch.config import load_config
from qsearch.quantize.apply import apply_plan
from qsearch.runner.data import data_of
from qsearch.runner.experiment import read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.search.space import SearchSpace
from qsearch.training.fit import train
from qsearch.training.shared_model import SharedModel
from qsearch.training.shared_training import SharedTraining

HEAD = """
dataset: {factory: "shared_nets:data", validation: 0.25}
model: {factory: "shared_nets:NAME"}
reference: {epochs: 1, loss: LOSS, metrics: [acc], batch_size: 16, optimizer: {name: OPTIMIZER, learning_rate: 0.01}}
limit: {Dense: [8, 8, 4], Conv1D: [4, 8, 4], Conv2D: [4, 8, 4], DepthwiseConv2D: [4, 8, 4], SeparableConv2D: [4, 8, 4],
        Activation: [4], BatchNormalization: []}
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

class Static(layers.Layer):
    def call(self, x):
        return layers.Reshape((-1, int(x.shape[-1])))(x)

def own_layer():
    x = layers.Activation("relu")(Doubled()(layers.Conv2D(4, 3)(inputs := images())))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def static_layer():
    x = layers.Activation("relu")(Static()(layers.Conv2D(4, 3)(inputs := images())))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.Flatten()(x)))

def recurrent():
    x = layers.LSTM(4)(layers.Reshape((8, 16))(inputs := images()))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))

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


def without_chance(space: SearchSpace) -> SearchSpace:
    """Quantizers that draw go on with their numbers in a graph that is traced once."""
    kept = [
        replace(one, options=tuple(option for option in one.options if "stochastic" not in str(option)))
        for one in space.dimensions
    ]
    return replace(space, dimensions=tuple(kept))


def same_training(folder: Path, name: str, optimizer: str = "adam", trials: int = 3, *sets: str) -> SharedTraining:
    experiment, data, recipe = prepared(folder, name, optimizer, *sets)
    space = without_chance(experiment.space)
    shared = SharedTraining(SharedModel(experiment.model, space), recipe, data.train.steps(16))
    random = numpy.random.default_rng(1)
    for trial in range(trials):
        values = {one.name: one.options[random.integers(len(one.options))] for one in space.dimensions}
        pair = []
        for _ in range(2):
            keras.utils.set_random_seed(trial)
            pair.append(apply_plan(experiment.model, space.plan(values)))
        own, end = train(pair[0], data, recipe, trial, lambda *_: None)
        found, shared_end = shared.train(pair[1], values, data, recipe, trial, lambda *_: None)
        assert found == own
        for part in ("weights", "optimizer"):
            for one, other in zip(getattr(end, part), getattr(shared_end, part), strict=True):
                numpy.testing.assert_array_equal(one, other)
        for one, other in zip(pair[0].get_weights(), pair[1].get_weights(), strict=True):
            numpy.testing.assert_array_equal(one, other)
    return shared


@pytest.mark.parametrize("name", ["residual", "unet", "inverted", "sequence", "nested", "own_layer"])
def test_training_is_the_same_to_the_bit(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "shared_nets", raising=False)
    same_training(tmp_path, name)


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adagrad", "adamw", "lion"])
def test_optimizers_start_anew(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(__import__("sys").modules, "shared_nets", raising=False)
    same_training(tmp_path, "sequence", optimizer, 2)
