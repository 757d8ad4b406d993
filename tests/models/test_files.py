"""Model files: what is read back, and what is refused with which words."""

from __future__ import annotations

import json
import marshal
import shutil
import warnings
import zipfile
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy
import pytest
from keras import layers

from qsearch.errors import ModelError
from qsearch.models import build_model, load_model

FORMATS = ("keras", "h5")
Config = dict[str, Any]


class Mine(layers.Layer):
    """A layer that no one registered."""

    def call(self, x: Any) -> Any:
        return x

    def compute_output_shape(self, shape: Any) -> Any:
        return shape


def own_activation(x: Any) -> Any:
    return x


@pytest.fixture(autouse=True)
def _quiet_saving() -> Iterator[None]:
    """Keras writes through absl that HDF5 is an old format."""
    import absl.logging

    level = absl.logging.get_verbosity()
    absl.logging.set_verbosity(absl.logging.ERROR)
    yield
    absl.logging.set_verbosity(level)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that only code from a model file would make."""
    return tmp_path / "code_was_run"


def save(layer: layers.Layer, path: Path) -> Path:
    inputs = keras.Input((4,), name="input")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras.Model(inputs, layer(inputs), name="small").save(path)
    return path


def rewrite(path: Path, change: Callable[[Config], None]) -> Path:
    """Change the configuration in a file, as an attacker or an older Keras would have written it."""
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        config = json.loads(members["config.json"])
        change(config)
        members["config.json"] = json.dumps(config).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    else:
        with h5py.File(path, "r+") as archive:
            config = json.loads(archive.attrs["model_config"])
            change(config)
            archive.attrs["model_config"] = json.dumps(config)
    return path


def message(path: Path) -> str:
    """What load_model says about a file, without the file's name."""
    with pytest.raises(ModelError) as caught:
        load_model(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    assert "\n" not in text
    return text.removeprefix(f"{path}: ")


def to_keras_2(config: Config) -> None:
    """The functional `input -> dense` as Keras 2.15 stores it."""
    inputs, dense = config["config"]["layers"]
    inputs["config"] = {
        "batch_input_shape": [None, 4],
        "dtype": "float32",
        "sparse": False,
        "ragged": False,
        "name": "input",
    }
    for key in ("module", "registered_name", "build_config"):
        dense.pop(key, None)
    dense["config"]["dtype"] = "float32"
    dense["inbound_nodes"] = [[["input", 0, 0, {}]]]
    config["config"]["input_layers"] = [["input", 0, 0]]
    config["config"]["output_layers"] = [["dense", 0, 0]]


def written_by(path: Path, version: str) -> Path:
    with h5py.File(path, "r+") as archive:
        archive.attrs["keras_version"] = version
    return path


@pytest.mark.parametrize("ending", [*FORMATS, "hdf5"])
@pytest.mark.parametrize("name", ["digits", "fashion_mnist"])
def test_presets_come_back(name: str, ending: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    model = build_model(name)
    model.compile("adam", "mse", metrics=["acc"])
    path = tmp_path / f"m.{ending}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    capfd.readouterr()
    again = load_model(str(path) if ending == "h5" else path)
    assert capfd.readouterr() == ("", "")
    assert [(layer.name, type(layer)) for layer in again.layers] == [(x.name, type(x)) for x in model.layers]
    images = numpy.random.default_rng(0).normal(size=(3, *model.input_shape[1:])).astype("float32")
    assert numpy.array_equal(again(images), model(images))
    assert not again.compiled


@pytest.mark.parametrize("ending", FORMATS)
def test_quantized_layers_come_back(ending: str, tmp_path: Path) -> None:
    from qsearch.layers import QActivation, QBatchNormalization, QConv2D, QDense, QDepthwiseConv2D

    bits = "quantized_bits(4,0,1,alpha=1.0)"
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            QConv2D(3, 3, kernel_quantizer=bits, bias_quantizer=bits, name="conv"),
            QBatchNormalization(name="bn"),
            QActivation("quantized_relu(4,2)", name="act"),
            QDepthwiseConv2D(3, depthwise_quantizer="ternary", name="depthwise"),
            layers.Flatten(name="flatten"),
            QDense(2, kernel_quantizer="binary", bias_quantizer=bits, activation="quantized_tanh(4)", name="dense"),
        ]
    )
    path = tmp_path / f"q.{ending}"
    model.save(path)
    again = load_model(path)
    assert [(layer.name, type(layer)) for layer in again.layers] == [(x.name, type(x)) for x in model.layers]
    assert again.get_layer("conv").get_config() == model.get_layer("conv").get_config()
    images = numpy.random.default_rng(0).normal(size=(3, 6, 6, 2)).astype("float32")
    assert numpy.array_equal(again(images), model(images))


@pytest.mark.parametrize("ending", FORMATS)
def test_wrapped_nested_and_operation_layers_come_back(ending: str, tmp_path: Path) -> None:
    inputs = keras.Input((5, 4), name="input")
    inner = keras.Sequential([keras.Input((5, 3)), layers.Flatten(), layers.Dense(2, kernel_regularizer="l2")])
    x = layers.TimeDistributed(layers.Dense(3, activation="gelu"), name="each")(inputs)
    x = layers.Bidirectional(layers.LSTM(2, return_sequences=True), name="both")(x)
    x = layers.Dense(3)(x)
    if ending == "keras":  # Keras does not read operations back from .h5
        x = keras.ops.add(x, 1.0) * 2
    model = keras.Model(inputs, inner(x))
    path = tmp_path / f"m.{ending}"
    model.save(path)
    rows = numpy.random.default_rng(0).normal(size=(3, 5, 4)).astype("float32")
    assert numpy.array_equal(load_model(path)(rows), model(rows))


def test_keras_2_sequential_is_read(tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / "old.h5")
    kernel = load_model(path).get_layer("dense").get_weights()[0]
    path = written_by(path, "2.15.0")

    def change(config: Config) -> None:
        to_keras_2(config)
        dense = config["config"]["layers"][1]
        dense["config"]["batch_input_shape"] = [None, 4]
        config["class_name"] = "Sequential"
        config["config"] = {"name": "small", "layers": [config["config"]["layers"][0], dense]}

    model = load_model(rewrite(path, change))
    assert isinstance(model, keras.Sequential)
    assert numpy.array_equal(model.get_layer("dense").get_weights()[0], kernel)


def test_keras_2_h5_that_keras_3_cannot_rebuild(tmp_path: Path) -> None:
    path = written_by(save(layers.Dense(2, name="dense"), tmp_path / "old.h5"), "2.15.0")

    def change(config: Config) -> None:
        to_keras_2(config)
        config["config"]["layers"][1]["config"]["groups"] = 1

    assert message(rewrite(path, change)) == (
        "layer 'dense' Keras 3 cannot rebuild this Dense: Unrecognized keyword arguments passed to Dense: {'groups': 1}"
    )


def test_keras_2_operation_is_named(tmp_path: Path) -> None:
    path = written_by(save(layers.Dense(2, name="dense"), tmp_path / "old.h5"), "2.15.0")

    def change(config: Config) -> None:
        to_keras_2(config)
        dense = config["config"]["layers"][1]
        dense["class_name"], dense["config"] = "TFOpLambda", {"name": "tf.math.add", "function": "math.add"}

    assert message(rewrite(path, change)) == (
        "layer 'tf.math.add' is a TFOpLambda, a raw TensorFlow operation without a layer; rebuild the model without it"
    )


def test_keras_2_keras_file(tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / "old.keras")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["metadata.json"] = b'{"keras_version": "2.14.0"}'
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    assert message(path) == (
        "was written by Keras 2.14.0, whose .keras files Keras 3 cannot read; save it as old.h5 with that version"
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_lambda_layer(ending: str, tmp_path: Path) -> None:
    path = save(layers.Lambda(lambda x: x * 2, name="twice"), tmp_path / f"m.{ending}")
    assert message(path) == (
        "layer 'twice' is a Lambda, which would run code from the file; rebuild the model without it"
    )


@pytest.mark.parametrize("ending", FORMATS)
def test_malicious_lambda_is_not_run(ending: str, tmp_path: Path, marker: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / f"m.{ending}")
    code = compile(f"open({str(marker)!r}, 'w')", "evil", "eval")
    text = b64encode(marshal.dumps(code)).decode()

    def change(config: Config) -> None:
        if ending == "h5":
            to_keras_2(config)
        dense = config["config"]["layers"][1]
        dense["class_name"] = "Lambda"
        dense["config"] = {"name": "dense", "function": [text, None, None], "function_type": "lambda", "arguments": {}}

    assert message(rewrite(path, change)).startswith("layer 'dense' is a Lambda, which would run code from the file")
    assert not marker.exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_pickled_function_inside_a_layer(ending: str, tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / f"m.{ending}")

    def change(config: Config) -> None:
        code = {"code": "4wEA", "defaults": None, "closure": None}
        config["config"]["layers"][1]["config"]["activation"] = {"class_name": "__lambda__", "config": code}

    assert message(rewrite(path, change)) == (
        "layer 'dense' holds a pickled function, which would run code from the file; rebuild the model without it"
    )


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ["Popen", "Clip"], ids=["foreign", "with a name of ours"])
def test_classes_of_other_modules_are_not_called(ending: str, name: str, tmp_path: Path, marker: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / f"m.{ending}")

    def change(config: Config) -> None:
        config["config"]["layers"][1]["config"]["kernel_initializer"] = {
            "module": "subprocess",
            "class_name": name,
            "config": {"args": ["touch", str(marker)]},
            "registered_name": name,
        }

    assert message(rewrite(path, change)) == (
        f"layer 'dense' uses {name!r}, which is not known here; Keras' and qsearch's own are, "
        "and those of custom_objects"
    )
    assert not marker.exists()


@pytest.mark.parametrize("ending", FORMATS)
def test_functions_of_keras_that_are_no_activations(ending: str, tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / f"m.{ending}")

    def change(config: Config) -> None:
        config["config"]["layers"][1]["config"]["activation"] = {
            "module": "keras.utils",
            "class_name": "function",
            "config": "get_file",
            "registered_name": "get_file",
        }

    assert message(rewrite(path, change)).startswith("layer 'dense' uses 'get_file', which is not known here")


@pytest.mark.parametrize("ending", FORMATS)
def test_unknown_layer(ending: str, tmp_path: Path) -> None:
    found = (
        "layer 'mine_0' is a Mine, which is not known here; Keras' and qsearch's own are, and those of custom_objects"
    )
    assert message(save(Mine(name="mine_0"), tmp_path / f"m.{ending}")) == found


@pytest.mark.parametrize("ending", FORMATS)
def test_unknown_layer_inside_a_wrapper(ending: str, tmp_path: Path) -> None:
    inputs = keras.Input((3, 4))
    path = tmp_path / f"m.{ending}"
    keras.Model(inputs, layers.TimeDistributed(Mine(name="inner"), name="outer")(inputs)).save(path)
    assert message(path).startswith("layer 'inner' is a Mine, which is not known here")


@pytest.mark.parametrize("ending", FORMATS)
def test_registered_layer_of_another_package(ending: str, tmp_path: Path) -> None:
    with keras.saving.custom_object_scope({}):
        registered = keras.saving.register_keras_serializable("theirs")(type("Theirs", (Mine,), {}))
        path = save(registered(name="theirs_0"), tmp_path / f"m.{ending}")
    keras.saving.get_custom_objects().pop("theirs>Theirs", None)
    found = (
        "layer 'theirs_0' is a Theirs, which is not known here; Keras' and qsearch's own are, "
        "and those of custom_objects"
    )
    assert message(path) == found


@pytest.mark.parametrize("ending", FORMATS)
def test_unknown_activation(ending: str, tmp_path: Path) -> None:
    path = save(layers.Dense(2, activation=own_activation, name="dense"), tmp_path / f"m.{ending}")
    assert message(path) == (
        "layer 'dense' uses 'own_activation', which is not known here; Keras' and qsearch's own are, "
        "and those of custom_objects"
    )


def test_missing_file_names_the_nearest(tmp_path: Path) -> None:
    for name in ("best.keras", "other.h5", "best.txt"):
        (tmp_path / name).touch()
    assert message(tmp_path / "bset.keras") == "no such file; did you mean 'best.keras'?"
    assert message(tmp_path / "zzzzzzzz") == "no such file; model files there: best.keras, other.h5"
    for number in range(6):
        (tmp_path / f"{number}.h5").touch()
    assert message(tmp_path / "zzzzzzzz") == "no such file; model files there: 0.h5, 1.h5, 2.h5, 3.h5, 4.h5, 5.h5, ..."


def test_missing_folder(tmp_path: Path) -> None:
    assert message(tmp_path / "runs" / "m.keras") == f"no such file; there is no folder {tmp_path / 'runs'}"
    (tmp_path / "empty").mkdir()
    assert message(tmp_path / "empty" / "m.keras") == "no such file"


def test_folders(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    saved.mkdir()
    (tmp_path / "folder.keras").mkdir()
    (saved / "saved_model.pb").touch()
    assert message(saved) == "is a SavedModel folder, which has no layers; expected a .keras or .h5 file"
    assert message(tmp_path / "folder.keras") == "is a folder; expected a .keras or .h5 file"


@pytest.mark.parametrize(("name", "ending"), [("m.txt", "'.txt'"), ("m", "nothing"), ("m.pt", "'.pt'")])
def test_wrong_ending(name: str, ending: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("hello", encoding="utf-8")
    assert message(tmp_path / name) == f"ends in {ending}, expected a model file: .keras or .h5"


@pytest.mark.parametrize("text", ["", "hello"])
def test_text_under_a_model_files_name(text: str, tmp_path: Path) -> None:
    for ending in FORMATS:
        (tmp_path / f"m.{ending}").write_text(text, encoding="utf-8")
    assert message(tmp_path / "m.h5") == "is no HDF5 file; save the model again with model.save('m.keras')"
    assert message(tmp_path / "m.keras") == ("is no .keras file: it is not a whole zip archive; save the model again")


@pytest.mark.parametrize("ending", FORMATS)
def test_file_cut_off(ending: str, tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / f"m.{ending}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found = message(path)
    if ending == "keras":
        assert found == "is no .keras file: it is not a whole zip archive; save the model again"
    else:
        assert found.startswith("is a damaged HDF5 file (")
        assert found.endswith("); save the model again")


def test_damaged_zip_member(tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / "m.keras")
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("config.json").header_offset + 60
    data = bytearray(path.read_bytes())
    data[start : start + 20] = bytes(20)
    path.write_bytes(data)
    assert message(path).startswith("is a damaged .keras file (")


def test_zip_archives_that_are_no_models(tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "hello")
    assert message(path) == "is no .keras file: the archive holds no config.json"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{")
    assert message(path).startswith("is a damaged .keras file (Expecting property name")
    for text in ("[]", "3", "{}", '{"class_name": 3}'):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", text)
            archive.writestr("metadata.json", "[]")
        assert message(path).startswith(("cannot be read as a model: ", "is no .keras file: the archive holds no "))


@pytest.mark.parametrize("depth", [900, 100_000])
def test_endlessly_nested_configuration(depth: int, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "[" * depth + "]" * depth)
        archive.writestr("metadata.json", "{}")
    assert message(path)


def test_weights_only(tmp_path: Path) -> None:
    path = tmp_path / "m.weights.h5"
    build_model("digits").save_weights(path)
    assert message(path) == "holds weights without a model; save it with model.save(), not model.save_weights()"


def test_loading_changes_nothing(tmp_path: Path) -> None:
    path = save(layers.Dense(2, name="dense"), tmp_path / "m.h5")
    shutil.copy(path, tmp_path / "copy")
    objects = dict(keras.saving.get_custom_objects())
    load_model(path)
    assert path.read_bytes() == (tmp_path / "copy").read_bytes()
    assert dict(keras.saving.get_custom_objects()) == objects
