"""Data of the user's own: a file of arrays, or a function that gives arrays or pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy

from qsearch.datasets.dataset import ArrayDataset, Dataset, Split
from qsearch.datasets.extra import extra_arrays
from qsearch.datasets.fitting import split_of
from qsearch.datasets.layout import Layout, is_array
from qsearch.datasets.load import Validation, check_count, check_fraction, hold_out
from qsearch.datasets.npz import arrays_in
from qsearch.datasets.pipeline import Pipeline, pipeline_of
from qsearch.datasets.streams import Stream, stream_of
from qsearch.errors import DatasetError, told
from qsearch.imports import imported

_SETS = ("train", "test")
_GIVES = "((x_train, y_train), (x_test, y_test)), or two pipelines"
_THREE_SETS = ("train", "validation", "test")
_GIVES_THREE = "(training, validation, test), each (x, y) or a pipeline, as validation: given says"


def load_custom(
    layout: Layout,
    npz: str | None = None,
    factory: str | None = None,
    train_samples: int | None = None,
    test_samples: int | None = None,
    validation: Validation = "test",
    extra: Sequence[str] = (),
) -> Dataset:
    """A data set from a file or a function, as a model takes it.

    Args:
        layout: what the model takes.
        npz: a file with the arrays x_train, y_train, x_test and y_test, as `numpy.savez` and Keras' mnist.npz have
            them; of several inputs or heads, x_train_NAME and so on for each. w_train and w_test weigh the samples.
            Arrays that metrics ask for are called NAME_train and NAME_test.
        factory: import path of a function without arguments that gives ((x_train, y_train), (x_test, y_test)), each
            arrays, lists or dictionaries of them, a third one of sample weights where there are some, and a fourth, a
            dictionary, of arrays that metrics ask for; or two pipelines: tf.data.Dataset, keras.utils.PyDataset,
            generators or other iterables of batches or samples.
        validation: "test"; "given" where the file has x_validation and y_validation, or the function gives three sets,
            the second for validation; or the fraction of the training set to hold out: arrays are shuffled before, with
            a fixed seed; of pipelines it is the last batches.
        extra: the names that metrics ask for.

    Raises:
        DatasetError: no such file or function, or data that do not belong together or do not fit the model.
    """
    name = str(npz or factory)
    sets = _THREE_SETS if validation == "given" else _SETS
    if validation != "given":
        check_fraction(validation, name)
    given: Mapping[str, tuple[Any, ...] | Stream]
    if npz is not None:
        where, given = npz, _from_file(npz, sets, extra)
    else:
        where, given = name, _from_function(name, sets)
    counts = {"train": train_samples, "test": test_samples}
    sources = {each: _source(layout, given[each], counts.get(each), where, each, validation) for each in sets}
    train, test = sources["train"], sources["test"]
    if validation == "given":
        return Dataset(name, train, test, sources["validation"])
    if isinstance(train, Pipeline):
        if validation == "test":
            return Dataset(name, train, test)
        kept, held = train.held_out(float(validation), layout)
        return Dataset(name, kept, test, held)
    if isinstance(test, Pipeline):
        part = hold_out(ArrayDataset(name, train, train), validation)
        return Dataset(part.name, part.train, test, part.validation)
    return hold_out(ArrayDataset(name, train, test), validation)


def _source(
    layout: Layout, given: tuple[Any, ...] | Stream, count: int | None, where: str, name: str, validation: object
) -> Split | Pipeline:
    what = _called(where, name)
    if not isinstance(given, tuple):
        key = "in the factory, as .take(n) does" if name == "validation" else f"dataset.{name}_samples"
        return pipeline_of(given, layout, count, what, key)
    split = split_of(layout, given[:3], what)
    if len(given) > 3:
        split = replace(split, extra=extra_arrays(given[3], split.samples, what))
    if name == "train" and not isinstance(validation, str):
        split = split.part(numpy.random.default_rng(0).permutation(split.samples))
    check_count(count, split.samples, where, f"{name}_samples")
    return split.first(count)


def _called(where: str, name: str) -> str:
    return f"{where}: {'training' if name == 'train' else name} set"


def _from_file(npz: str, sets: Sequence[str], extra: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    where = npz
    names = [f"{kind}_{name}" for name in sets for kind in "xyw"]
    asked = {name: {f"{each}_{name}": each for each in extra} for name in sets}
    arrays = arrays_in(npz, [*names, *(called for each in asked.values() for called in each)], where)
    parts: dict[str, Any] = {}
    for part in names:
        several = {
            name.removeprefix(f"{part}_"): value for name, value in arrays.items() if name.startswith(f"{part}_")
        }
        if part not in arrays and not several and not part.startswith("w"):
            holds = ", ".join(arrays) or "nothing"
            raise DatasetError(f"{where}: has no array {part} (nor {part}_NAME for each input or head); holds {holds}")
        parts[part] = arrays.get(part, several or None)
    more = {
        name: {each: arrays[called] for called, each in asked[name].items() if called in arrays} or None
        for name in sets
    }
    return {name: (parts[f"x_{name}"], parts[f"y_{name}"], parts[f"w_{name}"], more[name]) for name in sets}


def _from_function(factory: str, sets: Sequence[str]) -> dict[str, tuple[Any, ...] | Stream]:
    where = factory
    function = imported(factory, DatasetError)
    gives = _GIVES_THREE if len(sets) == len(_THREE_SETS) else _GIVES

    def give() -> Any:
        try:
            return function()
        except (Exception, SystemExit) as error:  # the user's own code
            raise DatasetError(f"{where}: did not give {gives} when called without arguments ({told(error)})") from None

    given = give()
    if isinstance(given, str | Mapping) or not isinstance(given, tuple | list) or len(given) != len(sets):
        three = isinstance(given, tuple | list) and len(given) == len(_THREE_SETS)
        hint = "; for three sets take dataset.validation: given" if three and len(sets) == len(_SETS) else ""
        raise DatasetError(f"{where}: did not give {gives}, but {_told(given)}{hint}")
    if all(is_array(part) for part in given):
        raise DatasetError(f"{where}: did not give {gives}, but {len(given)} arrays; a test set is needed too")
    if _crosswise(given):
        raise DatasetError(f"{where}: gave ((x_train, x_test), (y_train, y_test)), as it seems; expected {gives}")
    return {
        name: _set(part, lambda index=index: give()[index], _called(where, name))
        for index, (name, part) in enumerate(zip(sets, given, strict=True))
    }


def _set(part: Any, again: Any, what: str) -> tuple[Any, ...] | Stream:
    stream = stream_of(part, again)
    if stream is not None:
        return stream
    if isinstance(part, tuple | list) and len(part) in (2, 3, 4):
        return tuple(part)
    raise DatasetError(f"{what}: expected (x, y), (x, y, sample_weight) or a pipeline; found {_told(part)}")


def _crosswise(given: Any) -> bool:
    """Whether two pairs of arrays belong together crosswise alone."""
    if not all(isinstance(part, tuple | list) and len(part) == 2 and all(map(is_array, part)) for part in given):
        return False
    rows = [[part.shape[0] if len(part.shape) else 0 for part in pair] for pair in given]
    return len(rows) == 2 and rows[0][0] != rows[0][1] and rows[0] == rows[1]


def _told(given: Any) -> str:
    if given is None:
        return "nothing (None)"
    if isinstance(given, Mapping):
        return f"a dictionary of {', '.join(map(str, given)) or 'nothing'}"
    if isinstance(given, tuple | list):
        return f"{len(given)} things: {', '.join(type(each).__name__ for each in given[:4])}"
    return f"a {type(given).__name__}"
