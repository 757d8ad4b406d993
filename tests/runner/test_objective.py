"""Runs with losses, metrics, schedules and augmentation of the user's choice; what is refused before training."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import keras
import numpy
import pytest
from slow import by_hand

from qsearch.config import load_config
from qsearch.config.chosen import Chosen
from qsearch.errors import ConfigError, DatasetError, SearchError
from qsearch.graph.from_keras import read_model
from qsearch.runner.pipeline import run
from qsearch.runner.probabilities import disagreement
from qsearch.runner.run_result import RunResult

MODULE = """
import keras
import numpy
from keras import layers

calls = []


def data(classes=3):
    rng = numpy.random.default_rng(0)
    x = rng.normal(size=(160, 8, 8, 1)).astype("float32")
    y = numpy.abs(x[:, :4].sum(axis=(1, 2, 3)) * 2).astype(int) % classes
    return (x[:120], y[:120]), (x[120:], y[120:])


def two():
    (x, y), (x_test, y_test) = data()
    labels = lambda y: {"name": y, "size": y[:, None] / 3}
    return (x, labels(y)), (x_test, labels(y_test))


def net(activation="softmax", augment=False, heads=False):
    inputs = keras.Input((8, 8, 1), name="in")
    x = inputs
    if augment:
        x = layers.RandomFlip("horizontal", seed=1, name="flip")(x)
        x = layers.RandomTranslation(0.3, 0.3, seed=1, name="move")(x)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    x = layers.Flatten(name="flat")(x)
    out = layers.Dense(3, activation=activation, name="name" if heads else "out")(x)
    outputs = {"name": out, "size": layers.Dense(1, name="size")(x)} if heads else out
    return keras.Model(inputs, outputs, name="net")


def f1(y_true, y_pred):
    calls.append(len(y_true))
    hits, truth = y_pred.argmax(axis=1)[:, None] == numpy.arange(3), y_true.reshape(-1, 1) == numpy.arange(3)
    return float(numpy.mean(2 * (hits & truth).sum(axis=0) / numpy.maximum(1, hits.sum(axis=0) + truth.sum(axis=0))))


def per_class(y_true, y_pred):
    return y_pred.mean(axis=0)


def noisy(x, random_state=None):
    calls.append(len(x))
    return x + 0.1


def wrong(x, y):
    return x


def raising(y_true, y_pred):
    return {}["no such thing"]


def not_finite(y_true, y_pred):
    return float("nan")


class Kind:
    pass


def narrower(x): return x[:, :5]
def fewer(x): return x[:3]
def nothing_back(x): x += 100
def texts(x): return x.astype(str)
def holes(x): return x * numpy.nan
def other_classes(x, y): return x, y + 3
def three_things(x, y, random): return x, y, y
def too_many(x, y, random, more): return x, y
def failing(x, y): raise KeyError("no such thing")


def tired(x, y):
    calls.append(0)
    if len(calls) > 2:
        raise ValueError("no more")
    return x, y


def drawn(x, y, random):
    calls.append(len(x))
    return x + random.normal(0, 0.1, x.shape), y


def tensors(batch=30):
    import tensorflow
    return tuple(tensorflow.data.Dataset.from_tensor_slices(part).batch(batch) for part in data())


class Batches(keras.utils.PyDataset):
    def __init__(self, part):
        super().__init__()
        self.part = part

    def __len__(self):
        return len(self.part[0]) // 30 or 1

    def __getitem__(self, index):
        return tuple(each[30 * index : 30 * index + 30] for each in self.part)


def sequences(): return tuple(Batches(part) for part in data())
def generators():
    def batches(part):
        return lambda: (Batches(part)[index] for index in range(len(Batches(part))))
    return tuple(batches(part) for part in data())
"""

BASE = """
dataset: {factory: "OWN:data", validation: 0.25}
model: {factory: "OWN:net"}
reference: {epochs: 2, loss: sparse_categorical_crossentropy, batch_size: 30}
limit: {Dense: [8, 8, 4], Conv2D: [8, 8, 4]}
goal: {type: bits}
run: {output_dir: out, max_trials: 1, epochs: 2, prune: false}
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    name = f"objective_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    return name


def ran(own: str, *overrides: str) -> RunResult:
    Path("c.yaml").write_text(dedent(BASE).replace("OWN", own), encoding="utf-8")
    return run("c.yaml", [text.replace("OWN", own) for text in overrides])


def test_f1_is_the_target_of_class_numbers_and_logits(own: str) -> None:
    result = ran(
        own,
        'reference.metrics=[f1_score, acc, {whole_set: "OWN:f1"}]',
        "reference.loss={name: sparse_categorical_crossentropy, from_logits: true, label_smoothing: 0.1}",
        "model.arguments={activation: null}",
        "reference.learning_rate_schedule={name: cosine, warmup_epochs: 1}",
        "run.learning_rate_schedule={name: exponential, decay_rate: 0.5}",
        "final_training={epochs: 2, learning_rate_schedule: {name: reduce_on_plateau, patience: 1}}",
    )
    summary = result.summary
    assert summary["target_metric"] == "f1_score"
    for found in (summary["best"]["test"], summary["best"]["selection"]):
        assert found["f1_score"] == pytest.approx(found["f1"], abs=1e-5)
    assert set(sys.modules[own].calls) == {30, 40}
    assert load_config(result.run_directory / "config.yaml").config.reference.metrics[0] == Chosen("f1_score")


def test_the_whole_set_is_the_target(own: str) -> None:
    result = ran(own, 'reference.metrics=[{whole_set: "OWN:f1"}]', "reference.direction=max", "run.max_trials=2")
    assert result.summary["target_metric"] == "f1"
    assert result.best is not None
    assert result.best.metric == pytest.approx(result.summary["best"]["selection"]["f1"], abs=1e-6)


def test_a_head_called_name(own: str) -> None:
    result = ran(
        own,
        "dataset.factory=OWN:two",
        "model.arguments={heads: true, activation: null}",
        "reference.loss={name: {name: sparse_categorical_crossentropy, from_logits: true}, size: mse}",
        'reference.metrics=[{whole_set: "OWN:f1"}, f1_score]',
        "reference.direction=max",
        "run.head_name=name",
    )
    assert result.summary["target_metric"] == "name_f1"
    found = result.summary["best"]["test"]
    assert found["name_f1"] == pytest.approx(found["name_f1_score"], abs=1e-5)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["reference.metrics=[keras.metrics:Precision]", "reference.metrics=[keras.metrics:F1Score]",
          "reference.loss=categorical_crossentropy"],
         r"reference\.metrics: f1_score gives 3 values, one per class .*average: macro"),
        (["reference.metrics=[{name: precision, thresholds: [0.1, 0.2]}]"], "precision gives 2 values"),
        (["reference.metrics=[{name: recall, thresholds: 2.0}]"], r"\[0\]\.thresholds: found 2\.0, expected a"),
        (['reference.metrics=[{whole_set: "OWN:per_class"}]', "reference.direction=max"], "expected one number"),
        (['reference.metrics=[{whole_set: "OWN:data"}]', "reference.direction=max"], "data fails on all"),
        (['reference.metrics=[{whole_set: "OWN:raising"}]', "reference.direction=max"],
         r"raising fails on all labels \(30,\) and predictions \(30, 3\): KeyError: 'no such thing' \(.*:\d+\)"),
        (['reference.metrics=["OWN:calls"]', "reference.direction=max"], "found a list, expected a class or a func"),
        (["reference.metrics=[{name: mean_iou, num_classes: 2}]"], r"num_classes: found 2, the output has 3 classes"),
        (["reference.metrics=[{name: precision, class_id: 3}]"], "class_id: found 3, the output has 3 classes"),
        (["reference.metrics=[top_k_categorical_accuracy]"], "the first 5 of 3 classes always hold the right one; "),
        (["reference.class_weight={3: 1.0}"], r"reference\.class_weight: there is no class 3: output out has the"),
        (["reference.class_weight={0: 0, 1: 0, 2: 0}"], "every class has the weight 0, so that no sample counts"),
        (['reference.metrics=[{whole_set: "OWN:f1"}]'], "write reference.direction: max, or min"),
        (["model.arguments={activation: null}"], r"reference\.loss: sparse_categorical_crossentropy takes "
         r"probabilities, and output 'out' is none: .*\{name: sparse_categorical_crossentropy, from_logits: true\}"),
        (["model.arguments={activation: relu}"], "output 'out' is none"),
        (["reference.loss={name: sparse_categorical_crossentropy, from_logits: true}"],
         "output 'out' has probabilities, it ends in softmax; leave out from_logits"),
        (['dataset.augment="OWN:nothing"'], r"dataset\.augment: .* has no 'nothing'"),
        (['dataset.augment="OWN:calls"'], r"dataset\.augment: .*: found a list, expected a function of a batch"),
        (['dataset.augment="OWN:Kind"'], "found the class Kind, expected a function of a batch"),
    ],
)  # fmt: skip
def test_what_is_refused_before_training(own: str, overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ran(own, *overrides)
    assert not Path("out").exists()


def test_augmentation_as_layers_works_in_training_only(own: str) -> None:
    result = ran(own, "model.arguments={augment: true}")
    best = result.load_best()
    assert [layer.name for layer in best.layers[1:3]] == ["flip", "move"]
    x = numpy.random.default_rng(1).normal(size=(4, 8, 8, 1)).astype("float32")
    numpy.testing.assert_array_equal(best.predict(x, verbose=0), best.predict(x, verbose=0))
    assert not numpy.allclose(best(x, training=True), best(x, training=False))


def test_augmentation_of_the_data_section(own: str) -> None:
    augment = ["dataset.augment=[{flip: horizontal, crop: 2}, OWN:noisy]"]
    kinds = enumerate([[*augment, "reference.batch_size=31"], [*augment, "reference.batch_size=31"], []])
    first, again, plain = [ran(own, f"run.output_dir=run{number}", *more) for number, more in kinds]
    assert first.best is not None and again.best is not None
    assert first.best.metric == again.best.metric
    assert first.summary["best"]["test"] == again.summary["best"]["test"] != plain.summary["best"]["test"]
    assert set(sys.modules[own].calls) == {31, 28, 32, 26}  # batches of 90 training samples, not the other 30 and 40
    with pytest.raises(DatasetError, match=r"dataset\.augment: .*:wrong did not give \(x, y\) for a batch"):
        ran(own, "dataset.augment=OWN:wrong")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("narrower", r"narrower: a batch: in: samples have shape \(5, 8, 1\), expected \(8, 8, 1\)"),
        ("fewer", "found x 3, y 30"),
        ("nothing_back", "did not give x for a batch, but None; does it return what it made"),
        ("texts", "a batch: x: is <U32 .* expected arrays of numbers"),
        ("holes", "a batch: x: not finite"),
        ("other_classes", "a batch: labels of output out are 3 to 5, its classes are 0 to 2"),
        ("three_things", r"did not give \(x, y\) for a batch, but 3 things"),
        ("too_many", r"did not give \(x, y\) for a batch \(TypeError: too_many\(\) missing 1 required"),
        ("failing", r"\(KeyError: 'no such thing' \(.*\.py:\d+\)\)"),
    ],
)
@pytest.mark.parametrize("data", ["data", "tensors"])
def test_augmentation_that_does_not_fit_is_told_before_training(
    own: str, data: str, function: str, message: str
) -> None:
    with pytest.raises(DatasetError, match=rf"dataset\.augment: OWN:{function}".replace("OWN", own)) as caught:
        ran(own, f"dataset.augment=OWN:{function}", f"dataset.factory=OWN:{data}", "dataset.validation=test")
    assert re.search(message, str(caught.value))
    assert not Path("out").exists()


@pytest.mark.parametrize("data", ["data", "tensors", "sequences", "generators"])
def test_augmentation_that_fails_later(own: str, data: str) -> None:
    with pytest.raises(DatasetError, match=r"dataset\.augment: .*:tired did not give .* \(ValueError: no more"):
        ran(own, "dataset.augment=OWN:tired", f"dataset.factory=OWN:{data}", "dataset.validation=test")


@pytest.mark.parametrize("data", ["tensors", by_hand("sequences"), by_hand("generators")])
def test_augmentation_of_pipelines(own: str, data: str) -> None:
    options = ["dataset.augment=[{crop: 1}, OWN:drawn]", f"dataset.factory=OWN:{data}", "dataset.validation=test"]
    first, again, plain = (
        ran(own, f"run.output_dir=run{number}", *more) for number, more in enumerate([options, options, options[1:]])
    )
    assert first.summary["best"]["test"] == again.summary["best"]["test"] != plain.summary["best"]["test"]
    assert set(sys.modules[own].calls) == {30}


def test_a_reference_that_diverges(own: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(
        SearchError, match=r"no epoch of 2 had a finite val_not_finite \(val_loss was .*; look at the labels"
    ):
        ran(own, 'reference.metrics=[{whole_set: "OWN:not_finite"}]', "reference.direction=max")
    with pytest.raises(SearchError, match=r"val_loss .*; lower reference.optimizer.learning_rate \(1e\+30\), give"):
        ran(own, "reference.optimizer={name: sgd, learning_rate: 1.0e+30}", "run.overwrite=true")
    assert capfd.readouterr().out == ""  # Keras' TerminateOnNaN prints


SPARSE, BINARY = "sparse_categorical_crossentropy", "binary_crossentropy"
layers = keras.layers


def by_hand(x: Any) -> Any:
    powers = keras.ops.exp(x)
    return powers / keras.ops.sum(powers, axis=-1, keepdims=True)


keras.utils.set_random_seed(0)  # initializers draw their seeds when layers are made
ENDS: list[tuple[str, list[Any], str, bool]] = [
    ("softmax", [layers.Dense(3, activation="softmax")], SPARSE, True),
    ("a layer", [layers.Dense(3), layers.Softmax()], SPARSE, True),
    ("an activation", [layers.Dense(3), layers.Activation("softmax")], SPARSE, True),
    ("a lambda", [layers.Dense(3), layers.Lambda(lambda x: keras.ops.softmax(x))], SPARSE, True),
    ("by hand", [layers.Dense(3), layers.Lambda(by_hand)], SPARSE, True),
    ("sigmoids", [layers.Dense(3, activation="sigmoid")], SPARSE, True),
    ("a reshaped sigmoid", [layers.Dense(4, activation="sigmoid"), layers.Reshape((2, 2))], BINARY, True),
    ("hard sigmoid", [layers.Dense(1, activation="hard_sigmoid")], BINARY, True),
    ("a mixture", [layers.Dense(4, activation="softmax"),
                   layers.Dense(3, use_bias=False, kernel_constraint="non_neg", kernel_initializer="ones")],
     BINARY, True),
    ("linear", [layers.Dense(3)], SPARSE, False),
    ("a reshaped line", [layers.Dense(4), layers.Reshape((2, 2))], BINARY, False),
    ("zeros", [layers.Dense(1, kernel_initializer="zeros")], BINARY, False),
    ("relu", [layers.Dense(3, activation="relu")], SPARSE, False),
    ("tanh", [layers.Dense(1, activation="tanh")], BINARY, False),
]  # fmt: skip


@pytest.mark.parametrize(("end", "loss", "probabilities"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_probabilities_are_told_from_other_numbers(end: list[Any], loss: str, probabilities: bool) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu"), *end])
    graph, x = read_model(model), numpy.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    head = model.layers[-1].name
    assert bool(disagreement(model, graph, {head: Chosen(loss)}, x)) is not probabilities
    with_logits = disagreement(model, graph, {head: Chosen(loss, {"from_logits": True})}, x)
    certain = head in with_logits
    assert not certain or probabilities
    if model.output_shape[-1] == 3 and probabilities and loss == SPARSE and "sigmoid" not in str(end[0].get_config()):
        assert certain
    assert disagreement(model, graph, {head: Chosen("mse")}, x) == {}


@pytest.mark.filterwarnings("ignore:.*softmax over axis -1")
@pytest.mark.parametrize("options", [{}, {"from_logits": True}])
def test_a_softmax_of_one_unit_is_no_answer(options: dict[str, Any]) -> None:
    model = keras.Sequential([keras.Input((6,)), layers.Dense(1, activation="softmax", name="out")])
    x = numpy.ones((4, 6), "float32")
    found = disagreement(model, read_model(model), {"out": Chosen(BINARY, options)}, x)
    assert "'out' ends in a softmax of one unit, which is always 1; end the model in a sigmoid" in found["out"]
