"""Model files: `.keras`, `.h5`, and `.json` with weights, never running code from them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsearch.errors import LONGEST_LINE, ModelError, QsearchError, did_you_mean, one_line, reason_of, shown
from qsearch.models.packages import refuse_packages
from qsearch.models.stored import Stored, read_stored, refuse_foreign, refuse_named_files
from qsearch.paths import expanded, unreadable

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".h5", ".hdf5")
ARCHITECTURE = ".json"
_LISTED = 6


def load_model(
    path: str | Path,
    allow_code: bool = False,
    custom_objects: Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
) -> keras.Model:
    """The model in a file, without its optimizer, losses and metrics.

    Files are `.keras` or `.h5` of Keras 3, with or without the layers of qsearch or qkeras-v3, or `.h5` of Keras 2 and
    QKeras; or what `to_json` wrote, together with `weights`. Lambda layers, pickled functions and classes from
    elsewhere are refused: loading them could run code of the file's author.

    Args:
        allow_code: make Lambda layers all the same, for a file whose author you trust.
        custom_objects: classes and functions of your own by name.
        weights: for a `.json` file, the `.h5` or `.weights.h5` that `save_weights` wrote, or a whole model's.

    Raises:
        ModelError: no such file, no model file, a model with layers that are not known here, or weights that are not
            the model's.
    """
    path = expanded(path)
    weights_path = _checked_pair(path, None if weights is None else expanded(weights))
    from qsearch.layers.registry import custom_objects as registered_objects

    own = custom_objects or {}
    objects = {**registered_objects(), **own}
    version = ""
    try:
        stored = read_stored(path)
        version = stored.keras_version
        if path.suffix == ".keras" and version.startswith("2."):
            raise ModelError(
                f"{path}: was written by Keras {version}, whose .keras files Keras 3 cannot read; "
                f"save it as {path.stem}.h5 with that version"
            )
        refuse_packages(path, stored.config, own)
        if path.suffix != ".keras" and not version.startswith("3"):  # Keras 3 always says that it wrote a file
            refuse_named_files(path, stored)
            return _load_keras2(path, stored.config, allow_code, weights_path)
        model = _load_keras3(path, stored, objects, own, allow_code, weights_path)
    except ModelError as error:  # which names what the file holds
        raise ModelError(one_line(str(error), LONGEST_LINE)) from None
    except QsearchError:
        raise
    except Exception as error:  # Keras raises whatever a broken file makes it stumble over
        raise ModelError(f"{path}: {_reason(error, version)}") from None
    if not _is_model(model):
        raise ModelError(f"{path}: holds a {type(model).__name__}, expected a model")
    return model


def _load_keras3(
    path: Path,
    stored: Stored,
    objects: Mapping[str, Any],
    own: Mapping[str, Any],
    allow_code: bool,
    weights: Path | None,
) -> Any:
    import keras

    from qsearch.models.declared import check_declared, stored_bytes
    from qsearch.models.qkeras3 import translated
    from qsearch.models.weight_files import load_weights

    config = translated(stored.config)
    refuse_foreign(path, replace(stored, config=config), objects.keys(), allow_code, own=own.keys())
    saved = _as_saved(config)

    def build() -> Any:
        copy = deepcopy(saved)  # Keras takes parts out of what it reads
        return keras.saving.deserialize_keras_object(copy, custom_objects=objects, safe_mode=not allow_code)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check_declared(path, build, stored_bytes(weights or path), bool(own))
        if config == stored.config and weights is None:
            return keras.models.load_model(path, custom_objects=objects, compile=False, safe_mode=not allow_code)
        model = build()
        if _is_model(model):
            load_weights(model, weights or path)
        return model


def _is_model(model: Any) -> bool:
    import keras

    return isinstance(model, keras.Model)


def _as_saved(config: Any) -> Any:
    """A model's configuration without how it was compiled, in the form of `.keras` files where it is of a `.h5`."""
    kept = _uncompiled(config)
    if "module" in kept:
        return kept
    name = "Sequential" if kept["class_name"] == "Sequential" else "Model"
    return {**kept, "module": "keras", "class_name": name, "registered_name": None}


def _uncompiled(part: Any) -> Any:
    """A configuration in which no model, nor one inside it, is compiled."""
    if isinstance(part, list):
        return [_uncompiled(item) for item in part]
    if not isinstance(part, Mapping):
        return part
    return {key: _uncompiled(value) for key, value in part.items() if key != "compile_config"}


def _load_keras2(path: Path, stored: Any, allow_code: bool, weights: Path | None) -> keras.Model:
    from qsearch.models.keras2 import load_keras2

    return load_keras2(path, stored, allow_code, weights)


def _checked_pair(path: Path, weights: Path | None) -> Path | None:
    """The weights' file, after both have been looked at."""
    _check_path(path, (*ENDINGS, ARCHITECTURE))
    if path.suffix == ARCHITECTURE:
        if weights is None:
            raise ModelError(f"{path}: holds an architecture without weights; give weights: too, an .h5 file")
        _check_path(weights, ENDINGS)
    elif weights is not None:
        raise ModelError(f"{path}: holds weights of its own; weights belong to a .json file")
    return weights


def _check_path(path: Path, endings: Sequence[str]) -> None:
    if (problem := unreadable(path)) is not None:
        raise ModelError(f"{shown(str(path))}: {problem}")
    if path.is_dir():
        what = "a SavedModel folder, which has no layers" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path}: is {what}; expected a .keras or .h5 file")
    if not path.exists():
        raise ModelError(f"{path}: no such file{_others(path, endings)}")
    if not path.is_file():
        raise ModelError(f"{path}: is a pipe or a device; expected a .keras or .h5 file")
    if path.suffix not in endings:
        ending = repr(path.suffix) if path.suffix else "nothing"
        raise ModelError(f"{path}: ends in {ending}, expected a model file: .keras or .h5")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None


def _others(path: Path, endings: Sequence[str]) -> str:
    """The nearest model file of the folder, or the first few of them."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = sorted(other.name for other in path.parent.iterdir() if other.suffix in endings and other.is_file())
    if near := did_you_mean(path.name, names):
        return near
    more = ", ..." if len(names) > _LISTED else ""
    return f"; model files there: {', '.join(names[:_LISTED])}{more}" if names else ""


def _reason(error: Exception, version: str) -> str:
    first = reason_of(error)
    if version.startswith("2."):
        return (
            f"was written by Keras {version}, and Keras 3 cannot rebuild it; "
            f"rebuild the model with Keras 3 and save it as .keras ({first})"
        )
    return f"cannot be read as a model: {first}"
