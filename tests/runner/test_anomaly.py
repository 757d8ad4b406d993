"""Models judged by what is not their labels: anomaly detectors, trained on normal samples alone."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import numpy
import pytest
from sklearn.metrics import roc_auc_score
from slow import by_hand

from qsearch.errors import ConfigError, DatasetError
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult

MODULE = """
import keras
import numpy
from keras import layers
from sklearn.metrics import roc_auc_score

rng = numpy.random.default_rng(0)
MIXED = rng.normal(size=(6, 640))
NORMAL = (rng.normal(size=(400, 6)) @ MIXED / 3).astype("float32")
X_TEST = (rng.normal(size=(120, 6)) @ MIXED / 3).astype("float32")
ANOMALY = numpy.arange(120) % 3 == 0
X_TEST[ANOMALY] += rng.normal(size=(40, 640)).astype("float32") / 2
FILE = numpy.array([f"{anomaly}_{number % 10}" for number, anomaly in enumerate(ANOMALY)])
WEIGHTS = numpy.linspace(1, 2, 120)


def data():
    return (NORMAL, NORMAL), (X_TEST, X_TEST, None, {"anomaly": ANOMALY, "file": FILE})


def weighted():
    more = {"anomaly": numpy.arange(400) % 2}
    return (NORMAL, NORMAL, numpy.ones(400), more), (X_TEST, X_TEST, WEIGHTS, {"anomaly": ANOMALY})


def three():
    part = lambda rows: (X_TEST[rows], X_TEST[rows], None, {"anomaly": ANOMALY[rows]})
    return (NORMAL, NORMAL), part(slice(50)), part(slice(50, None))


def three_pipelines():
    import tensorflow
    of = lambda x: tensorflow.data.Dataset.from_tensor_slices((x, x)).batch(50)
    return (of(NORMAL), *three()[1:])


def short():
    return data()[0], (X_TEST, X_TEST, None, {"anomaly": ANOMALY[:-1]})


def listed():
    return data()[0], (X_TEST, X_TEST, None, [ANOMALY])


def taken():
    return data()[0], (X_TEST, X_TEST, None, {"x": ANOMALY})


def tensors():
    import tensorflow
    of = lambda x, w: tensorflow.data.Dataset.from_tensor_slices((x, x, w)).batch(50)
    return of(NORMAL, numpy.ones(400)), of(X_TEST, WEIGHTS)


def auto():
    inputs = keras.Input((640,), name="in")
    x = inputs
    for place, units in enumerate((16, 4, 16)):
        x = layers.Dense(units, use_bias=False, name=f"dense{place}")(x)
        x = layers.BatchNormalization(name=f"norm{place}")(x)
        x = layers.Activation("relu", name=f"relu{place}")(x)
    return keras.Model(inputs, layers.Dense(640, name="out")(x), name="auto")


def auc(y_true, y_pred, anomaly):
    return roc_auc_score(anomaly, ((y_true - y_pred) ** 2).mean(axis=1))


def auc_of_files(y_true, y_pred, anomaly, file, *, most=1.0, unused=None):
    errors = ((y_true - y_pred) ** 2).mean(axis=1)
    means = [(anomaly[file == name][0], errors[file == name].mean()) for name in numpy.unique(file)]
    return roc_auc_score(*zip(*means), max_fpr=most)


class Auc:
    def __init__(self, power=2):
        self.power = power

    def __call__(self, y_true, y_pred, anomaly):
        return roc_auc_score(anomaly, (abs(y_true - y_pred) ** self.power).mean(axis=1))


def weighted_error(y_true, y_pred, x, sample_weight):
    return (((x - y_pred) ** 2).mean(axis=1) * sample_weight).mean()
"""

CONFIG = """
dataset: {DATA}
model: {factory: "anomaly_data:auto"}
reference: {epochs: 8, loss: mse, direction: max, batch_size: 32, metrics: [METRICS],
            optimizer: {name: adam, learning_rate: 0.01}}
limit: {Dense: [8, 8, 8], BatchNormalization: [], Activation: [8]}
goal: {type: bits}
run: {output_dir: out, max_trials: 1, epochs: 4, batch_size: 32, prune: false, transfer_weights: true}
"""
AUC = '{whole_set: "anomaly_data:auc"}'


@pytest.fixture(autouse=True)
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "anomaly_data.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "anomaly_data", raising=False)


def searched(data: str = 'factory: "anomaly_data:data"', metrics: str = AUC, *overrides: str) -> RunResult:
    Path("c.yaml").write_text(dedent(CONFIG).replace("DATA", data).replace("METRICS", metrics), encoding="utf-8")
    return run("c.yaml", list(overrides))


def errors_of(result: RunResult) -> Any:
    from anomaly_data import X_TEST

    return ((X_TEST - result.load_best().predict(X_TEST, verbose=0)) ** 2).mean(axis=1)


def test_a_detector_is_judged_by_labels_of_its_own() -> None:
    others = ['{whole_set: "anomaly_data:auc_of_files", most: 0.5}', '{whole_set: "anomaly_data:Auc", power: 1}', "mse"]
    result = searched(metrics=", ".join([AUC, *others]))
    from anomaly_data import ANOMALY, FILE

    errors, best = errors_of(result), result.summary["best"]
    assert result.summary["target_metric"] == "auc"
    assert best["test"]["auc"] == best["selection"]["auc"] == pytest.approx(roc_auc_score(ANOMALY, errors), abs=1e-3)
    assert best["test"]["auc"] > 0.7
    files = numpy.unique(FILE)
    means = [errors[file == FILE].mean() for file in files]
    expected = roc_auc_score([file.startswith("True") for file in files], means, max_fpr=0.5)
    assert best["test"]["auc_of_files"] == pytest.approx(expected, abs=1e-3)
    assert best["test"]["mse"] == pytest.approx(best["test"]["loss"], rel=1e-5)


@pytest.mark.slow
def test_a_file_holds_the_labels_by_name() -> None:
    import_data = searched()
    import anomaly_data as given

    arrays = {"x_train": given.NORMAL, "y_train": given.NORMAL, "x_test": given.X_TEST, "y_test": given.X_TEST}
    numpy.savez("d.npz", **arrays, anomaly_test=given.ANOMALY, remarks=numpy.array(["by", "hand"]))
    assert searched("npz: d.npz").summary["best"]["test"] == import_data.summary["best"]["test"]
    numpy.savez("d.npz", **arrays)
    with pytest.raises(
        ConfigError, match=r"asks for 'anomaly', which the test set of d\.npz does not have; it has: x;"
    ):
        searched("npz: d.npz")


@pytest.mark.slow
def test_labels_of_the_training_set_are_held_out_with_it() -> None:
    result = searched('factory: "anomaly_data:weighted", validation: 0.25')
    from anomaly_data import ANOMALY

    best = result.summary["best"]
    assert best["test"]["auc"] == pytest.approx(roc_auc_score(ANOMALY, errors_of(result)), abs=1e-3)
    assert 0.2 < best["selection"]["auc"] < 0.8


@pytest.mark.slow
@pytest.mark.parametrize("data", ["three", "three_pipelines"])
def test_the_set_to_select_on_is_given(data: str) -> None:
    result = searched(f'factory: "anomaly_data:{data}", validation: given, train_samples: 300')
    from anomaly_data import ANOMALY

    errors, best = errors_of(result), result.summary["best"]
    for part, rows in (("selection", slice(50)), ("test", slice(50, None))):
        assert best[part]["auc"] == pytest.approx(roc_auc_score(ANOMALY[rows], errors[rows]), abs=2e-3)
    assert [result.summary[f"{name}_samples"] for name in ("train", "selection", "test")] == [300, 50, 70]
    report = (result.run_directory / "report.md").read_text(encoding="utf-8")
    assert "selected on a set of its own; the test set was used once, at the end" in report


@pytest.mark.slow
def test_a_file_holds_the_set_to_select_on() -> None:
    best = searched('factory: "anomaly_data:three", validation: given').summary["best"]
    from anomaly_data import three

    arrays = {}
    for name, (x, _, *more) in zip(("train", "validation", "test"), three(), strict=True):
        arrays |= {f"x_{name}": x, f"y_{name}": x}
        if more:
            arrays[f"anomaly_{name}"] = more[1]["anomaly"]
    numpy.savez("d.npz", **arrays)
    assert searched("npz: d.npz, validation: given").summary["best"] == best
    del arrays["x_validation"]
    numpy.savez("d.npz", **arrays)
    with pytest.raises(DatasetError, match=r"d\.npz: has no array x_validation"):
        searched("npz: d.npz, validation: given")


@pytest.mark.parametrize("data", ["weighted", by_hand("tensors")])
def test_metrics_ask_for_inputs_and_weights(data: str) -> None:
    metrics = '{whole_set: "anomaly_data:weighted_error"}'
    result = searched(f'factory: "anomaly_data:{data}"', metrics, "reference.direction=min", "reference.epochs=1")
    from anomaly_data import WEIGHTS

    expected = (errors_of(result) * WEIGHTS).mean()
    assert result.summary["best"]["test"]["weighted_error"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("data, validation: 0.1", r"asks for 'anomaly', which the set to select on of .* it has: x;"),
        ("tensors", r"asks for 'anomaly', which the test set of .* has: x, sample_weight; give anomaly_train and anom"),
        ("three", r"did not give .* but 3 things: .*; for three sets take dataset\.validation: given"),
        ("data, validation: given", r"did not give \(training, validation, test\), each .* but 2 things"),
        ("short", r"test set: needs as many samples in every array, .* found x 120, anomaly 119"),
        ("listed", r"test set: after x, y and sample_weight comes a list, expected a dictionary of arrays"),
        ("taken", r"an array for metrics is called 'x', which is taken"),
    ],
)
def test_what_is_missing_is_told_before_training(data: str, message: str) -> None:
    name, _, rest = data.partition(",")
    with pytest.raises((ConfigError, DatasetError), match=message):
        searched(f'factory: "anomaly_data:{name}"' + (f",{rest}" if rest else ""))
    assert not Path("out").exists()
