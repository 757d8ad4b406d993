"""How large the weights of a stored model are, found out before memory is taken for them."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import keras
from keras.src.backend.common import global_state  # variables that wait for a value are listed nowhere else

from qsearch.errors import ModelError
from qsearch.models import bounds
from qsearch.models.bounds import allowed
from qsearch.models.containers import check_hdf5, check_zip, shown_bytes
from qsearch.paths import temporary_folder

_WEIGHTS = "model.weights.h5"
_WAITING = "uninitialized_variables"
_FLOAT = 4
_BOTH = 2
"""Twice what is stored: float32 variables of weights that are stored in half precision."""


def stored_bytes(path: Path) -> int:
    """How many bytes of weights a `.keras` or HDF5 file holds.

    Raises:
        ModelError: it holds none, or what `containers` refuses.
    """
    if path.suffix != ".keras":
        with h5py.File(path, "r") as file:
            return check_hdf5(str(path), file)
    with zipfile.ZipFile(path) as archive, temporary_folder() as folder:
        check_zip(path, archive)
        if _WEIGHTS not in archive.namelist():
            raise ModelError(f"{path}: is no .keras file: the archive holds no {_WEIGHTS}")
        with h5py.File(archive.extract(_WEIGHTS, folder), "r") as file:
            return check_hdf5(str(path), file)


def check_declared(path: Path, build: Callable[[], Any], stored: int, own: bool = False) -> None:
    """Build a model without values for its variables, and see that the file can hold them.

    Args:
        build: makes the model.
        stored: how many bytes of weights there are.
        own: whether classes of the user's own take part, which may need the values; they are trusted then.

    Raises:
        ModelError: its variables are far larger than what is stored.
    """
    limit = max(allowed(bounds.FREE_BYTES), _BOTH * stored)
    try:
        with _normalizations_measured(path, limit):
            needed = sum(math.prod(shape) * _itemsize(dtype) for shape, dtype in _variables(build))
    except ModelError:
        raise
    except Exception:
        if own:
            return
        raise
    if needed > limit:
        raise ModelError(
            f"{path}: its layers need {shown_bytes(needed)} of weights, and it holds {shown_bytes(stored)}; "
            f"check the sizes of its layers, or, {bounds.HOW_TO_RAISE}"
        )


@contextmanager
def _normalizations_measured(path: Path, limit: int) -> Iterator[None]:
    """Measure what a Normalization subtracts before it is built: it is the one layer that computes arrays then."""
    kind = keras.layers.Normalization
    build = kind.build

    def measured(layer: Any, input_shape: Any) -> None:
        sides = [input_shape[axis] for axis in layer.axis if -len(input_shape) <= axis < len(input_shape)]
        needed = 2 * _FLOAT * math.prod(side or 0 for side in sides)
        if needed > limit:
            raise ModelError(
                f"{path}: layer {layer.name!r} normalizes {shown_bytes(needed)} of means and variances, more than the "
                f"file holds; check its axis and the sizes of the layers before it, or, {bounds.HOW_TO_RAISE}"
            )
        build(layer, input_shape)

    kind.build = measured
    try:
        yield
    finally:
        kind.build = build


def _variables(build: Callable[[], Any]) -> list[tuple[tuple[int, ...], str]]:
    """Shapes and types of all variables that are made on the way."""
    before = global_state.get_global_attribute(_WAITING)
    global_state.set_global_attribute(_WAITING, [])
    try:
        with warnings.catch_warnings(), keras.StatelessScope(initialize_variables=False), keras.name_scope("declared"):
            warnings.simplefilter("ignore")
            build()
        made = global_state.get_global_attribute(_WAITING) or []
        return [(tuple(one.shape), one.dtype) for one in made]
    finally:
        global_state.set_global_attribute(_WAITING, before)


def _itemsize(dtype: str) -> int:
    digits = "".join(filter(str.isdigit, dtype))
    return max(int(digits) // 8, 1) if digits else 1
