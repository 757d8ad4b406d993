"""What trials depend on besides the configuration: files, samples and versions, known again by size and hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from qsearch.config import Config
from qsearch.datasets import Dataset, Source, Split
from qsearch.datasets.dataset import Array, leaves
from qsearch.paths import expanded

INPUTS = "inputs"
"""The key of environment.json."""
_CHUNK = 1 << 20
_SAMPLES = 256
"""Of a set in memory that are hashed, spread over all of it."""
_VERSIONS = ("keras", "tensorflow", "numpy")
"""Packages that decide what training comes to."""
Print = Mapping[str, Any]


def of_files(config: Config) -> dict[str, Print]:
    """Path, size and SHA-256 of the files that a configuration names, by their key; of those that can be read."""
    named = {
        "model.path": config.model.path,
        "model.weights": config.model.weights,
        "dataset.npz": config.dataset.npz,
    }
    prints = {key: _of_file(name) for key, name in named.items() if name is not None}
    return {key: found for key, found in prints.items() if found is not None}


def _of_file(name: str) -> Print | None:
    """None where there is nothing to read: whoever reads it then says why."""
    total, digest = 0, hashlib.sha256()
    try:
        path = expanded(name)
        if not path.is_file():
            return None
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                total += len(chunk)
                digest.update(chunk)
    except (OSError, ValueError):
        return None
    return {"path": name, "bytes": total, "sha256": digest.hexdigest()}


def of_data(data: Dataset) -> dict[str, Print]:
    """Of the training, test and validation set: how many samples; of one in memory their shapes, and a hash of some."""
    sets = {"train": data.train, "test": data.test, "validation": data.validation}
    return {name: _of_set(source) for name, source in sets.items() if source is not None}


def _of_set(source: Source) -> Print:
    if not isinstance(source, Split):
        return {"samples": source.samples}
    groups = {"x": source.x, "y": source.y, "weights": source.weights}
    digest = hashlib.sha256()
    shapes: dict[str, list[list[int]]] = {}
    for name, arrays in groups.items():
        found = [] if arrays is None else leaves(arrays)
        shapes[name] = [list(array.shape[1:]) for array in found]
        for part in _parts(name, found):
            digest.update(part)
    return {"samples": source.samples, "shapes": shapes, "sha256_of_some": digest.hexdigest()}


def _parts(name: str, arrays: list[Array]) -> Iterator[bytes]:
    """Some rows of arrays, as bytes that are the same on every machine."""
    for array in arrays:
        yield f"{name} {array.dtype.str}".encode()
        rows = array[numpy.unique(numpy.linspace(0, len(array) - 1, _SAMPLES).astype(int))] if len(array) else array
        # of objects, the bytes are where they are in memory
        yield repr(rows.tolist()).encode() if rows.dtype.hasobject else numpy.ascontiguousarray(rows).tobytes()


def changed_files(then: Mapping[str, Any], now: Mapping[str, Print]) -> list[str]:
    """What is different about the files of a run that was begun, a line each.

    Args:
        then: the environment that it was begun in.
        now: as `of_files` gives it.
    """
    before = _inputs(then).get("files", {})
    return [
        f"{key}: {now[key]['path']} is another file than when the run began: it was {_of(before[key])}, and is "
        f"{_of(now[key])} now"
        for key in before
        if key in now and before[key].get("sha256") != now[key]["sha256"]
    ]


def _of(file: Print) -> str:
    return f"{file['bytes']:,} bytes with SHA-256 {file['sha256'][:12]}..."


def changed_data(then: Mapping[str, Any], now: Mapping[str, Print]) -> list[str]:
    """What is different about the samples, a line for each set."""
    before = _inputs(then).get("data", {})
    return [
        f"the {_NAMES[name]} was {_samples(before.get(name), now.get(name))}, and is "
        f"{_samples(now.get(name), before.get(name))} now"
        for name in _NAMES
        if before and before.get(name) != now.get(name)
    ]


_NAMES = {"train": "training set", "test": "test set", "validation": "validation set"}


def _samples(shown: Print | None, other: Print | None) -> str:
    """A set, as far as needed to tell it from the other one."""
    if shown is None:
        return "none"
    text = f"{shown['samples']:,} samples"
    if other is None or shown["samples"] != other["samples"]:
        return text
    if shown.get("shapes") != other.get("shapes"):
        return f"{text} of shapes {shown.get('shapes')}"
    return f"{text} with SHA-256 {str(shown.get('sha256_of_some'))[:12]}..."


def other_versions(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """Which versions are others than those that a run was begun with, in one line; None where none is.

    Args:
        then, now: environments.
    """
    pairs = [("qsearch", then.get("qsearch"), now.get("qsearch"))]
    packages = then.get("packages") or {}
    pairs += [(name, packages.get(name), now["packages"].get(name)) for name in _VERSIONS]
    differing = [(name, old, new) for name, old, new in pairs if old is not None and old != new]
    if not differing:
        return None
    old, new = (", ".join(f"{one[0]} {one[place] or '(none)'}" for one in differing) for place in (1, 2))
    return f"the run began with {old}, this is {new}: trials may differ"


def _inputs(environment: Mapping[str, Any]) -> Mapping[str, Any]:
    """Nothing of runs by versions that did not note them."""
    found = environment.get(INPUTS)
    return found if isinstance(found, Mapping) else {}
