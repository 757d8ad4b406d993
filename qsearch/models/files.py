"""Model files: `.keras` and `.h5`, never running code from them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qsearch.errors import ModelError, did_you_mean
from qsearch.models.stored import read_stored, refuse_foreign

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".h5", ".hdf5")
_LISTED = 6


def load_model(
    path: str | Path, allow_code: bool = False, custom_objects: Mapping[str, Any] | None = None
) -> keras.Model:
    """The model in a file, without its optimizer, losses and metrics.

    Files are `.keras` or `.h5` of Keras 3, with or without qsearch's layers, or `.h5` of Keras 2 and QKeras.
    Lambda layers, pickled functions and classes from elsewhere are refused: loading them could run code of the
    file's author.

    Args:
        allow_code: make Lambda layers all the same, for a file whose author you trust.
        custom_objects: classes and functions of your own by name.

    Raises:
        ModelError: no such file, no model file, or a model with layers that are not known here.
    """
    path = Path(path)
    _check_path(path)
    import keras

    from qsearch.layers.registry import custom_objects as registered_objects

    objects = {**registered_objects(), **(custom_objects or {})}
    version = ""
    try:
        stored = read_stored(path)
        version = stored.keras_version
        if path.suffix == ".keras" and version.startswith("2."):
            raise ModelError(
                f"{path}: was written by Keras {version}, whose .keras files Keras 3 cannot read; "
                f"save it as {path.stem}.h5 with that version"
            )
        if path.suffix != ".keras" and not version.startswith("3"):  # Keras 3 always says that it wrote a file
            return _load_keras2(path, stored.config, allow_code)
        refuse_foreign(path, stored, objects.keys(), allow_code, own=(custom_objects or {}).keys())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, custom_objects=objects, compile=False, safe_mode=not allow_code)
    except ModelError:
        raise
    except Exception as error:  # Keras raises whatever a broken file makes it stumble over
        raise ModelError(f"{path}: {_reason(error, version)}") from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path}: holds a {type(model).__name__}, expected a model")
    return model


def _load_keras2(path: Path, stored: Any, allow_code: bool) -> keras.Model:
    from qsearch.models.keras2 import load_keras2

    return load_keras2(path, stored, allow_code)


def _check_path(path: Path) -> None:
    if path.is_dir():
        what = "a SavedModel folder, which has no layers" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path}: is {what}; expected a .keras or .h5 file")
    if not path.exists():
        raise ModelError(f"{path}: no such file{_others(path)}")
    if path.suffix not in ENDINGS:
        ending = repr(path.suffix) if path.suffix else "nothing"
        raise ModelError(f"{path}: ends in {ending}, expected a model file: .keras or .h5")
    try:
        path.open("rb").close()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None


def _others(path: Path) -> str:
    """The nearest model file of the folder, or the first few of them."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = sorted(other.name for other in path.parent.iterdir() if other.suffix in ENDINGS and other.is_file())
    if near := did_you_mean(path.name, names):
        return near
    more = ", ..." if len(names) > _LISTED else ""
    return f"; model files there: {', '.join(names[:_LISTED])}{more}" if names else ""


def _reason(error: Exception, version: str) -> str:
    inner = str(error).rpartition("Exception encountered:")[2]  # Keras puts the cause last, after whole configurations
    first = inner.strip().partition("\n")[0][:200] or type(error).__name__
    if version.startswith("2."):
        return (
            f"was written by Keras {version}, and Keras 3 cannot rebuild it; "
            f"rebuild the model with Keras 3 and save it as .keras ({first})"
        )
    return f"cannot be read as a model: {first}"
