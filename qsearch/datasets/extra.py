"""Arrays that a data set has for its metrics alone, such as which samples are anomalies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from qsearch.datasets.dataset import Array
from qsearch.datasets.labels import lengths_agree
from qsearch.errors import DatasetError

RESERVED = ("x", "sample_weight")
"""What metrics can ask for of every data set, so that no array of its own is called so."""


def extra_arrays(given: Any, samples: int, what: str) -> dict[str, Array]:
    """Arrays by name, each with a value for every sample.

    Args:
        given: a dictionary, or None.
        what: how messages call the set.

    Raises:
        DatasetError: they are no arrays, or of other samples.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise DatasetError(
            f"{what}: after x, y and sample_weight comes a {type(given).__name__}, expected a dictionary of arrays "
            "that metrics ask for by name"
        )
    extra: dict[str, Array] = {}
    for name, values in given.items():
        if name in RESERVED:
            raise DatasetError(f"{what}: an array for metrics is called {name!r}, which is taken; call it otherwise")
        try:
            array = numpy.asarray(values)
        except Exception as error:  # rows of different lengths, or whatever a class of the user's own raises
            raise DatasetError(f"{what}: {name}: is no array ({str(error).strip()[:120]})") from None
        if array.dtype.kind == "O" or array.ndim == 0:
            raise DatasetError(f"{what}: {name}: is {array.dtype} of shape {array.shape}, expected one for each sample")
        extra[str(name)] = array
    lengths_agree([("x", samples), *((name, len(array)) for name, array in extra.items())], what)
    return extra
