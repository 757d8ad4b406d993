"""Training samples that are changed batch by batch, before `fit` sees them."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy

from qsearch.config.augment import AugmentConfig
from qsearch.datasets.augment import Moves
from qsearch.errors import ConfigError, DatasetError
from qsearch.imports import imported

Step = Callable[[Any, Any, numpy.random.Generator], tuple[Any, Any]]


@dataclass(frozen=True)
class Augmentation:
    """Changes of a batch of training samples, one after the other."""

    steps: tuple[Step, ...]

    def __call__(self, x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
        """A batch with all changes.

        Raises:
            DatasetError: a change does not fit the samples, or fails.
        """
        for step in self.steps:
            x, y = step(x, y, random)
        return x, y


def augmentation(steps: Sequence[AugmentConfig | str]) -> Augmentation | None:
    """The changes that a configuration names; None where it names none.

    Raises:
        ConfigError: an import path that leads nowhere.
    """
    made = tuple(Moves(step) if isinstance(step, AugmentConfig) else _own(step) for step in steps)
    return Augmentation(made) if made else None


def _own(path: str) -> Step:
    """A function of the user's own: f(x), f(x, y) or f(x, y, random); or a Keras layer."""
    found = imported(path, ConfigError)
    if not callable(found) or isinstance(found, type):
        raise ConfigError(f"{path}: found {found!r}, expected a function of a batch (x), (x, y) or (x, y, random)")
    layer = isinstance(found, keras.layers.Layer)
    taken = 1 if layer else _positions(found)
    more = {"training": True} if layer else {}

    def step(x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
        try:
            given = found(*(x, y, random)[:taken], **more)
            new_x, new_y = (given, y) if taken == 1 else given
            return _arrays(new_x), _arrays(new_y)
        except Exception as error:  # the user's own code
            reason = str(error).strip().partition("\n")[0]
            expected = "x" if taken == 1 else "(x, y)"
            raise DatasetError(
                f"dataset.augment: {path} did not give {expected} for a batch ({type(error).__name__}: {reason})"
            ) from None

    return step


def _positions(function: Any) -> int:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # not written in Python
        return 1
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    needed = [one for one in parameters if one.kind in kinds]
    return min(3, max(1, sum(one.default is inspect.Parameter.empty for one in needed)))


def _arrays(given: Any) -> Any:
    if isinstance(given, Mapping):
        return {name: numpy.asarray(array) for name, array in given.items()}
    if isinstance(given, list | tuple):
        return tuple(numpy.asarray(array) for array in given)
    return numpy.asarray(given)


def augmented(fed: Mapping[str, Any], change: Augmentation, seed: int, first_epoch: int = 0) -> dict[str, Any]:
    """Arguments of `fit` like the given ones, whose batches are changed.

    Args:
        fed: arrays `x` and `y`, perhaps `sample_weight`, and `batch_size`.
        seed: of the order of the samples and of all draws; the same seed gives the same batches.
        first_epoch: epochs that were trained before, whose draws are not repeated.
    """
    parts = [fed["x"], fed["y"], *([fed["sample_weight"]] if fed.get("sample_weight") is not None else [])]
    return {"x": _Batches(parts, fed["batch_size"], change, seed, first_epoch)}


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Shuffled batches of arrays; which they are depends on seed, epoch and number alone."""

    def __init__(self, parts: Sequence[Any], batch_size: int, change: Augmentation, seed: int, epoch: int) -> None:
        super().__init__()
        self.parts = parts
        self.batch_size = batch_size
        self.change = change
        self.seed = seed
        self.epoch = epoch
        self.samples = len(keras.tree.flatten(parts[0])[0])
        self.order = self._shuffled()

    @property
    def num_batches(self) -> int:
        return math.ceil(self.samples / self.batch_size)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        x, y, *weights = (keras.tree.map_structure(lambda array: array[rows], part) for part in self.parts)
        return (*self.change(x, y, numpy.random.default_rng((self.seed, self.epoch, index))), *weights)

    def on_epoch_end(self) -> None:
        self.epoch += 1
        self.order = self._shuffled()

    def _shuffled(self) -> Any:
        return numpy.random.default_rng((self.seed, self.epoch)).permutation(self.samples)
