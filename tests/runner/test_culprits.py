"""A loss or a metric that fails on the data is told by its place, before anything is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from qsearch.errors import ConfigError
from qsearch.runner.pipeline import run

MODULE = """
import keras
import numpy
from keras import layers

X = numpy.random.default_rng(0).normal(size=(48, 6)).astype("float32")
KIND = X[:, :3].argmax(axis=1)


def net(units=3, activation="softmax"):
    inputs = keras.Input((6,), name="in")
    return keras.Model(inputs, layers.Dense(units, activation=activation, name="out")(inputs), name="net")


def two():
    inputs = keras.Input((6,), name="in")
    kind = layers.Dense(3, activation="softmax", name="kind")(inputs)
    return keras.Model(inputs, [kind, layers.Dense(1, name="size")(inputs)], name="two")


def arrays(): return (X, KIND), (X, KIND)
def hot(): return (X, numpy.eye(3)[KIND]), (X, numpy.eye(3)[KIND])
def pairs(): return (X, [KIND, X[:, 0]]), (X, [KIND, X[:, 0]])
def questions(): return (X, (X[:, :3] > 0) * 1), (X, (X[:, :3] > 0) * 1)
def batches():
    give = lambda: iter([(X, KIND)])
    return give, give
def raising(y_true, y_pred): raise KeyError("no such class")
def nothing(y_true, y_pred): return None
def in_numpy(y_true, y_pred): return numpy.mean(y_pred)
"""

CONFIG = """
dataset: {{factory: "{module}:{data}"}}
model: {{factory: "{module}:{model}"{arguments}}}
reference: {{loss: {loss}, metrics: [{metrics}], direction: min, epochs: 1{more}}}
limit: {{Dense: [8, 8, 8]}}
goal: {{type: bits}}
run: {{output_dir: out, max_trials: 1, epochs: 1{head}}}
"""
SPARSE = "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metrics": 'loss, "M:raising"'},
            r"reference\.metrics\[1\]: M:raising fails on labels \(8,\) and outputs \(8,",
        ),
        ({"metrics": '"M:raising"', "data": "batches"}, r"KeyError: 'no such class' \(culprits_\w+\.py:\d+\)"),
        ({"metrics": '"M:nothing"'}, r"reference\.metrics\[0\]: M:nothing fails on labels .* None"),
        ({"loss": '"M:in_numpy"'}, r"reference\.loss: M:in_numpy fails on labels .*NotImplementedError: "),
        (
            {"loss": "{name: dice, axis: 5}", "data": "hot"},
            r"reference\.loss: dice fails on labels \(8, 3\) and outputs \(8, 3\): ",
        ),
        (
            {
                "loss": f'{{kind: {SPARSE}, size: "M:raising"}}',
                "data": "pairs",
                "model": "two",
                "head": ", head_name: kind",
            },
            r"reference\.loss\.size: M:raising fails on labels \(8,\) and outputs \(8, 1\): KeyError",
        ),
        (
            {
                "loss": "binary_crossentropy",
                "data": "questions",
                "arguments": ", arguments: {activation: sigmoid}",
                "more": ", class_weight: balanced",
            },
            r"reference\.class_weight: is for one class for each sample, and output out answers 3 questions at once",
        ),
    ],
)
def test_what_fails_by_itself(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    options: dict[str, str],
    message: str,
) -> None:
    module = f"culprits_{abs(hash(request.node.name))}"
    (tmp_path / f"{module}.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    given = {
        "loss": SPARSE,
        "metrics": "loss",
        "data": "arrays",
        "model": "net",
        "arguments": "",
        "more": "",
        "head": "",
    }
    text = CONFIG.format(module=module, **{**given, **options}).replace("M:", f"{module}:")
    Path("c.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message.replace("M:", f"{module}:")):
        run("c.yaml")
    assert not Path("out").exists()
