"""Changes of a batch of training samples: moves of images, and functions of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy

from qsearch.config.augment import AugmentConfig
from qsearch.datasets.augment import Moves
from qsearch.datasets.dataset import leaves
from qsearch.datasets.fitting import split_of
from qsearch.datasets.layout import Layout
from qsearch.datasets.trouble import Trouble, noted
from qsearch.errors import ConfigError, DatasetError, told
from qsearch.imports import imported

Random = numpy.random.Generator
Step = Callable[[Any, Any, Random], tuple[Any, Any]]


@dataclass(frozen=True)
class OwnStep:
    """A function of the user's own: f(x), f(x, y) or f(x, y, random); or a Keras layer.

    Attributes:
        taken: how many of these it takes.
        layout: what it has to give: samples and labels that fit the model, as the data set's do.
    """

    path: str
    function: Callable[..., Any]
    taken: int
    layout: Layout

    @property
    def float_labels(self) -> list[str]:
        """The heads whose labels become floats, as they are no class numbers."""
        return [head.name for head in self.layout.heads if head.labels != "classes"]

    def __call__(self, x: Any, y: Any, random: Random) -> tuple[Any, Any]:
        """A batch with the change; its samples are floats, as are labels that are no class numbers.

        Raises:
            DatasetError: it fails, or gives what does not fit the model.
        """
        what = f"dataset.augment: {self.path}"
        expected = "x" if self.taken == 1 else "(x, y)"
        more = {"training": True} if isinstance(self.function, keras.layers.Layer) else {}
        try:
            # copies, as a function may change what it is given
            whole = (*keras.tree.map_structure(numpy.array, (x, y)), random)
            given = self.function(*whole[: self.taken], **more)
        except Exception as error:  # the user's own code
            raise DatasetError(f"{what} did not give {expected} for a batch ({told(error)})") from None
        if self.taken > 1 and not (isinstance(given, tuple | list) and len(given) == 2):
            found = f"{len(given)} things" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
            raise DatasetError(f"{what} did not give (x, y) for a batch, but {found}")
        new_x, new_y = (given, y) if self.taken == 1 else given
        if new_x is None or new_y is None:
            raise DatasetError(f"{what} did not give {expected} for a batch, but None; does it return what it made?")
        split = split_of(self.layout, (_arrays(new_x), _arrays(new_y)), f"{what}: a batch")
        rows = len(leaves(_arrays(x))[0])
        if split.samples != rows:
            raise DatasetError(f"{what}: gives {split.samples} samples for a batch of {rows}, expected as many")
        labels = dict(zip(self.layout.head_names, leaves(split.y), strict=True))
        labels |= {name: _floats(labels[name]) for name in self.float_labels}
        # in the structure that labels had
        packed: Any = labels if isinstance(y, Mapping) else tuple(labels.values())
        if not isinstance(y, Mapping | list | tuple):
            packed = packed[0]
        return keras.tree.map_structure(_floats, split.x), packed


@dataclass(frozen=True)
class Augmentation:
    """Changes of a batch of training samples, one after the other.

    Attributes:
        trouble: what went wrong in batches.
    """

    steps: tuple[Step, ...]
    trouble: Trouble = field(default_factory=list)

    def __call__(self, x: Any, y: Any, random: Random) -> tuple[Any, Any]:
        """A batch with all changes.

        Raises:
            DatasetError: a change does not fit the samples, or fails.
        """
        with noted(self.trouble):
            for step in self.steps:
                x, y = step(x, y, random)
        return x, y


def augmentation(steps: Sequence[AugmentConfig | str], layout: Layout) -> Augmentation | None:
    """The changes that a configuration names; None where it names none.

    Raises:
        ConfigError: an import path that leads nowhere.
    """
    made = tuple(Moves(step) if isinstance(step, AugmentConfig) else _own(step, layout) for step in steps)
    return Augmentation(made) if made else None


def _own(path: str, layout: Layout) -> OwnStep:
    function = imported(path, ConfigError)
    if not callable(function) or isinstance(function, type):
        kind = f"the class {function.__name__}" if isinstance(function, type) else f"a {type(function).__name__}"
        raise ConfigError(f"{path}: found {kind}, expected a function of a batch (x), (x, y) or (x, y, random)")
    layer = isinstance(function, keras.layers.Layer)
    return OwnStep(path, function, 1 if layer else _positions(function), layout)


def _positions(function: Any) -> int:
    """How many of (x, y, random) a function takes."""
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


def _floats(array: Any) -> Any:
    return array if array.dtype == numpy.float32 else array.astype(numpy.float32)
