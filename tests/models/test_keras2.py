"""Files that Keras 2.15 and QKeras 0.9 really wrote, with what those versions computed from them."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy
import pytest

import qsearch
from qsearch import layers
from qsearch.errors import ModelError
from qsearch.graph.from_keras import read_plan
from qsearch.models.keras2_layers import NotRebuiltError, layer_of
from qsearch.plan import Role
from qsearch.quantizers import parse

REFUSED = ("evil", "tfop")


@lru_cache(maxsize=1)
def packed() -> dict[str, Any]:
    with numpy.load(Path(__file__).with_name("keras2_files.npz")) as files:
        return dict(files)


NAMES = sorted({key.partition("/")[0] for key in packed()})


def written(name: str, folder: Path) -> Path:
    path = folder / f"{name}.h5"
    path.write_bytes(packed()[f"{name}/h5"].tobytes())
    return path


def arrays(name: str, letter: str) -> list[Any]:
    return [packed()[key] for key in sorted(packed()) if key.startswith(f"{name}/{letter}")]


def outputs(model: keras.Model, name: str) -> list[Any]:
    inputs = arrays(name, "x")
    found = model(inputs if len(inputs) > 1 else inputs[0])
    return list(found) if isinstance(found, list | tuple) else [found]


@pytest.mark.parametrize("name", [name for name in NAMES if name not in REFUSED])
def test_outputs_are_those_of_the_version_that_wrote_the_file(name: str, tmp_path: Path) -> None:
    model = qsearch.load_model(written(name, tmp_path))
    for found, expected in zip(outputs(model, name), arrays(name, "y"), strict=True):
        numpy.testing.assert_allclose(found, expected, rtol=2e-6, atol=2e-6)
    model.save(tmp_path / "again.keras")
    again = qsearch.load_model(tmp_path / "again.keras")
    for found, expected in zip(outputs(again, name), outputs(model, name), strict=True):
        numpy.testing.assert_array_equal(found, expected)


def test_quantizers_of_a_trained_qkeras_file(tmp_path: Path) -> None:
    model = qsearch.load_model(written("q_conv", tmp_path))
    plan = read_plan(model)
    assert type(model.get_layer("c")) is layers.QConv2D
    assert plan.layers["c"].quantizers[Role.BIAS] == parse("quantized_bits(4,0,1)")
    kinds = {type(layer).__name__ for layer in model.layers}
    assert {"QDepthwiseConv2D", "QSeparableConv2D", "QBatchNormalization", "QDense", "QActivation"} <= kinds
    assert qsearch.estimate_energy(model, reference=None).total > 0


def test_code_in_a_file_does_not_run(tmp_path: Path) -> None:
    message = r"layer 'lambda_1' is a Lambda, which would run code from the file; rebuild the model without it"
    with pytest.raises(ModelError, match=message):
        qsearch.load_model(written("evil", tmp_path))
    with pytest.raises(ModelError, match=r"layer 'tf.nn.relu' is a TFOpLambda, a raw TensorFlow operation"):
        qsearch.load_model(written("tfop", tmp_path))


def edited(name: str, folder: Path, change: Any) -> Path:
    """The file with its stored configuration changed."""
    path = written(name, folder)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def _items(config: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [item for item in config["config"]["layers"] if item["class_name"] == kind]


def _older(config: dict[str, Any]) -> None:
    """What versions before 2.3 wrote: fewer keys, no modules, another name of the class, a bare list."""
    config["config"] = config["config"]["layers"][1:]
    config["config"][0]["config"]["batch_input_shape"] = [None, 7]
    for item in config["config"]:
        for key in ("kernel_initializer", "bias_initializer"):
            if key in item["config"]:
                item["config"][key] = {"class_name": "Zeros", "config": {}}


def test_a_file_of_an_old_version(tmp_path: Path) -> None:
    path = edited("seq_input", tmp_path, _older)
    with h5py.File(path, "r+") as file:
        file.attrs["keras_version"] = "2.2.4"
    model = qsearch.load_model(path)
    numpy.testing.assert_allclose(outputs(model, "seq_input")[0], arrays("seq_input", "y")[0], rtol=2e-6, atol=2e-6)


def _set(kind: str, key: str, value: Any) -> Any:
    def change(config: dict[str, Any]) -> None:
        _items(config, kind)[0]["config"][key] = value

    return change


def _rename(kind: str, name: str) -> Any:
    def change(config: dict[str, Any]) -> None:
        _items(config, kind)[0]["class_name"] = name

    return change


BROKEN = [
    ("conv", _rename("Dense", "Dens"), "layer 'dense' is a Dens, which is not known here; .*did you mean 'Dense'"),
    ("conv", _rename("Dense", "Custom>Mine"), "layer 'dense' is a Mine, which is not known here"),
    ("conv", _set("Dense", "activation", "os.system"), "layer 'dense' uses the activation 'os.system'"),
    (
        "conv",
        _set("Dense", "kernel_initializer", {"class_name": "system", "module": "os", "config": {}}),
        "layer 'dense' uses 'system', which is not known here",
    ),
    ("conv", _set("Dense", "units", 6), r"layer 'dense' needs weights of shapes \[.*6\), \(6,\)\], the file has"),
    ("conv", _set("Dense", "units", "many"), "layer 'dense' Keras 3 cannot rebuild this Dense: "),
    ("rnn", _set("GRU", "time_major", True), "layer 'gru' has time_major=True, which Keras 3 has not"),
    (
        "q_conv",
        _set("QDense", "kernel_quantizer", {"class_name": "quantized_bit", "config": {}}),
        "layer 'q_dense' uses the quantizer 'quantized_bit', .*did you mean 'quantized_bits'",
    ),
    (
        "q_conv",
        _set("QDense", "kernel_quantizer", "quantized_bits(4,9"),
        "layer 'q_dense' .*expected ',' or",
    ),
]


@pytest.mark.parametrize(("name", "change", "message"), BROKEN, ids=lambda item: item if isinstance(item, str) else "")
def test_what_cannot_be_rebuilt_names_the_layer(name: str, change: Any, message: str, tmp_path: Path) -> None:
    path = edited(name, tmp_path, change)
    with pytest.raises(ModelError, match=message) as caught:
        qsearch.load_model(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_graph_that_cannot_be_connected(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        _items(config, "Flatten")[0]["inbound_nodes"] = [[["nobody", 0, 0, {}]]]

    with pytest.raises(ModelError, match="takes a tensor that no layer gives"):
        qsearch.load_model(edited("conv", tmp_path, change))


def test_defaults_of_old_versions() -> None:
    """Files older than these options mean what was the default then."""
    gru = layer_of({"class_name": "GRU", "config": {"name": "g", "units": 2}}, allow_code=False)
    assert gru.reset_after is False
    gate = gru.recurrent_activation(numpy.ones(1, "float32"))
    assert float(gate[0]) == pytest.approx(0.7)  # Keras 3's hard_sigmoid gives 2/3
    leaky = layer_of({"class_name": "LeakyReLU", "config": {"name": "l", "alpha": 0.3}}, allow_code=False)
    assert leaky.negative_slope == pytest.approx(0.3)
    with pytest.raises(NotRebuiltError, match="has renorm, which Keras 3 has not"):
        layer_of({"class_name": "BatchNormalization", "config": {"name": "b", "renorm": True}}, allow_code=False)


def test_a_trusted_lambda_can_be_allowed(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    keras.Model(inputs, keras.layers.Lambda(lambda x: 2 * x, name="twice")(inputs)).save(tmp_path / "m.keras")
    with pytest.raises(ModelError, match=r"layer 'twice' (holds a pickled function|is a Lambda)"):
        qsearch.load_model(tmp_path / "m.keras")
    model = qsearch.load_model(tmp_path / "m.keras", allow_code=True)
    assert model(numpy.ones((1, 3))).numpy().tolist() == [[2.0, 2.0, 2.0]]
