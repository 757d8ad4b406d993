"""Weights from files of Keras 3: `.weights.h5`, and `.h5` with or without a model in it."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy

from qsearch.errors import ModelError
from qsearch.paths import temporary_folder

_NORM = "batchnorm"
"""What QKeras calls the normalization inside a folded layer."""


def load_weights(model: keras.Model, path: Path) -> None:
    """Set the weights of a model from a file that Keras 3 wrote, with QKeras' layers or ours.

    Raises:
        ModelError: a damaged file, or weights that are not the model's.
    """
    with temporary_folder() as folder:
        try:
            if path.suffix == ".keras":
                with zipfile.ZipFile(path) as archive:
                    extracted = Path(archive.extract("model.weights.h5", folder))
            else:
                extracted = path
            model.load_weights(_merged(extracted, folder))
        except Exception as error:  # Keras raises whatever a broken file makes it stumble over
            reason = " ".join(str(error).split()) or type(error).__name__  # Keras' reasons have several lines
            raise ModelError(f"{path}: its weights do not fit the model: {reason[:300]}") from None


def _merged(path: Path, folder: Path) -> Path:
    """The file itself, or a copy in which folded layers hold their normalization's weights as ours do."""
    with h5py.File(path, "r") as file:
        if "layer_names" in file.attrs or "model_weights" in file:
            return path  # weights by layer and in order, which is ours
        folded: list[str] = []
        file.visit(lambda name: folded.append(name) if name.endswith(f"/{_NORM}/vars") else None)
    if not folded:
        return path
    copy = folder / "merged.weights.h5"
    shutil.copyfile(path, copy)
    with h5py.File(copy, "r+") as file:
        for name in folded:
            _merge(file[name.removesuffix(f"/{_NORM}/vars")])
    return copy


def _merge(layer: Any) -> None:
    """Kernel, bias, gamma, beta, iteration, moving mean, moving variance; the first four where the layer has them."""
    own = [numpy.asarray(layer["vars"][key]) for key in sorted(layer["vars"]) if key.isdigit()]
    norm = [numpy.asarray(layer[_NORM]["vars"][key]) for key in sorted(layer[_NORM]["vars"])]
    iteration = [value for value in own if value.ndim == 0] or [numpy.asarray(layer["vars"]["iteration"])]
    weights = [value for value in own if value.ndim > 0]
    merged = [*weights, *norm[:-2], iteration[0], *norm[-2:]]
    del layer["vars"], layer[_NORM]
    variables = layer.create_group("vars")
    for index, value in enumerate(merged):
        variables[str(index)] = value
