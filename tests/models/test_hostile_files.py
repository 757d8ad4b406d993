"""Files that would read other files, call what is no part of a model, or take far more memory than they are large.

Kinds of Keras' CVEs 2024-3660, 2025-1550, 2025-8747, 2025-9905, 2025-9906, 2025-12058, 2026-0897 and 2026-1462, in each
format that is read.
"""

from __future__ import annotations

import json
import os
import re
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy
import pytest
from keras import layers

from qsearch.errors import ConfigError, ModelError
from qsearch.models import bounds, load_model

SECRET = b"0123456789abcdef" * 8
Change = Callable[[dict[str, Any]], None]


def refused(path: Path, weights: Path | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path, weights=weights)
    text = str(caught.value)
    assert "\n" not in text
    assert SECRET.decode() not in text
    return text


def saved(folder: Path, ending: str) -> Path:
    """input -> Dense(4): a kernel of 8 x 4 float32, as long as the secret."""
    path = folder / f"m.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        inputs = keras.Input((8,), name="input")
        keras.Model(inputs, layers.Dense(4, use_bias=False, name="dense")(inputs)).save(path)
    return path


def with_config(path: Path, change: Change) -> Path:
    """Change the configuration in a file."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)
    return path


def with_weights(path: Path, change: Callable[[h5py.File], None], folder: Path) -> Path:
    """Change the HDF5 file that holds the weights."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        inner = folder / "inner.h5"
        inner.write_bytes(members["model.weights.h5"])
        with h5py.File(inner, "r+") as file:
            change(file)
        members["model.weights.h5"] = inner.read_bytes()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return path
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def kernel_of(file: h5py.File) -> str:
    found: list[str] = []
    file.visititems(
        lambda name, item: found.append(name) if isinstance(item, h5py.Dataset) and item.size == 32 else None
    )
    return found[0]


def external_storage(file: h5py.File, secret: Path) -> None:
    name = kernel_of(file)
    del file[name]
    file.create_dataset(name, (8, 4), "float32", external=[(str(secret), 0, len(SECRET))])


def external_link(file: h5py.File, secret: Path) -> None:
    name = kernel_of(file)
    del file[name]
    other = secret.with_suffix(".other.h5")
    with h5py.File(other, "w") as made:
        made["x"] = numpy.frombuffer(SECRET, "float32").reshape(8, 4)
    file[name] = h5py.ExternalLink(str(other), "/x")


def virtual(file: h5py.File, secret: Path) -> None:
    name = kernel_of(file)
    del file[name]
    other = secret.with_suffix(".other.h5")
    with h5py.File(other, "w") as made:
        made["x"] = numpy.frombuffer(SECRET, "float32").reshape(8, 4)
    layout = h5py.VirtualLayout((8, 4), "float32")
    layout[:] = h5py.VirtualSource(str(other), "x", (8, 4))
    file.create_virtual_dataset(name, layout)


def soft_link(file: h5py.File, secret: Path) -> None:
    file["again"] = h5py.SoftLink(f"/{kernel_of(file)}")


def empty_but_large(file: h5py.File, secret: Path) -> None:
    file.create_dataset("large", (100_000, 100_000), "float32", chunks=(1000, 1000))


def endless_groups(file: h5py.File, secret: Path) -> None:
    file["loop"] = file["/"]
    external_link(file, secret)


def drop_version(file: h5py.File) -> None:
    if "keras_version" in file.attrs:
        del file.attrs["keras_version"]


@pytest.mark.parametrize("version", [True, False], ids=["version", "no version"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (external_storage, "keeps its values in another file"),
        (external_link, "is a link to another file"),
        (virtual, "keeps its values in another file"),
        (soft_link, "is a link to another place"),
        (empty_but_large, "holds 40 GB in"),
        (endless_groups, "is a link to another file"),
    ],
)
def test_hdf5_that_is_not_only_itself(
    change: Callable[[h5py.File, Path], None], said: str, ending: str, version: bool, tmp_path: Path
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    path = with_weights(saved(tmp_path, ending), lambda file: change(file, secret), tmp_path)
    if not version and ending == "h5":
        with_weights(path, drop_version, tmp_path)
    assert said in refused(path)


def test_weights_beside_an_architecture(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    model = load_model(saved(tmp_path, "keras"))
    (tmp_path / "net.json").write_text(model.to_json(), encoding="utf-8")
    weights = tmp_path / "net.weights.h5"
    model.save_weights(weights)
    load_model(tmp_path / "net.json", weights=weights)
    with h5py.File(weights, "r+") as file:
        external_storage(file, secret)
    assert "keeps its values in another file" in refused(tmp_path / "net.json", weights)


def lookup(config: dict[str, Any], secret: str, kind: str, module: bool) -> None:
    layer = config["config"]["layers"][1]
    layer |= {"class_name": kind, "config": {"name": "dense", "vocabulary": secret}}
    layer.pop("build_config", None)
    layer |= {"module": "keras.layers"} if module else {}


@pytest.mark.parametrize("version", [True, False], ids=["version", "no version"])
@pytest.mark.parametrize("kind", ["StringLookup", "IntegerLookup", "TextVectorization"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_vocabularies_in_other_files(ending: str, kind: str, version: bool, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_bytes(SECRET)
    path = with_config(saved(tmp_path, ending), lambda config: lookup(config, str(secret), kind, version))
    if not version and ending == "h5":
        with_weights(path, drop_version, tmp_path)
    assert refused(path).endswith(
        "layer 'dense' takes its vocabulary from a file that it names; give the layer the words themselves when the "
        "model is made, and save it again"
    )


def test_vocabularies_inside_are_read(tmp_path: Path) -> None:
    path = tmp_path / "words.keras"
    inputs = keras.Input((1,), dtype="string")
    keras.Model(inputs, layers.StringLookup(vocabulary=["a", "b"])(inputs)).save(path)
    assert load_model(path).layers[1].get_vocabulary() == ["[UNK]", "a", "b"]


CALLS = [
    ("keras.distribution", "initialize"),
    ("keras.utils", "get_file"),
    ("keras.config", "enable_unsafe_deserialization"),
    ("keras.config", "set_floatx"),
    ("keras.models", "load_model"),
    ("keras.saving", "load_model"),
    ("keras.src.utils.file_utils", "get_file"),
    ("keras.activations", "deserialize"),
    ("keras", "Variable"),
    ("os", "system"),
    ("builtins", "eval"),
    ("builtins", "get"),
    ("qsearch.imports", "imported"),
    ("tensorflow", "io"),
]


@pytest.mark.parametrize(("module", "name"), CALLS)
@pytest.mark.parametrize("place", ["activation", "build_config", "kernel_initializer", "nested"])
def test_what_is_no_part_of_a_model_is_not_called(module: str, name: str, place: str, tmp_path: Path) -> None:
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    made = {"module": module, "class_name": name, "config": {"fname": "x", "origin": "file:///etc/passwd"}}

    def change(config: dict[str, Any]) -> None:
        layer = config["config"]["layers"][1]
        if place == "activation":
            layer["config"]["activation"] = function
        elif place == "build_config":
            layer["build_config"] = {"input_shape": made}
        elif place == "kernel_initializer":
            layer["config"]["kernel_initializer"] = made
        else:
            layer["config"]["name_of_nothing"] = {"deep": [{"er": function}]}

    text = refused(with_config(saved(tmp_path, "keras"), change))
    assert f"layer 'dense' uses {name!r}, which is not known here" in text


@pytest.mark.parametrize("ending", ["keras", "h5"])
@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("Lambda", "is a Lambda, which would run code"),
        ("TFSMLayer", "is a TFSMLayer, which would run code"),
        ("TorchModuleWrapper", "is a TorchModuleWrapper, which would run code"),
    ],
)
def test_layers_that_run_code(ending: str, kind: str, said: str, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        config["config"]["layers"][1] |= {"class_name": kind, "config": {"name": "dense", "filepath": "/tmp/x"}}

    assert said in refused(with_config(saved(tmp_path, ending), change))


def test_type_specs(tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        spec = {"class_name": "__typespec__", "spec_name": "Popen", "module": "subprocess", "config": [["touch"]]}
        config["config"]["layers"][1]["config"]["dtype"] = spec | {"registered_name": None}

    assert "uses '__typespec__', which is not known here" in refused(with_config(saved(tmp_path, "keras"), change))


@pytest.mark.parametrize("version", [True, False], ids=["version", "no version"])
@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_layers_larger_than_the_file(ending: str, version: bool, tmp_path: Path) -> None:
    def change(config: dict[str, Any]) -> None:
        dense = config["config"]["layers"][1]
        dense["config"]["units"] = 1_000_000_000
        dense.pop("build_config", None)
        if not version:
            dense["inbound_nodes"] = [[["input", 0, 0, {}]]]
            for key in ("input_layers", "output_layers"):
                name = "input" if key == "input_layers" else "dense"
                config["config"][key] = [[name, 0, 0]]

    path = with_config(saved(tmp_path, ending), change)
    if not version and ending == "h5":
        with_weights(path, drop_version, tmp_path)
    assert "its layers need 32 GB of weights, and it holds 128 bytes" in refused(path)


def test_archives_larger_than_themselves(tmp_path: Path) -> None:
    path = saved(tmp_path, "keras")
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive, archive.open("assets/zeros", "w") as member:
        for _ in range(300):
            member.write(bytes(1_000_000))
    assert "holds 300 MB in" in refused(path)


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "assets/../../outside"])
def test_archives_with_names_outside(name: str, tmp_path: Path) -> None:
    path = saved(tmp_path, "keras")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    assert "which is outside the archive" in refused(path)


def test_pipes_and_devices(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "m.keras")
    assert refused(tmp_path / "m.keras").endswith("is a pipe or a device; expected a .keras or .h5 file")
    (tmp_path / "d.h5").symlink_to("/dev/zero")
    assert refused(tmp_path / "d.h5").endswith("is a pipe or a device; expected a .keras or .h5 file")


def test_operations_and_nested_compiled_models_are_read(tmp_path: Path) -> None:
    inner = keras.Sequential([keras.Input((8,)), layers.Dense(4, activation="gelu")], name="inner")
    inner.compile("adam", "mse")
    inputs = keras.Input((8,))
    model = keras.Model(inputs, keras.ops.concatenate([inner(inputs), keras.ops.abs(inputs)], axis=-1))
    model.save(tmp_path / "m.keras")
    x = numpy.ones((2, 8), "float32")
    numpy.testing.assert_array_equal(load_model(tmp_path / "m.keras")(x), model(x))


def test_archives_of_very_many_files(tmp_path: Path) -> None:
    path = saved(tmp_path, "keras")
    with zipfile.ZipFile(path, "a") as archive:
        for number in range(10_000):
            archive.writestr(zipfile.ZipInfo(f"a{number}"), b"")
    assert "files, at most 10,000 are read" in refused(path)


@pytest.mark.parametrize("ending", ["keras", "h5"])
def test_weights_of_very_many_groups(ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def many(file: h5py.File) -> None:
        for number in range(60):
            file.create_group(f"more/{number}")

    path = with_weights(saved(tmp_path, ending), many, tmp_path)
    load_model(path)
    monkeypatch.setattr(bounds, "OBJECTS", 50)
    assert "holds more than 50 arrays and groups; if you trust the file, QSEARCH_MODEL_LIMITS=10" in refused(path)
    monkeypatch.setenv("QSEARCH_MODEL_LIMITS", "10")
    load_model(path)
    monkeypatch.setenv("QSEARCH_MODEL_LIMITS", "much")
    with pytest.raises(ConfigError, match="QSEARCH_MODEL_LIMITS: found 'much', expected a number from 1"):
        load_model(path)


def test_a_text_that_is_longer_than_the_file(tmp_path: Path) -> None:
    def named(file: h5py.File) -> None:
        file.attrs.create("note", "a few words", dtype=h5py.string_dtype())

    path = with_weights(saved(tmp_path, "h5"), named, tmp_path)
    data = path.read_bytes()
    length = len("a few words").to_bytes(4, "little")  # in an attribute, before the place of the heap that has the text
    heaps = [found.start().to_bytes(8, "little") for found in re.finditer(b"GCOL", data)]
    place = max(data.find(length + heap) for heap in heaps)
    path.write_bytes(data[:place] + (3 << 30).to_bytes(4, "little") + data[place + 4 :])
    assert "/: its attribute 'note' cannot be read (" in refused(path)
