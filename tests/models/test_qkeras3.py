"""Files that qkeras-v3 1.2.1 really wrote on Keras 3.15, with what it computed from them.

`qkeras3_files.json.z` holds their configurations and weights; the files are put together from these, as they were.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
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
from qsearch.models.qkeras3 import translated

MODELS = ("conv", "folded", "series", "ported")


@lru_cache(maxsize=1)
def packed() -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(zlib.decompress(Path(__file__).with_name("qkeras3_files.json.z").read_bytes()))
    return stored


def text(name: str) -> str:
    return str(packed()["texts"][name])


def array(name: str) -> Any:
    shape, values = packed()["arrays"][name]
    return numpy.asarray(values, "int64" if name.endswith("iteration") else "float32").reshape(shape)


def weights(name: str, to: Any) -> None:
    """A `.weights.h5` file."""
    start = f"{name}/w/"
    with h5py.File(to, "w") as file:
        for key in packed()["arrays"]:
            if key.startswith(start):
                file[key.removeprefix(start)] = array(key)


def keras_file(name: str, folder: Path) -> Path:
    path, held = folder / f"{name}.keras", io.BytesIO()
    weights(name, held)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", text(f"{name}/config"))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("model.weights.h5", held.getvalue())
    return path


def pair(name: str, folder: Path) -> tuple[Path, Path]:
    path, held = folder / f"{name}.json", folder / f"{name}.weights.h5"
    path.write_text(text(f"{name}/config"), encoding="utf-8")
    weights(name, held)
    return path, held


def check(model: keras.Model, name: str) -> None:
    numpy.testing.assert_allclose(model(array(f"{name}/x")), array(f"{name}/y"), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_outputs_are_those_of_the_package_that_wrote_the_file(name: str, tmp_path: Path) -> None:
    model = qsearch.load_model(keras_file(name, tmp_path))
    check(model, name)
    own = [layer for layer in model._flatten_layers() if type(layer).__name__ in layers.__all__]
    assert len(own) >= 3
    # What follows from a quantizer is ours, not stored.
    assert not any("Clip" in str(layer.get_config()) or "QInitializer" in str(layer.get_config()) for layer in own)
    path, held = pair(name, tmp_path)
    check(qsearch.load_model(path, weights=held), name)
    model.save(tmp_path / "again.keras")
    check(qsearch.load_model(tmp_path / "again.keras"), name)


@pytest.mark.parametrize("name", MODELS)
def test_h5(name: str, tmp_path: Path) -> None:
    """The old format keeps weights by layer and in order, which is the same for ours."""
    path = tmp_path / f"{name}.h5"
    qsearch.load_model(keras_file(name, tmp_path)).save(path)
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = text(f"{name}/h5_config")
    check(qsearch.load_model(path), name)


def test_only_qkeras_is_translated() -> None:
    config = json.loads(text("conv/config"))
    before = json.dumps(config)
    translated(config)
    assert json.dumps(config) == before
    own = keras.Sequential([keras.Input((3,)), layers.QDense(2, kernel_quantizer="ternary")])
    assert translated(json.loads(own.to_json())) == json.loads(own.to_json())


def test_a_layer_without_a_counterpart_is_named(tmp_path: Path) -> None:
    path, held = pair("conv", tmp_path)
    path.write_text(text("conv/config").replace("QSeparableConv2D", "QOctaveConv2D"), encoding="utf-8")
    with pytest.raises(ModelError, match=r"conv\.json: layer 's' is a QOctaveConv2D, which is not known here"):
        qsearch.load_model(path, weights=held)


def test_weights_of_another_model(tmp_path: Path) -> None:
    path, _ = pair("conv", tmp_path)
    _, other = pair("series", tmp_path)
    with pytest.raises(ModelError, match=r"series\.weights\.h5: its weights do not fit the model: .*QConv2D name=c"):
        qsearch.load_model(path, weights=other)


def test_pairs_that_are_none(tmp_path: Path) -> None:
    path, held = pair("folded", tmp_path)
    whole = keras_file("folded", tmp_path)
    broken = tmp_path / "broken.json"
    broken.write_text("{", encoding="utf-8")
    numbers = tmp_path / "numbers.json"
    numbers.write_text("[1, 2]", encoding="utf-8")
    for model, given, message in (
        (path, None, "holds an architecture without weights; give weights"),
        (whole, held, "folded.keras: holds weights of its own; weights belong to a .json file"),
        (path, tmp_path / "folded.weights.h4", "no such file"),
        (broken, held, "broken.json: is no JSON file"),
        (numbers, held, "numbers.json: holds no model's architecture; write it with model.to_json()"),
    ):
        with pytest.raises(ModelError, match=message):
            qsearch.load_model(model, weights=given)


def test_keras_3_architecture_and_weights(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(1)])
    path = tmp_path / "net.json"
    path.write_text(model.to_json(), encoding="utf-8")
    model.save_weights(tmp_path / "net.weights.h5")
    x = numpy.ones((2, 3), "float32")
    loaded = qsearch.load_model(path, weights=tmp_path / "net.weights.h5")
    numpy.testing.assert_array_equal(loaded(x), model(x))
