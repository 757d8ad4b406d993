"""What a model file says about itself, read before Keras rebuilds anything from it."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsearch.errors import ModelError
from qsearch.models import bounds
from qsearch.models.bounds import allowed
from qsearch.models.containers import check_hdf5, check_members, check_zip

_CODE = ("Lambda", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer", "__lambda__")
"""Keras' classes that run code, pickles or graphs kept in the file."""

_MODELS = ("Functional", "Model", "Sequential")

_TYPE_SPEC = "__typespec__"
_NO_FILES = ("vocabulary", "idf_weights")
"""What lookup layers take as a list of words or numbers, or as the path of a file that holds them."""


@dataclass(frozen=True)
class Stored:
    """The model's configuration as JSON values, and the version of Keras that wrote it ("" where unsaid)."""

    config: Any
    keras_version: str


@dataclass(frozen=True, kw_only=True)
class StoredItem:
    """A serialised object: the layer it belongs to, or is.

    `module` is None for a class registered outside Keras, and "" where the format does not write it; `registered` is
    the name that Keras looks for among custom objects, and `package` the one it was registered with. `reads_file` is
    the argument that names a file which the layer would open.
    """

    layer: str
    is_layer: bool
    name: str
    module: str | None
    registered: str
    package: str
    function: bool = False
    reads_file: str = ""


def read_stored(path: Path) -> Stored:
    """The configuration in a `.keras`, `.h5` or `.json` file.

    Raises:
        ModelError: the file is damaged, or holds no model.
    """
    if path.suffix == ".json":
        return _in_json(path)
    return _in_zip(path) if path.suffix == ".keras" else _in_hdf5(path)


def _in_json(path: Path) -> Stored:
    """Keras 2 writes its version into what to_json gives, Keras 3 the module of every class."""
    _check_length(path, path.stat().st_size)
    try:
        config = _parsed(path, path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: is no JSON file ({error}); write it with model.to_json()") from None
    if not (isinstance(config, dict) and isinstance(config.get("class_name"), str) and "config" in config):
        raise ModelError(f"{path}: holds no model's architecture; write it with model.to_json()")
    version = config.get("keras_version") or ("3" if "module" in config else "2")
    return Stored(config, str(version))


def refuse_foreign(
    path: Path, stored: Stored, known: Collection[str], allow_code: bool = False, own: Collection[str] = ()
) -> None:
    """Refuse a file that would run code of its author, or that needs classes which are not here.

    Keras refuses most of these too, without saying which layer it is about.

    Args:
        known: names of the classes that the caller hands to Keras.
        allow_code: let Lambda layers and pickled functions pass.
        own: those of them that are the user's own.

    Raises:
        ModelError: it names the first such layer.
    """
    import keras

    from qsearch.models.importable import is_importable

    config = stored.config
    if isinstance(config, dict):  # the model is loaded without being compiled
        config = {key: value for key, value in config.items() if key != "compile_config"}
    refuse_named_files(path, stored)
    for item in items(config, "", is_layer=True):
        where = f"{path}: layer {item.layer!r}"
        if item.name in _CODE and allow_code:
            continue
        if item.name in _CODE:
            what = "holds a pickled function" if item.name == "__lambda__" else f"is a {item.name}"
            raise ModelError(f"{where} {what}, which would run code from the file; rebuild the model without it")
        if item.name == _TYPE_SPEC:
            foreign = True
        elif item.module and item.module.split(".")[0] in ("builtins", "qsearch"):
            ours = item.name.removeprefix("qsearch>") in known or item.registered in own
            foreign = not ours and not (item.function and is_importable(item.module, item.name, True))
        elif item.module:
            foreign = not is_importable(item.module, item.name, item.function) and item.registered not in own
        elif item.module is None:
            foreign = item.name not in known and item.registered not in own
        else:
            foreign = item.is_layer and not (item.name in {*known, *_MODELS} or hasattr(keras.layers, item.name))
        if foreign:
            name = item.name.rpartition(">")[2]
            what = f"is a {name}" if item.is_layer else f"uses {name!r}"
            raise ModelError(
                f"{where} {what}, which is not known here; Keras' and qsearch's own are, and those of custom_objects"
            )


def refuse_named_files(path: Path, stored: Stored) -> None:
    """Refuse layers that would open a file which the model names: what is in it would end up in the model.

    Raises:
        ModelError: it names the first such layer.
    """
    for item in items(stored.config, "", is_layer=True):
        if item.reads_file:
            raise ModelError(
                f"{path}: layer {item.layer!r} takes its {item.reads_file} from a file that it names; give the layer "
                "the words themselves when the model is made, and save it again"
            )


def items(part: Any, layer: str, is_layer: bool) -> Iterator[StoredItem]:
    """Every serialised object in a configuration.

    Args:
        layer: the name of the layer that `part` belongs to.
        is_layer: whether `part` is a layer or a list of them.
    """
    if isinstance(part, list):
        for entry in part:
            yield from items(entry, layer, is_layer)
    elif isinstance(part, dict):
        kind, inner = part.get("class_name"), part.get("config")
        if isinstance(kind, str):
            if is_layer and isinstance(inner, dict):
                layer = str(inner.get("name", part.get("name", layer)))
            name = str(inner) if kind == "function" else kind.removeprefix("qsearch>")
            # values such as tuples and tensors are written as __tuple__ ..., without a module
            package, _, registered = str(part.get("registered_name") or kind).rpartition(">")
            registered = registered if part.get("registered_name") else ""
            plain = is_layer and not kind.startswith("__")
            options = inner if isinstance(inner, dict) else {}
            reads = next((key for key in _NO_FILES if isinstance(options.get(key), str)), "")
            module = part.get("module", "")
            yield StoredItem(
                layer=layer,
                is_layer=plain,
                name=name,
                module=module,
                registered=registered,
                package=package,
                function=kind == "function",
                reads_file=reads,
            )
        for key, entry in part.items():
            yield from items(entry, layer, key in ("layers", "layer"))


def _member(path: Path, archive: zipfile.ZipFile, name: str) -> Any:
    _check_length(path, archive.getinfo(name).file_size)
    return _parsed(path, archive.read(name))


def _check_length(path: Path, length: int) -> None:
    most = allowed(bounds.DESCRIPTION_BYTES)
    if length > most:
        raise ModelError(
            f"{path}: describes its model in {length:,} bytes, at most {most:,} are read; keep arrays among the "
            f"weights, or, {bounds.HOW_TO_RAISE}"
        )


def _parsed(path: Path, text: bytes) -> Any:
    """JSON, after its values have been counted: lists of nothing take twenty times their text, and each is rebuilt."""
    _check_length(path, len(text))
    values = text.count(b",") + text.count(b"[") + text.count(b"{")
    most = allowed(bounds.DESCRIPTION_VALUES)
    if values > most:
        raise ModelError(
            f"{path}: describes its model with {values:,} values, at most {most:,} are read; keep arrays among "
            f"the weights, and vocabularies in files of Keras 3 (.keras), or, {bounds.HOW_TO_RAISE}"
        )
    return json.loads(text)


def _in_zip(path: Path) -> Stored:
    check_members(path)
    if not zipfile.is_zipfile(path):
        raise ModelError(f"{path}: is no .keras file: it is not a whole zip archive; save the model again")
    try:
        with zipfile.ZipFile(path) as archive:
            check_zip(path, archive)
            if "config.json" not in archive.namelist():
                raise ModelError(f"{path}: is no .keras file: the archive holds no config.json")
            config = _member(path, archive, "config.json")
            metadata = _member(path, archive, "metadata.json") if "metadata.json" in archive.namelist() else {}
    except (zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, OSError) as error:
        raise ModelError(f"{path}: is a damaged .keras file ({error}); save the model again") from None
    return Stored(config, str(metadata.get("keras_version", "")) if isinstance(metadata, dict) else "")


def _in_hdf5(path: Path) -> Stored:
    import h5py

    with path.open("rb") as file:
        if file.read(8) != b"\x89HDF\r\n\x1a\n":
            raise ModelError(f"{path}: is no HDF5 file; save the model again with model.save('{path.stem}.keras')")
    try:
        with h5py.File(path, "r") as archive:
            check_hdf5(str(path), archive)
            text, version = archive.attrs.get("model_config"), archive.attrs.get("keras_version", "")
            if text is None:
                raise ModelError(
                    f"{path}: holds weights without a model; save it with model.save(), not model.save_weights()"
                )
            config = _parsed(path, text.encode("utf-8", "replace") if isinstance(text, str) else bytes(text))
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path}: is a damaged HDF5 file ({error}); save the model again") from None
    return Stored(config, version.decode() if isinstance(version, bytes) else str(version))
