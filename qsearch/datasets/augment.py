"""Random moves of images: flips, shifts and crops, in numpy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.config.augment import AugmentConfig
from qsearch.datasets.dataset import Array
from qsearch.errors import DatasetError

_SIDES = {3: 1, 4: 2}
"""Sides of a sample, by the rank of a batch: (samples, steps, channels) and (samples, height, width, channels)."""


@dataclass(frozen=True)
class Moves:
    """Moves of a configuration; each sample has its own draw, and what comes in at the border repeats the border."""

    config: AugmentConfig

    def __call__(self, x: Any, y: Any, random: numpy.random.Generator) -> tuple[Any, Any]:
        """Moved samples; labels with a value for every position move along.

        Raises:
            DatasetError: samples that are no images.
        """
        if not isinstance(x, numpy.ndarray) or x.ndim not in _SIDES:
            found = f"samples of shape {x.shape[1:]}" if isinstance(x, numpy.ndarray) else "several inputs"
            raise DatasetError(
                f"dataset.augment: flip, shift and crop are for images (height, width, channels) or series "
                f"(steps, channels), found {found}; name a function instead"
            )
        if self.config.flip is not None and x.ndim != 4:
            raise DatasetError(f"dataset.augment.flip: is for images, found samples of shape {x.shape[1:]}")
        places = [self._places(axis, x.shape[0], x.shape[1 + axis], random) for axis in range(_SIDES[x.ndim])]
        sides = x.shape[1 : 1 + len(places)]
        along = isinstance(y, numpy.ndarray) and y.ndim > len(sides) and y.shape[1 : 1 + len(sides)] == sides
        return _gathered(x, places), _gathered(y, places) if along else y

    def _places(self, axis: int, samples: int, side: int, random: numpy.random.Generator) -> NDArray[numpy.int64]:
        """For each sample and place along an axis, the place that it is taken from."""
        places = numpy.broadcast_to(numpy.arange(side), (samples, side))
        if self.config.flip in (("vertical", "both"), ("horizontal", "both"))[axis]:
            flipped = random.random(samples) < 0.5
            places = numpy.where(flipped[:, None], places[:, ::-1], places)
        shift = self.config.shift or 0
        for most in (round(shift * side) if shift < 1 else int(shift), self.config.crop or 0):
            if most:
                moved = numpy.arange(side) + random.integers(-most, most + 1, samples)[:, None]
                places = numpy.take_along_axis(places, moved.clip(0, side - 1), axis=1)
        return places


def _gathered(array: Array, places: list[NDArray[numpy.int64]]) -> Array:
    samples = numpy.arange(len(array))
    if len(places) == 1:
        return numpy.asarray(array[samples[:, None], places[0]])
    return numpy.asarray(array[samples[:, None, None], places[0][:, :, None], places[1][:, None, :]])
