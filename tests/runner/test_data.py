"""Runs on data of every kind that Keras' fit takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import keras
import numpy
import pytest
from sklearn.metrics import jaccard_score
from slow import by_hand, slow

from qsearch.errors import ConfigError, DatasetError
from qsearch.runner.pipeline import run
from qsearch.runner.run_result import RunResult

MODULE = """
import keras
import numpy
from keras import layers

rng = numpy.random.default_rng(0)
X = rng.normal(size=(96, 6)).astype("float32")
KIND = X[:, :3].argmax(axis=1)


def cut(*parts):
    take = lambda part, rows: [p[rows] for p in part] if isinstance(part, list) else part[rows]
    return tuple(take(p, slice(64)) for p in parts), tuple(take(p, slice(64, None)) for p in parts)


def net(units=3, activation="softmax"):
    inputs = keras.Input((6,), name="in")
    x = layers.Dense(5, activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(units, activation=activation, name="out")(x), name="net")


def two():
    a, b = keras.Input((6,), name="a"), keras.Input((1,), name="b")
    x = layers.Dense(5, activation="relu", name="hidden")(layers.Concatenate(name="joined")([a, b]))
    kind = layers.Dense(3, activation="softmax", name="kind")(x)
    return keras.Model([a, b], [kind, layers.Dense(1, name="size")(x)], name="two")


def pixels():
    inputs = keras.Input((4, 4, 1), name="in")
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Conv2D(3, 1, activation="softmax", name="out")(x), name="pixels")


def steps():
    inputs = keras.Input((6, 1), name="in")
    x = layers.Conv1D(4, 3, padding="same", activation="relu", name="hidden")(inputs)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x), name="steps")


def flat(): return cut(X, X[:, 0] > 0)
def columns(): return cut(X, (X[:, :1] > 0).astype(int))
def sizes(): return cut(X, X[:, 0])
def size_columns(): return cut(X, X[:, :1])
def lists(): return cut([X, X[:, 0]], [KIND, X[:, 1]])
def weighted(): return cut(X, KIND, 1.0 + KIND)
def doubled(): return cut(X, KIND, numpy.full(96, 2.0))
def classes(): return cut(X, KIND)
def from_one(): return cut(X, KIND + 1)
def weighted_lists(): return cut([X, X[:, 0]], [KIND, X[:, 1]], numpy.full(96, 2.0))
def parted(weights):
    # dictionaries of inputs and heads
    part = lambda rows: ({"a": X[rows], "b": X[rows, 0]}, {"kind": KIND[rows], "size": X[rows, 1]}, weights(rows))
    return part(slice(64)), part(slice(64, None))


def one_head(): return parted(lambda rows: {"kind": 1.0 + KIND[rows]})
def one_of_a_list(): return parted(lambda rows: [1.0 + KIND[rows], None])
def both_heads(): return parted(lambda rows: {"kind": 1.0 + KIND[rows], "size": numpy.ones(96)[rows]})
def one_head_tensors(): return tensors(data=one_head)
def one_head_rows():
    import tensorflow
    return tuple(tensorflow.data.Dataset.from_tensor_slices(part) for part in one_head())
def one_head_batches():
    return tuple([tuple({k: v[s:s + 16] for k, v in p.items()} for p in part) for s in range(0, 64, 16)
                  if len(part[2]["kind"]) > s] for part in one_head())
def steps_of_kinds(): return cut(X, (X > 0).astype(float) + 1.0 * (X > 1))
def few():
    return (X[:15], KIND[:15]), (X[15:20], KIND[15:20])


def images():
    x = numpy.random.default_rng(1).integers(0, 256, (96, 4, 4), dtype="uint8")
    return cut(x, (x // 86).astype("uint8"))


def void():
    # pixels of no class at a border, and an image of none at all
    (x, y), (x_test, y_test) = images()
    for each in (y, y_test):
        each[:, 0] = 255
        each[3] = 255
    return (x, y), (x_test, y_test)


def tensors(batch=16, data=classes):
    import tensorflow
    return tuple(tensorflow.data.Dataset.from_tensor_slices(part).batch(batch) for part in data())


def void_samples(): return cut(X, numpy.where(X[:, 3] > 1, 255, KIND))
def void_tensors(): return tensors(data=void_samples)
def weighted_tensors(): return tensors(data=weighted)
def samples():
    return tuple(part.unbatch() for part in tensors())
def ones(part):
    return (tuple(each[i] for each in part) for i in range(len(part[0])))
def generators():
    return tuple(ones(part) for part in classes())
def forever():
    import itertools
    return tuple(itertools.cycle([part]) for part in classes())


class Big(keras.utils.PyDataset):
    def __len__(self):
        return 40

    def __getitem__(self, index):
        x = numpy.full((32, 256, 256, 1), index, "uint8")
        return x, numpy.arange(32) % 3


def big(): return Big(), Big()
def big_generator():
    def batches():
        for index in range(40):
            yield Big()[index]
    return batches, batches


def big_net():
    inputs = keras.Input((256, 256, 1), name="in")
    x = layers.GlobalAveragePooling2D(name="pool")(inputs)
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="out")(x), name="net")
"""

CONFIG = """
dataset: {{factory: "given_data:{data}"{options}}}
model: {{factory: "given_data:{model}"{arguments}}}
reference: {{epochs: 1, batch_size: 16, {reference}}}
quantization_config: {{kernel: {{"quantized_bits(4,0,1,alpha=1.0)": 4}}, bias: {{"quantized_bits(4,0,1)": 4}},
  activation: {{"quantized_relu(4,2)": 4}}, linear: {{"quantized_bits(8,2)": 8}}}}
limit: {{Dense: [4, 4, 4], Conv2D: [4, 4, 4], Conv1D: [4, 4, 4], Activation: [4]}}
goal: {{type: energy, params: {{parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false,
        reference_internal: int8, reference_accumulator: int32}}}}
run: {{output_dir: out, max_trials: 1, epochs: 1, batch_size: 16, prune: false}}
final_training: {{epochs: 1, batch_size: 16}}
"""
SPARSE = "loss: sparse_categorical_crossentropy"


@pytest.fixture(autouse=True)
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "given_data.py").write_text(dedent(MODULE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "given_data", raising=False)


def config(data: str, model: str = "net", reference: str = SPARSE, options: str = "", arguments: str = "") -> Path:
    text = CONFIG.format(data=data, model=model, reference=reference, options=options, arguments=arguments)
    Path("c.yaml").write_text(text, encoding="utf-8")
    return Path("c.yaml")


def searched(*args: str, **options: str) -> RunResult:
    return run(config(*args, **options))


def figures(result: RunResult) -> list[Any]:
    summary = result.summary
    assert summary["trials"]["completed"] == 1
    return [summary["reference"][name] for name in ("selection", "test")] + [
        summary["best"][name] for name in ("selection", "test")
    ]


@pytest.mark.parametrize(
    ("one", "other", "reference", "activation"),
    [
        by_hand("flat", "columns", "loss: binary_crossentropy", "sigmoid"),
        ("sizes", "size_columns", "loss: mse, metrics: [mae]", "linear"),
    ],
)
def test_labels_of_one_unit_need_no_axis(one: str, other: str, reference: str, activation: str) -> None:
    arguments = f", arguments: {{units: 1, activation: {activation}}}"
    half = ", validation: 0.25"
    found = [figures(searched(name, "net", reference, half, arguments)) for name in (one, other)]
    assert found[0] == found[1]


@pytest.mark.slow
def test_lists_of_inputs_and_heads() -> None:
    reference = "loss: {kind: categorical_crossentropy, size: mse}"
    path = config("lists", "two", reference, ", validation: 0.25")
    plain = run(path, ["run.head_name=kind"]).summary
    assert plain["target_metric"] == "kind_acc"
    path = config("weighted_lists", "two", reference, ", validation: 0.25")
    doubled = run(path, ["run.head_name=kind", "reference.optimizer.name=sgd", "reference.epochs=0"]).summary
    path = config("lists", "two", reference, ", validation: 0.25")
    once = run(path, ["run.head_name=kind", "reference.optimizer.name=sgd", "reference.epochs=0"]).summary
    assert doubled["reference"]["test"]["loss"] == pytest.approx(2 * once["reference"]["test"]["loss"], rel=1e-5)


@pytest.mark.parametrize(
    "data",
    ["one_head", slow("one_of_a_list"), *map(by_hand, ("one_head_tensors", "one_head_rows", "one_head_batches"))],
)
def test_weights_of_one_head(data: str) -> None:
    """The other head's samples count the same."""
    options = ["run.head_name=kind", "reference.epochs=0"]
    path = config(data, "two", "loss: {kind: sparse_categorical_crossentropy, size: mse}")
    found = run(path, options).summary["reference"]["test"]
    path = config("both_heads", "two", "loss: {kind: sparse_categorical_crossentropy, size: mse}")
    assert found == pytest.approx(run(path, options).summary["reference"]["test"], rel=1e-5)


@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_a_head_without_a_loss() -> None:
    reference = "loss: {kind: sparse_categorical_crossentropy}, metrics: [acc]"
    path = config("lists", "two", reference)
    result = run(path, ["run.head_name=kind"])
    for found in figures(result):
        assert set(found) == {"loss", "kind_acc"}


@pytest.mark.parametrize(("model", "data"), [("pixels", "images"), ("steps", "steps_of_kinds")])
@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", by_hand("categorical_crossentropy")])
def test_a_label_for_each_place(model: str, data: str, loss: str) -> None:
    result = searched(data, model, f"loss: {loss}")
    assert 0 <= result.summary["best"]["test"]["acc"] <= 1


IGNORED = "loss: {name: sparse_categorical_crossentropy, ignore_class: 255}"


def test_pixels_of_no_class() -> None:
    reference = f"{IGNORED}, metrics: [{{name: mean_iou, num_classes: 3, sparse_y_pred: false}}, acc]"
    result = searched("void", "pixels", reference)
    import given_data

    x, y = given_data.void()[1]
    hits, counts = result.load_best().predict(x, verbose=0).argmax(axis=-1), y != 255
    found = result.summary["best"]["test"]
    assert found["mean_iou"] == pytest.approx(jaccard_score(y[counts], hits[counts], average="macro"), abs=1e-5)
    assert found["acc"] == pytest.approx((hits == y).mean(), abs=1e-5)


@pytest.mark.parametrize("data", ["void_samples", by_hand("void_tensors")])
@pytest.mark.parametrize("weights", ["balanced", by_hand("{1: 3.0}")])
def test_class_weights_where_samples_are_left_out(data: str, weights: str) -> None:
    found = figures(searched(data, "net", f"{IGNORED}, class_weight: {weights}"))
    assert found != figures(searched(data, "net", IGNORED))


@pytest.mark.parametrize("data", ["tensors", by_hand("samples"), slow("generators")])
def test_pipelines_train_as_arrays_do(data: str) -> None:
    piped = figures(searched(data))
    assert figures(searched(data)) == piped
    assert json.loads(Path("out/result.json").read_text())["train_samples"] == 64


def test_in_the_order_that_a_pipeline_gives() -> None:
    """The reference trained by hand, batch by batch, comes to the same."""
    result = searched("tensors")
    import given_data

    from qsearch.search.seeds import REFERENCE_SEED, spread

    keras.utils.set_random_seed(spread(0, REFERENCE_SEED))
    model = given_data.net()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["acc"])
    train, test = given_data.tensors()
    model.fit(train, epochs=1, verbose=0, shuffle=False)
    loss = model.evaluate(test, verbose=0, return_dict=True)["loss"]
    assert result.summary["reference"]["test"]["loss"] == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("data", ["weighted", by_hand("weighted_tensors")])
def test_sample_weights_are_in_the_loss_and_not_in_the_metrics(data: str) -> None:
    plain = run(config("tensors" if "tensors" in data else "classes"), ["reference.epochs=0"]).summary["reference"]
    same = run(config(data), ["reference.epochs=0"]).summary["reference"]
    assert same["test"]["acc"] == plain["test"]["acc"]
    assert same["test"]["loss"] != pytest.approx(plain["test"]["loss"], rel=1e-3)


def test_weights_change_what_is_trained() -> None:
    lost = {}
    for data in ("classes", "weighted"):
        result = run(config(data), ["reference.epochs=3", "reference.optimizer.learning_rate=0.05"])
        import given_data

        x, y = given_data.classes()[1]
        best, whole = result.load_best(), result.reference
        lost[data] = [numpy.asarray(model(x))[numpy.arange(len(y)), y].mean() for model in (best, whole)]
    assert lost["classes"][0] != lost["weighted"][0]
    assert lost["classes"][1] != lost["weighted"][1]


@pytest.mark.parametrize("data", ["classes", by_hand("tensors"), by_hand("samples")])
@pytest.mark.parametrize("weights", ["balanced", by_hand("{1: 3.0}")])
def test_class_weights(data: str, weights: str) -> None:
    found = figures(searched(data, "net", f"{SPARSE}, class_weight: {weights}"))
    assert found != figures(searched(data))


def test_class_weights_that_have_no_place() -> None:
    with pytest.raises(ConfigError, match=r"class_weight: .* has weights for its samples; leave out class_weight"):
        searched("weighted", "net", f"{SPARSE}, class_weight: balanced")
    with pytest.raises(ConfigError, match=r"is for one label for each sample; .* give sample weights instead"):
        searched("images", "pixels", f"{SPARSE}, class_weight: balanced")


def test_twenty_rows() -> None:
    result = searched("few", options=", validation: 0.2")
    assert [result.summary[f"{name}_samples"] for name in ("train", "selection", "test")] == [12, 3, 5]
    result = run(config("few", options=", validation: 0.2"), ["reference.batch_size=64", "run.batch_size=64"])
    assert result.best is not None


def test_what_cannot_be_trained_on_is_told_before_training() -> None:
    for options, message in (
        ({"data": "from_one"}, "labels of output out are 1 to 3, its classes are 0 to 2; subtract 1"),
        ({"data": "forever"}, "repeats what it gave at first; say how many samples an epoch has: dataset.train_sampl"),
        ({"data": "lists"}, "samples are a list of 2 arrays, net has 1 input: in"),
        ({"data": "classes", "model": "two", "reference": "metrics: [loss], loss: mse"}, "two has 2 inputs: a, b"),
    ):
        with pytest.raises(DatasetError) as caught:
            searched(**options)
        assert f"dataset.factory: given_data:{options['data']}: training set" in str(caught.value)
        assert message in str(caught.value)
    assert not Path("out").exists()


def test_arrays_of_a_file_by_name_with_weights() -> None:
    rng = numpy.random.default_rng(0)
    x, kinds = rng.normal(size=(96, 7)), rng.integers(0, 3, 96)
    (train, test) = ((x[rows, :6], x[rows, 6], kinds[rows], x[rows, 0]) for rows in (slice(64), slice(64, None)))
    arrays = {}
    for part, (a, b, kind, size) in (("train", train), ("test", test)):
        arrays |= {f"x_{part}_a": a, f"x_{part}_b": b, f"y_{part}_kind": kind, f"y_{part}_size": size}
        arrays[f"w_{part}"] = numpy.ones(len(a))
    numpy.savez("d.npz", **arrays)
    path = config("classes", "two", "loss: {kind: sparse_categorical_crossentropy, size: mse}")
    path.write_text(path.read_text().replace('factory: "given_data:classes"', "npz: d.npz"))
    assert run(path, ["run.head_name=kind"]).best is not None
    del arrays["x_train_b"], arrays["x_test_b"]
    numpy.savez_compressed("d.npz", **arrays)
    with pytest.raises(DatasetError, match=r"dataset\.npz: d\.npz: training set: samples are a, expected a, b"):
        run(path, ["run.head_name=kind"])


PEAK = """
import resource, sys
from qsearch.runner.pipeline import run
base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
run(sys.argv[1], sys.argv[2:])
print(base // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def peak(*overrides: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "c.yaml", *overrides], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("data", ["big", "big_generator"])
def test_memory_stays_flat(data: str) -> None:
    """84 MB of uint8 an epoch, of which float32 is 336 MB."""
    config("few")
    small = peak()
    config(data, "big_net")
    assert peak() < small + 150


@pytest.mark.slow
def test_memory_of_a_file() -> None:
    rng = numpy.random.default_rng(0)
    x, y = rng.integers(0, 256, (1400, 256, 256), dtype="uint8"), numpy.arange(1400) % 3
    numpy.savez("d.npz", x_train=x, y_train=y, x_test=x[:32], y_test=y[:32])
    config("few")
    small = peak()
    path = config("classes", "big_net")
    path.write_text(path.read_text().replace('factory: "given_data:classes"', "npz: d.npz"))
    assert peak() < small + 250
