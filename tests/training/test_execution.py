"""What a GPU may turn: the switches, what they come to, and that they reach Keras."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf
from tiny_run import tiny

import qsearch
from qsearch.config import load_config
from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.config.schema import RunConfig
from qsearch.datasets.dataset import Dataset, Split
from qsearch.errors import ConfigError, ModelError
from qsearch.goal.target import Target
from qsearch.layers import QActivation, QDense
from qsearch.quantizers import get
from qsearch.runner.inputs import _execution
from qsearch.search.trials import SilentObserver
from qsearch.training.execution import Execution, unfit_for_xla
from qsearch.training.fit import Recipe, compile_model, train
from qsearch.training.objective import Objective, Output

RANDOM = numpy.random.default_rng(0)
X, Y = RANDOM.normal(size=(53, 5)).astype("float32"), RANDOM.integers(0, 3, 53)
DATA = Dataset("rows", Split(X, Y), Split(X[:16], Y[:16]))


def recipe(execution: Execution) -> Recipe:
    loss = Chosen("sparse_categorical_crossentropy")
    return Recipe(
        optimizer=OptimizerConfig(name="adam", learning_rate=0.01),
        objective=Objective(loss=loss, metrics=(Chosen("acc"),), output=Output(loss, (3,))),
        target=Target("val_acc", limit=0.0),
        epochs=2,
        batch_size=8,
        execution=execution,
    )


def network(*more: keras.Layer) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [QDense(6, kernel_quantizer="quantized_bits(4,0,1)"), QActivation("quantized_relu(4,1)"), *more]
    return keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(3, activation="softmax")])


@pytest.mark.parametrize(
    ("steps", "batch_size", "macs", "found"),
    [
        (18, 64, 17_000, 18),  # digits
        (938, 64, 17_000, 67),
        (751, 64, 17_000, 71),  # prime: an iterator for each epoch
        (100, 1024, 10**9, 1),
        (1, 8, 0, 1),
        (100, 8, 0, 100),
    ],
)
def test_steps_of_one_call(steps: int, batch_size: int, macs: int, found: int) -> None:
    assert Execution().steps_of_call(steps, batch_size, macs) == found
    assert Execution(steps_per_execution=7).steps_of_call(steps, batch_size, macs) == min(7, steps)


@pytest.mark.parametrize(
    ("wanted", "gpu", "given", "found"),
    [
        ("auto", False, True, False),
        ("auto", True, True, True),  # what Keras makes of it
        ("auto", True, False, False),
        (True, False, False, True),
        (False, True, True, False),
    ],
)
def test_xla(wanted: Any, gpu: bool, given: bool, found: bool) -> None:
    model = network()
    model.compile(loss="mse", jit_compile=given)
    Execution(jit_compile=wanted, gpu=gpu).set_up(model)
    assert model.jit_compile is found


def test_trials_that_are_worth_one_model() -> None:
    assert [Execution().shares(trials) for trials in (3, 4)] == [False, True]
    assert [Execution(trials="shared").shares(1), Execution(trials="rebuilt").shares(99)] == [True, False]
    assert Execution().why_rebuilt() is None
    assert "fixed" in str(Execution(jit_compile=True).why_rebuilt())


def test_the_switches_are_those_of_the_file() -> None:
    gpu = bool(tf.config.list_physical_devices("GPU"))
    assert Execution.of(RunConfig()) == Execution(gpu=gpu)
    run = RunConfig(jit_compile=False, steps_per_execution=3, trials="rebuilt")
    assert Execution.of(run) == Execution(jit_compile=False, steps_per_execution=3, trials="rebuilt", gpu=gpu)


def test_steps_reach_keras() -> None:
    model, other = network(), network()
    found, _ = train(model, DATA, recipe(Execution(steps_per_execution=3)), 5, lambda *_: None)
    again, _ = train(other, DATA, recipe(Execution(steps_per_execution=99)), 5, lambda *_: None)
    assert (model.steps_per_execution, other.steps_per_execution) == (3, 7)
    assert found == again


def test_a_model_compiled_by_xla_trains_to_the_same_but_for_rounding(tmp_path: Path) -> None:
    model, other = network(), network()
    found, _ = train(model, DATA, recipe(Execution(jit_compile=True)), 5, lambda *_: None)
    wanted, _ = train(other, DATA, recipe(Execution()), 5, lambda *_: None)
    assert (model.jit_compile, other.jit_compile) == (True, False)
    assert found.metrics == pytest.approx(wanted.metrics, rel=1e-4)
    for mine, its in zip(model.get_weights(), other.get_weights(), strict=True):
        numpy.testing.assert_allclose(mine, its, atol=1e-4)
    compile_model(model, recipe(Execution(jit_compile=True)))
    model.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as file:
        assert json.loads(file.read("config.json"))["compile_config"]["jit_compile"] is False


@pytest.mark.parametrize("text", ["quantized_relu(4,1)", "quantized_relu(1,0)", "quantized_relu(8,3)"])
def test_quantized_relu_is_the_same_by_xla(text: str) -> None:
    quantizer = get(text)
    assert quantizer is not None
    levels = numpy.linspace(-1, 9, 5 * 2**11 + 1, dtype="float32")  # every tie and every level
    values = tf.constant(numpy.concatenate([levels, [0.0, -0.0, 1e-37, 1e30, numpy.inf, -numpy.inf]]), tf.float32)

    def both(v: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            tape.watch(v)
            out = quantizer(v)
        return out, tape.gradient(out, v)

    for mine, its in zip(tf.function(both, jit_compile=True)(values), both(values), strict=True):
        numpy.testing.assert_array_equal(mine, its)


class Python(keras.Layer):  # type: ignore[misc]
    """Runs Python in every step, which XLA does not."""

    def call(self, x: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(lambda v: v, [x], tf.float32), x.shape)


def test_what_xla_cannot_compile_is_told() -> None:
    with pytest.raises(ModelError, match=r"training, compiled by XLA as run.jit_compile has it, fails"):
        train(network(Python()), DATA, recipe(Execution(jit_compile=True)), 5, lambda *_: None)


def test_a_layer_that_xla_does_not_take_is_told_with_the_place(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((5,)), keras.layers.RandomZoom(0.1, name="zoom")])
    assert unfit_for_xla(network()) is None
    assert unfit_for_xla(model) == "zoom (RandomZoom)"
    loaded = load_config(tiny(tmp_path, tmp_path / "out"), ["run.jit_compile=true"])
    with pytest.raises(ConfigError, match=r"run.jit_compile: found true, but XLA cannot compile zoom \(RandomZoom\)"):
        _execution(loaded, model)


class Lines(SilentObserver):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)


NET = """
import keras, numpy

def net():
    inputs = keras.Input((5,))
    x = keras.layers.Activation("relu")(keras.layers.Dense(4, name="first")(inputs))
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="head")(x))

def data():
    random = numpy.random.default_rng(0)
    x, y = random.normal(size=(64, 5)).astype("float32"), random.integers(0, 3, 64)
    return (x[:48], y[:48]), (x[48:], y[48:])
"""
FILE = """
dataset: {factory: "xla_net:data", validation: 0.25}
model: {factory: "xla_net:net"}
reference: {epochs: 1, loss: sparse_categorical_crossentropy, metrics: [acc], batch_size: 12}
limit: {Dense: [8, 8, 4], Activation: [4]}
run: {max_trials: 1, epochs: 1, batch_size: 12, jit_compile: true, output_dir: OUT}
"""


def test_a_search_with_xla_rebuilds_its_trials_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qsearch.training.execution._WORTH_SHARING", 1)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "xla_net.py").write_text(NET, encoding="utf-8")
    (tmp_path / "run.yaml").write_text(FILE.replace("OUT", str(tmp_path / "out")), encoding="utf-8")
    observer = Lines()
    result = qsearch.run(tmp_path / "run.yaml", observer=observer)
    told = "each trial is trained in a model of its own: run.jit_compile is true, and XLA needs shapes that are fixed"
    assert told in observer.lines
    assert result.best is not None
    assert result.reference.jit_compile
