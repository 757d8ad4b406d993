"""Model files: `.keras` and `.h5`, never running code from them."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from qsearch.errors import ModelError, did_you_mean

if TYPE_CHECKING:
    import keras

ENDINGS = (".keras", ".h5", ".hdf5")


def load_model(path: str | Path) -> keras.Model:
    """The model in a file, without its optimizer, losses and metrics.

    Files are written by Keras 3, with or without qsearch's layers, or by Keras 2 where Keras 3 still reads them.
    Lambda layers and pickled functions are refused, as loading them would run code of the file's author.

    Raises:
        ModelError: no such file, no model file, or a model with layers that are not known here.
    """
    path = Path(path)
    _check_file(path)
    import keras

    from qsearch.layers.registry import custom_objects

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = keras.models.load_model(path, custom_objects=custom_objects(), compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever a broken file makes it stumble over
        raise ModelError(f"{path}: {_reason(error)}") from None
    if not isinstance(model, keras.Model):
        raise ModelError(f"{path}: holds a {type(model).__name__}, expected a model")
    return model


def _check_file(path: Path) -> None:
    if path.is_dir():
        what = "a SavedModel folder, which has no layers" if (path / "saved_model.pb").exists() else "a folder"
        raise ModelError(f"{path}: is {what}; expected a .keras or .h5 file")
    if not path.exists():
        others = sorted(o.name for o in path.parent.glob("*") if o.suffix in ENDINGS) if path.parent.is_dir() else []
        listed = f" (model files there: {', '.join(others)})" if others else ""
        raise ModelError(f"{path}: no such file{did_you_mean(path.name, others)}{listed}")
    if path.suffix not in ENDINGS:
        raise ModelError(f"{path}: ends in {path.suffix or 'nothing'!r}, expected a model file: .keras or .h5")
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {error.strerror}") from None
    if path.suffix == ".keras":
        if not zipfile.is_zipfile(path):
            raise ModelError(f"{path}: is no .keras file: it is not a whole zip archive; save the model again")
        with zipfile.ZipFile(path) as archive:
            if "config.json" not in archive.namelist():
                raise ModelError(f"{path}: is no .keras file: the archive holds no config.json")
    elif start != b"\x89HDF\r\n\x1a\n":
        raise ModelError(f"{path}: is no HDF5 file; save the model again with model.save('{path.stem}.keras')")


def _reason(error: Exception) -> str:
    text = str(error)
    if "No model config found" in text or "model_config" in text:
        return "holds weights without a model; save it with model.save(), not model.save_weights()"
    if re.search(r"lambda", text, re.IGNORECASE) and re.search(r"safe|arbitrary|unsafe|code", text, re.IGNORECASE):
        return "holds a Lambda layer, which would run code from the file; replace it by a layer of its own"
    unknown = re.search(r"(?:Could not locate class|Unknown (?:layer|object|quantizer):?) '?\"?(\w+)", text)
    if unknown:
        return f"holds a {unknown[1]}, which is not known here; only Keras' and qsearch's own layers are read"
    first = text.strip().partition("\n")[0][:200]
    return f"cannot be read as a model: {first or type(error).__name__}"
