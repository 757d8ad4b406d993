"""Losses and metrics as Keras objects: on logits, class numbers, positions, and on all predictions at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, fbeta_score, jaccard_score, precision_score, r2_score, roc_auc_score

from qsearch.config.chosen import Chosen
from qsearch.errors import ConfigError
from qsearch.training.losses import Output, made_loss, made_metric
from qsearch.training.objective import Objective

SPARSE = Chosen("sparse_categorical_crossentropy", {"from_logits": True})
BINARY = Chosen("binary_crossentropy", {"from_logits": True})


def evaluated(loss: Chosen, metrics: tuple[Chosen, ...], labels: Any, outputs: Any) -> dict[str, float]:
    """What a model reports whose outputs are its inputs."""
    shape = outputs.shape[1:]
    model = keras.Sequential([keras.Input(shape), keras.layers.Identity()])
    model.compile(**Objective(loss=loss, metrics=metrics, output=Output(loss, shape)).compiled())
    found = model.evaluate(outputs, labels, batch_size=7, verbose=0, return_dict=True)
    return {name: float(value) for name, value in found.items()}


@pytest.fixture
def random() -> numpy.random.Generator:
    return numpy.random.default_rng(0)


def softmax(x: NDArray[Any]) -> NDArray[Any]:
    return numpy.asarray(numpy.exp(x) / numpy.exp(x).sum(axis=-1, keepdims=True))


def test_metrics_of_logits_and_class_numbers(random: numpy.random.Generator) -> None:
    logits, labels = random.normal(size=(50, 3)).astype("float32"), random.integers(0, 3, 50)
    names = ("f1_score", "acc", "precision", "sparse_categorical_crossentropy", "auc")
    metrics = (*map(Chosen, names), Chosen("f1_score", {"average": "weighted"}))
    found = evaluated(SPARSE, metrics, labels, logits)
    hits, hot = logits.argmax(axis=1), numpy.eye(3)[labels]
    assert found["f1_score"] == pytest.approx(f1_score(labels, hits, average="macro"), abs=1e-5)
    assert found["f1_score_2"] == pytest.approx(f1_score(labels, hits, average="weighted"), abs=1e-5)
    assert found["acc"] == pytest.approx((hits == labels).mean())
    assert found["precision"] == pytest.approx(precision_score(hot.ravel(), (softmax(logits) > 0.5).ravel()), abs=1e-5)
    assert found["sparse_categorical_crossentropy"] == pytest.approx(found["loss"], rel=1e-5)
    assert found["auc"] == pytest.approx(roc_auc_score(hot.ravel(), softmax(logits).ravel()), abs=0.01)


ALIKE = (
    "acc", "auc", "precision", "recall", "f1_score", "binary_accuracy", "categorical_accuracy", "mse", "mae", "hinge",
    "sparse_categorical_accuracy", "sparse_categorical_crossentropy", "categorical_crossentropy", "kl_divergence",
    "poisson", "cosine_similarity", "pearson_correlation", "r2_score", "mean_iou", "one_hot_mean_iou",
)  # fmt: skip
OPTIONS = (
    Chosen("iou", {"target_class_ids": [1]}),
    Chosen("one_hot_iou", {"target_class_ids": [1]}),
    Chosen("sparse_top_k_categorical_accuracy", {"k": 2}),
    Chosen("top_k_categorical_accuracy", {"k": 2}),
)


@pytest.mark.parametrize("places", [(), (4,)])
def test_metrics_are_the_same_of_class_numbers_and_one_hot_labels(
    random: numpy.random.Generator, places: tuple[int, ...]
) -> None:
    outputs = softmax(random.normal(size=(40, *places, 3)).astype("float32"))
    labels = random.integers(0, 3, (40, *places))
    metrics = (*map(Chosen, ALIKE), *OPTIONS)
    sparse = evaluated(Chosen("sparse_categorical_crossentropy"), metrics, labels, outputs)
    hot = evaluated(Chosen("categorical_crossentropy"), metrics, numpy.eye(3, dtype="float32")[labels], outputs)
    assert sparse == pytest.approx(hot, abs=1e-5)
    hits, whole = outputs.argmax(axis=-1).ravel(), numpy.eye(3)[labels]
    jaccard = jaccard_score(labels.ravel(), hits, average=None)
    second = (numpy.argsort(outputs, axis=-1)[..., 1:] == labels[..., None]).any(axis=-1).mean()
    wanted = {
        "mean_iou": jaccard.mean(),
        "iou": jaccard[1],
        "acc": (hits == labels.ravel()).mean(),
        "sparse_categorical_accuracy": (hits == labels.ravel()).mean(),
        "top_k_categorical_accuracy": second,
        "sparse_top_k_categorical_accuracy": second,
        "mse": ((outputs - whole) ** 2).mean(),
        "r2_score": r2_score(whole.reshape(-1, 3), outputs.reshape(-1, 3)),
        "kl_divergence": sparse["categorical_crossentropy"],
    }
    assert {name: sparse[name] for name in wanted} == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("loss", [BINARY, Chosen("binary_crossentropy")])
def test_metrics_of_one_unit(random: numpy.random.Generator, loss: Chosen) -> None:
    logits, labels = random.normal(size=(60, 1)).astype("float32"), random.integers(0, 2, (60, 1))
    outputs = logits if loss is BINARY else 1 / (1 + numpy.exp(-logits))
    found = evaluated(loss, (Chosen("f1_score"), Chosen("acc"), Chosen("precision")), labels, outputs)
    assert found["f1_score"] == pytest.approx(f1_score(labels, logits > 0), abs=1e-5)
    assert found["acc"] == pytest.approx(((logits > 0) == labels).mean())
    assert found["precision"] == pytest.approx(precision_score(labels, logits > 0), abs=1e-5)


@pytest.mark.parametrize("least", [-1, 0])
def test_metrics_of_signs(random: numpy.random.Generator, least: int) -> None:
    outputs, hits = random.normal(size=(60, 1)).astype("float32"), random.integers(0, 2, (60, 1))
    labels = numpy.where(hits, 1, least)
    found = evaluated(
        Chosen("hinge"), tuple(map(Chosen, ("acc", "f1_score", "precision", "auc", "hinge"))), labels, outputs
    )
    assert found["acc"] == pytest.approx(((outputs > 0) == hits).mean())
    assert found["f1_score"] == pytest.approx(f1_score(hits, outputs > 0), abs=1e-5)
    assert found["precision"] == pytest.approx(precision_score(hits, outputs > 0), abs=1e-5)
    assert found["auc"] == pytest.approx(roc_auc_score(hits, outputs), abs=0.02)
    assert found["hinge"] == pytest.approx(numpy.maximum(0, 1 - (2 * hits - 1) * outputs).mean(), rel=1e-5)


@pytest.mark.parametrize("shape", [(8, 4, 4), (8, 4, 4, 1)])
def test_f1_of_class_numbers_per_pixel(random: numpy.random.Generator, shape: tuple[int, ...]) -> None:
    outputs, labels = softmax(random.normal(size=(8, 4, 4, 3))).astype("float32"), random.integers(0, 3, shape)
    found = evaluated(Chosen("sparse_categorical_crossentropy"), (Chosen("f1_score"),), labels, outputs)
    expected = f1_score(labels.ravel(), outputs.argmax(axis=-1).ravel(), average="macro")
    assert found["f1_score"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
def test_f1_takes_the_first_of_outputs_that_tie(loss: str, random: numpy.random.Generator) -> None:
    outputs = random.integers(0, 3, (200, 4)).astype("float32") / 2
    labels = random.integers(0, 4, 200)
    given = labels if loss.startswith("sparse") else numpy.eye(4)[labels]
    metrics = (Chosen("f1_score"), Chosen("fbeta_score", {"average": "weighted", "beta": 2.0}))
    found = evaluated(Chosen(loss), metrics, given, outputs)
    hits = outputs.argmax(axis=1)
    assert found["f1_score"] == pytest.approx(f1_score(labels, hits, average="macro"), abs=1e-5)
    assert found["fbeta_score"] == pytest.approx(fbeta_score(labels, hits, beta=2, average="weighted"), abs=1e-5)


@pytest.mark.parametrize("shape", [(40,), (8, 4, 4), (8, 4, 4, 1)])
def test_a_class_that_the_loss_leaves_out(random: numpy.random.Generator, shape: tuple[int, ...]) -> None:
    places = shape[:3]
    logits, labels = random.normal(size=(*places, 3)).astype("float32"), random.integers(0, 3, shape)
    labels[random.random(shape) < 0.3] = 255
    options = {"from_logits": True, "ignore_class": 255}
    names = ("f1_score", "precision", "acc", "sparse_categorical_crossentropy")
    metrics = (*map(Chosen, names), Chosen("mean_iou", {"num_classes": 3, "sparse_y_pred": False}))
    found = evaluated(Chosen("sparse_categorical_crossentropy", options), metrics, labels, logits)
    truth, hits, counts = labels.ravel(), logits.argmax(axis=-1).ravel(), labels.ravel() != 255
    assert found["f1_score"] == pytest.approx(f1_score(truth[counts], hits[counts], average="macro"), abs=1e-5)
    hot, sure = numpy.eye(3)[truth[counts]], softmax(logits).reshape(-1, 3)[counts] > 0.5
    assert found["precision"] == pytest.approx(precision_score(hot.ravel(), sure.ravel()), abs=1e-5)
    # as in Keras, whose accuracy knows of no such class
    assert found["acc"] == pytest.approx((hits == truth).mean(), abs=1e-5)
    iou = jaccard_score(truth[counts], hits[counts], average="macro")
    assert found["mean_iou"] == pytest.approx(iou, abs=1e-5)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        (Chosen("cosine_similarity", {"axis": 7}), "axis: found 7, the output has 2 axes, samples included: -2 to 1"),
        (Chosen("r2_score", {"num_regressors": 2}), "num_regressors: Keras cannot compute it in training; leave it o"),
        (Chosen("auc", {"multi_label": True, "num_labels": 5}), "num_labels: found 5, the output has 3 units"),
        (Chosen("auc", {"multi_label": True, "label_weights": [1]}), "label_weights: found 1, the output has 3 units"),
        (Chosen("fbeta_score", {"beta": -1}), "fbeta_score cannot be made with these options: "),
    ],
)
def test_options_that_an_output_cannot_have(metric: Chosen, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        made_metric(metric, Output(Chosen("categorical_crossentropy"), (3,)), metric.name)
    assert message in str(caught.value)


def test_whole_numbers_for_f_scores(random: numpy.random.Generator) -> None:
    outputs, labels = softmax(random.normal(size=(40, 3)).astype("float32")), random.integers(0, 3, 40)
    loss = Chosen("sparse_categorical_crossentropy")
    whole, real = (
        evaluated(loss, (Chosen("fbeta_score", {"beta": beta}),), labels, outputs)["fbeta_score"] for beta in (2, 2.0)
    )
    metric = keras.metrics.FBetaScore(average="macro", beta=2.0)
    metric.update_state(numpy.eye(3)[labels], outputs)
    assert whole == real == pytest.approx(float(metric.result()), abs=1e-6)


def test_smoothing_of_class_numbers(random: numpy.random.Generator) -> None:
    logits, labels = random.normal(size=(20, 3)).astype("float32"), random.integers(0, 3, 20)
    loss = made_loss(Chosen("sparse_categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.1}))
    expected = made_loss(Chosen("categorical_crossentropy", {"from_logits": True, "label_smoothing": 0.1}))
    for given in (labels, labels[:, None]):
        assert float(loss(given, logits)) == pytest.approx(float(expected(numpy.eye(3)[labels], logits)), rel=1e-5)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert float(again(labels, logits)) == pytest.approx(float(loss(labels, logits)))


def test_an_adapted_metric_is_saved() -> None:
    made = made_metric(Chosen("f1_score"), Output(SPARSE, (3,)), "f1_score")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(made))
    assert again.get_config() == made.get_config()
    assert again.ignored is None


def test_names_without_options_stay_keras_own() -> None:
    output = Output(Chosen("categorical_crossentropy"), (3,))
    for name in ("acc", "mse", "auc", "precision", "categorical_crossentropy"):
        assert made_metric(Chosen(name), output, name) == name
    assert made_loss(Chosen("mse")) == "mse"


MODULE = """
import keras


class Scaled(keras.losses.Loss):
    def __init__(self, factor=1.0, name="scaled"):
        super().__init__(name=name)
        self.factor = factor

    def call(self, y_true, y_pred):
        return self.factor * keras.ops.mean((y_true - y_pred) ** 2, axis=-1)


class CountedRows(keras.metrics.Sum):
    def __init__(self, name=None):
        super().__init__(name=name)

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(keras.ops.ones(keras.ops.shape(y_pred)[:1]))


def above(y_true, y_pred, limit=0.5):
    return keras.ops.mean(keras.ops.cast(y_pred > limit, "float32"), axis=-1)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_objective.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("own_objective", None)
    return "own_objective"


def test_own_classes_and_functions_take_options(own: str, random: numpy.random.Generator) -> None:
    outputs, labels = random.random((20, 3)).astype("float32"), random.random((20, 3))
    loss = Chosen(f"{own}:Scaled", {"factor": 3.0})
    metrics = (Chosen("mse"), Chosen(f"{own}:above", {"limit": 0.9}), Chosen(f"{own}:CountedRows"))
    for _ in range(2):  # Keras would number the second object of a class
        found = evaluated(loss, metrics, labels, outputs)
        assert found["loss"] == pytest.approx(3 * found["mse"], rel=1e-5)
        assert found["above"] == pytest.approx((outputs > 0.9).mean(), abs=1e-6)
        assert found["counted_rows"] == 20
    with pytest.raises(ConfigError, match="has no option 'facter', allowed: factor; did you mean 'factor'"):
        made_loss(Chosen(f"{own}:Scaled", {"facter": 3.0}))
    with pytest.raises(ConfigError, match="has no option 'limt', allowed: limit; did you mean 'limit'"):
        made_metric(Chosen(f"{own}:above", {"limt": 3.0}), Output(loss, (3,)), "above")
    with pytest.raises(ConfigError, match="recall cannot be made with these options: "):
        made_metric(Chosen("recall", {"thresholds": [2.0]}), Output(loss, (3,)), "recall")


def test_directions() -> None:
    def target(metric: str, loss: str = "mse", direction: str | None = None) -> Any:
        chosen = Chosen(loss)
        objective = Objective(loss=chosen, metrics=(Chosen(metric),), output=Output(chosen, (3,)), direction=direction)
        return objective.target({objective.names[0]: 0.5, "loss": 1.0})

    assert target("f1_score").maximize and target("f1_score").limit == 1.0
    assert target("keras.metrics:F1Score").maximize and target("keras.metrics:F1Score").name == "val_f1_score"
    assert not target("false_positives").maximize
    assert target("true_positives").limit is None
    assert target("loss").limit == 0.0
    assert target("loss", "poisson").limit is None
