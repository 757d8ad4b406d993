"""Models, data, layers and metrics of the user's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import numpy
import pytest
from slow import by_hand

from qsearch.config.load import load_config
from qsearch.errors import ConfigError, DatasetError, ModelError
from qsearch.models import build_model
from qsearch.runner.experiment import read_experiment
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult

MODULE = """
import keras
import numpy
from keras import layers


class Doubled(layers.Layer):
    def call(self, x):
        return 2 * x


def two_heads(width=8):
    a, b = keras.Input((6,), name="a"), keras.Input((4,), name="b")
    x = layers.Concatenate(name="joined")([a, b])
    x = layers.Dense(width, activation="relu", name="shared")(x)
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    size = layers.Dense(1, name="size")(x)
    return keras.Model([a, b], {{"kind": kind, "size": size}}, name="two")


def data():
    rng = numpy.random.default_rng(0)
    a, b = rng.normal(size=(240, 6)), rng.normal(size=(240, 4))
    kind = a[:, :3].argmax(axis=1)
    x, y = {{"a": a, "b": b}}, {{"kind": kind, "size": a[:, :1] + b[:, :1]}}
    cut = lambda parts, rows: {{name: part[rows] for name, part in parts.items()}}
    return (cut(x, slice(180)), cut(y, slice(180))), (cut(x, slice(180, None)), cut(y, slice(180, None)))


def classifier(doubled=False, softmax=True):
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(8, activation="relu", name="first")(inputs)
    x = Doubled(name="doubled")(x) if doubled else x
    return keras.Model(inputs, layers.Dense(3, activation="softmax" if softmax else None, name="out")(x), name="own")


def clipped(x):
    return keras.ops.clip(x, -1.0, 6.0)  # no relu, so that no quantizer takes its place


def halved(limit):
    def clipped(x):
        return keras.ops.clip(x, 0.0, limit)

    return clipped


def relu(x):
    return keras.ops.relu(x)


class Forgets(layers.Layer):
    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, x):
        return x * self.factor

    def get_config(self):
        return {{"name": self.name}}


class Watched(keras.Model):
    steps = []

    def train_step(self, *args, **kwargs):
        self.steps.append(type(self.get_layer("first")).__name__)
        return super().train_step(*args, **kwargs)


class Sized(keras.Model):
    def __init__(self, units):
        inputs = keras.Input((6,), name="in")
        x = layers.Dense(units, activation="relu", name="first")(inputs)
        super().__init__(inputs, layers.Dense(3, activation="softmax", name="out")(x))


def special(form):
    if form == "sized":
        return Sized(8)
    inputs = keras.Input((6,), name="in")
    functions = {{"activation": clipped, "two": clipped, "named": relu, "nameless": lambda x: x}}
    x = layers.Dense(8, activation=functions.get(form), name="first")(inputs)
    if form == "layer":
        x = layers.Activation(clipped, name="clip")(x)
    if form == "lambda":
        x = layers.Lambda(lambda value: keras.ops.clip(value, 0.0, 6.0), name="clip")(x)
    if form == "two":
        x = layers.Activation(halved(3.0), name="clip")(x)
    if form == "forgets":
        x = Forgets(2.0, name="forgets")(x)
    kind = Watched if form == "watched" else keras.Model
    return kind(inputs, layers.Dense(3, activation="softmax", name="out")(x), name="own")


def autoencoder():
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(4, activation="relu", name="code")(inputs)
    return keras.Model(inputs, layers.Dense(6, name="out")(x), name="auto")


def broken():
    raise RuntimeError("no such thing\\nmore")


def error_rate(y_true, y_pred):
    return keras.ops.mean(keras.ops.cast(keras.ops.argmax(y_true, -1) != keras.ops.argmax(y_pred, -1), "float32"))


nothing = 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a module in the current folder."""
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.replace("{{", "{").replace("}}", "}"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    rng = numpy.random.default_rng(1)
    x = rng.normal(size=(240, 6))
    labels = x[:, :3].argmax(axis=1)
    numpy.savez(tmp_path / "d.npz", x_train=x[:180], y_train=labels[:180], x_test=x[180:], y_test=labels[180:])
    numpy.savez(tmp_path / "a.npz", x_train=x[:180], y_train=x[:180], x_test=x[180:], y_test=x[180:])
    return name


def configured(text: str, *overrides: str) -> RunResult:
    base = """
    limit: {Dense: [8, 8, 4], Activation: [4]}
    goal: {type: energy, params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false,
           reference_internal: int8, reference_accumulator: int32}}
    run: {output_dir: out, max_trials: 2, epochs: 2, tune_filters: layer, prune: false}
    """
    Path("c.yaml").write_text(dedent(text) + dedent(base), encoding="utf-8")
    return run("c.yaml", list(overrides))


TWO = """
dataset: {factory: "OWN:data", validation: 0.25}
model: {factory: "OWN:two_heads", arguments: {width: 6}}
reference: {epochs: 2, loss: {kind: categorical_crossentropy, size: mse}, loss_weights: {kind: 1.0, size: 0.5},
            metrics: [acc]}
"""


def test_a_model_with_two_inputs_and_two_heads(own: str) -> None:
    result = configured(TWO.replace("OWN", own), "run.head_name=kind")
    summary = result.summary
    assert summary["target_metric"] == "kind_acc"
    assert 0 < summary["best"]["test"]["kind_acc"] <= 1
    assert set(summary["best"]["plan"]) == {"shared", "kind", "size"}
    assert result.best is not None
    assert result.best.metric == pytest.approx(summary["best"]["selection"]["kind_acc"], abs=1e-6)
    assert result.best.score == pytest.approx(result.best.metric * (1 + result.best.price.delta))


def test_the_head_of_a_regression(own: str) -> None:
    text = TWO.replace("OWN", own).replace("[acc]", "[mae]")
    result = configured(text, "run.head_name=size")
    assert result.summary["direction"] == "min"
    assert result.best is not None
    assert result.best.score == pytest.approx(-result.best.metric / (1 + result.best.price.delta))


CLASSES = """
dataset: {npz: d.npz, validation: 0.25}
model: {factory: "OWN:classifier", arguments: {doubled: true}}
reference: {epochs: 2}
"""


def test_an_architecture_and_its_weights_are_a_model(tmp_path: Path) -> None:
    model = build_model("digits")
    (tmp_path / "net.json").write_text(model.to_json(), encoding="utf-8")
    model.save_weights(tmp_path / "net.weights.h5")
    pair = f"path: {tmp_path}/net.json, weights: {tmp_path}/net.weights.h5"
    text = f"dataset: {{name: digits}}\nmodel: {{{pair}}}\nlimit: {{Dense: [8, 8, 4]}}\ngoal: {{type: bits}}\n"
    (tmp_path / "c.yaml").write_text(text, encoding="utf-8")
    read = read_experiment(load_config(tmp_path / "c.yaml")).model
    for found, expected in zip(read.get_weights(), model.get_weights(), strict=True):
        numpy.testing.assert_array_equal(found, expected)


def test_custom_layers_are_saved_and_loaded(own: str) -> None:
    result = configured(CLASSES.replace("OWN", own))
    names = [type(layer).__name__ for layer in result.load_best().layers]
    assert "Doubled" in names
    assert "QDense" in names
    path = Path("float.keras")
    sys.modules[own].classifier(doubled=True).save(path)
    text = CLASSES.replace(
        'factory: "OWN:classifier", arguments: {doubled: true}', f'path: {path}, custom_objects: ["{own}:Doubled"]'
    )
    again = configured(text, "run.output_dir=again", "reference.epochs=0")
    assert "Doubled" in [type(layer).__name__ for layer in again.load_best().layers]
    with pytest.raises(ModelError, match="is a Doubled, which is not known here"):
        configured(text.replace(f', custom_objects: ["{own}:Doubled"]', ""), "run.output_dir=third")


SPECIAL = """
dataset: {npz: d.npz, validation: 0.25}
model: {factory: "OWN:special", arguments: {form: FORM}}
reference: {epochs: 1}
"""

LOADED = """
import sys
import numpy
import OWN
import qsearch
model = qsearch.load_model("out/best/model.keras", custom_objects={"clipped": OWN.clipped, "Watched": OWN.Watched})
numpy.save("found.npy", model(numpy.load("d.npz")["x_test"].astype("float32")))
"""


def special(own: str, form: str, *overrides: str) -> RunResult:
    text = SPECIAL.replace("OWN", own).replace("FORM", form)
    return configured(text, "run.epochs=1", "run.max_trials=1", *overrides)


@pytest.mark.parametrize("form", ["activation", by_hand("layer"), by_hand("lambda"), "watched"])
def test_functions_and_models_of_the_users_own_work_in_trials(own: str, form: str) -> None:
    result = special(own, form, "final_training.epochs=1")
    module = sys.modules[own]
    assert result.summary["trials"]["completed"] == 1
    best = result.load_best()
    if form == "watched":
        assert type(best) is module.Watched
        assert list(dict.fromkeys(module.Watched.steps)) == ["Dense", "QDense"]
    elif form != "lambda":
        assert best.get_layer("first" if form == "activation" else "clip").activation is module.clipped
    x = numpy.load("d.npz")["x_test"].astype("float32")
    expected = numpy.asarray(best(x))
    assert numpy.isfinite(expected).all()
    if form == "lambda":
        return
    done = subprocess.run(
        [sys.executable, "-c", LOADED.replace("OWN", own)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    numpy.testing.assert_allclose(numpy.load("found.npy"), expected, atol=1e-6)


def test_functions_work_block_by_block(own: str) -> None:
    result = special(own, "lambda", "run.blocks=[first, out]", "run.min_trials_per_block=1", "run.max_trials=2")
    assert result.summary["trials"]["completed"] == 2
    assert [type(layer).__name__ for layer in result.load_best().layers] == ["InputLayer", "QDense", "Lambda", "QDense"]


def test_what_cannot_be_copied_is_found_before_training(own: str) -> None:
    for form, message in (
        ("two", "layers 'first' and 'clip': use two different objects called 'clipped'"),
        ("named", "layer 'first': uses a function 'relu' of its own"),
        ("nameless", "layer 'first': its activation is a lambda"),
        ("forgets", "layer 'forgets': Forgets computes something else in a copy"),
        ("sized", "of its class Sized: its __init__ takes units"),
    ):
        with pytest.raises(ModelError, match=message):
            special(own, form)
    assert not Path("out").exists()


def test_class_numbers_stay_where_the_loss_takes_them(own: str) -> None:
    text = CLASSES.replace("OWN", own).replace("{epochs: 2}", "{epochs: 2, loss: sparse_categorical_crossentropy}")
    result = configured(text)
    assert result.summary["best"]["test"]["acc"] > 0.2


@pytest.mark.parametrize("weights", ["balanced", "{0: 1.0, 1: 2, 2: 0.5}"])
def test_class_weights(own: str, weights: str) -> None:
    text = CLASSES.replace("OWN", own).replace("{epochs: 2}", f"{{epochs: 2, class_weight: {weights}}}")
    assert configured(text).best is not None


def test_an_autoencoders_loss_is_minimised(own: str) -> None:
    text = f"""
    dataset: {{npz: a.npz, validation: 0.25}}
    model: {{factory: "{own}:autoencoder"}}
    reference: {{epochs: 2, loss: mse, metrics: [loss]}}
    """
    result = configured(text, "run.max_trials=3")
    assert result.summary["target_metric"] == "loss"
    scores = {trial.to_dict()["score"] for trial in result.trials}
    assert result.best is not None
    assert result.best.score == max(scores) < 0


def test_a_metric_of_the_users_own(own: str) -> None:
    text = CLASSES.replace("OWN", own).replace(
        "{epochs: 2}", f'{{epochs: 2, metrics: [acc, "{own}:error_rate"], direction: min}}'
    )
    result = configured(text, f"run.score_metric='{own}:error_rate'")
    summary = result.summary
    assert summary["target_metric"] == "error_rate"
    assert summary["best"]["test"]["error_rate"] == pytest.approx(1 - summary["best"]["test"]["acc"], abs=1e-6)


def test_what_is_wrong_with_own_things_is_told(own: str) -> None:
    text = CLASSES.replace("OWN", own)
    refused = [
        (text.replace(":classifier", ":clasifier"), ModelError, "has no 'clasifier'; did you mean 'classifier'"),
        (text.replace(f"{own}:class", "nowhere:class"), ModelError, "nowhere cannot be imported"),
        (text.replace(':classifier", arguments: {doubled: true}', ':broken"'), ModelError, "RuntimeError: no such"),
        (text.replace(":classifier", ":data").replace(", arguments: {doubled: true}", ""), ModelError, "expected a k"),
        (text.replace("doubled: true", "widht: 3"), ModelError, "failed with TypeError"),
        (text.replace("d.npz", "e.npz"), DatasetError, r"e\.npz: no such file"),
        (text.replace("d.npz", "c.yaml"), DatasetError, "cannot be read as a .npz file"),
        (text.replace("npz: d.npz", f'factory: "{own}:nothing"'), DatasetError, "did not give"),
        (text.replace("npz: d.npz", f'factory: "{own}:data"'), DatasetError, "samples are a, b, expected in"),
        (
            text.replace("{epochs: 2}", f'{{metrics: ["{own}:error_rate"]}}'),
            ConfigError,
            "reference.direction: max, or min",
        ),
    ]
    for changed, error, message in refused:
        with pytest.raises(error, match=message):
            configured(changed)
    assert not Path("out").exists()


def test_files_of_arrays_that_do_not_belong_together(own: str, tmp_path: Path) -> None:
    x, y = numpy.zeros((10, 6)), numpy.arange(10) % 3
    cases = [
        ({"x_train": x, "y_train": y, "x_test": x}, "has no array y_test"),
        ({"x_train": x, "y_train": y[:9], "x_test": x, "y_test": y}, "needs as many samples"),
        (
            {"x_train": x, "y_train": y, "x_test": x, "y_test": y + 1},
            "test set: labels of output out are 1 to 3, its classes are 0 to 2; subtract 1",
        ),
        ({"x_train": x * numpy.nan, "y_train": y, "x_test": x, "y_test": y}, "not finite"),
        ({"x_train": x.astype(str), "y_train": y, "x_test": x, "y_test": y}, "expected arrays of numbers"),
        ({"x_train": x[:, :5], "y_train": y, "x_test": x[:, :5], "y_test": y}, r"shape \(5,\), expected \(6,\)"),
        ({"x_train": x, "y_train": numpy.eye(2)[y % 2], "x_test": x, "y_test": y}, r"labels out have shape \(2,\)"),
    ]
    for arrays, message in cases:
        numpy.savez(tmp_path / "d.npz", **arrays)
        with pytest.raises(DatasetError, match=message):
            configured(CLASSES.replace("OWN", own))


MIRRORED = """
import tensorflow as tf
devices = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(devices[0], [tf.config.LogicalDeviceConfiguration()] * 2)
import qsearch.training.devices as strategy
real = tf.distribute.MirroredStrategy
tf.distribute.MirroredStrategy = lambda: real(["/cpu:0", "/cpu:1"])
scope, words = strategy.strategy("mirrored")
print(words)
import sys
sys.path.insert(0, {folder!r})
from pathlib import Path
from tiny_run import tiny
from qsearch.runner.pipeline import run
out = Path({out!r})
result = run(tiny(out, out / "run"), ["run.distribution_strategy=mirrored", "run.max_trials=1", "run.mode=guided"])
print(result.summary["trials"]["completed"], result.summary["best"]["test"]["acc"] > 0.05)
"""


@pytest.mark.slow
def test_mirrored_on_two_devices(tmp_path: Path) -> None:
    program = MIRRORED.format(folder=str(Path(__file__).parents[1]), out=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[:2] == ["mirrored on 2 devices", "1 True"]


def test_a_tpu_that_is_not_there(own: str) -> None:
    with pytest.raises(ConfigError, match="TensorFlow sees no TPU here; use auto"):
        configured(CLASSES.replace("OWN", own), "run.distribution_strategy=tpu")
