"""Models and data of benchmarks/exports.py that no registry has."""

from __future__ import annotations

from typing import Any

import keras
import numpy
from keras import layers

Arrays = tuple[tuple[Any, Any], tuple[Any, Any]]


def jets() -> keras.Model:
    """16 features, 64-32-32 neurons, 5 classes, as in hls4ml's jet tagging (doi:10.1088/1748-0221/13/07/P07027)."""
    x = inputs = keras.Input((16,))
    for units in (64, 32, 32):
        x = layers.Activation("relu")(layers.Dense(units)(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


def sequence() -> keras.Model:
    x = inputs = keras.Input((64, 2))
    for filters in (8, 16):
        x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv1D(filters, 5, padding="same")(x)))
        x = layers.MaxPooling1D(2)(x)
    return keras.Model(inputs, layers.Dense(4, activation="softmax")(layers.Flatten()(x)))


def unet() -> keras.Model:
    """Two levels down and up, with concatenated skips; a class for every pixel."""
    inputs = keras.Input((16, 16, 1))
    skips, x = [], inputs
    for filters in (4, 8):
        x = layers.Activation("relu")(layers.Conv2D(filters, 3, padding="same")(x))
        skips.append(x)
        x = layers.MaxPooling2D(2)(x)
    x = layers.Activation("relu")(layers.Conv2D(8, 3, padding="same")(x))
    for filters, skip in zip((8, 4), reversed(skips), strict=True):
        x = layers.Concatenate()([layers.UpSampling2D(2)(x), skip])
        x = layers.Activation("relu")(layers.Conv2D(filters, 3, padding="same")(x))
    return keras.Model(inputs, layers.Conv2D(2, 1, activation="softmax")(x))


def _parted(x: Any, y: Any) -> Arrays:
    split = len(x) * 3 // 4
    return (x[:split].astype("float32"), y[:split]), (x[split:].astype("float32"), y[split:])


def jet_data() -> Arrays:
    """Five clusters that overlap."""
    random = numpy.random.default_rng(0)
    y = random.integers(0, 5, 4000)
    centres = random.normal(size=(5, 16)) * 0.3
    return _parted(centres[y] + random.normal(size=(len(y), 16)) * 0.3, y)


def sequence_data() -> Arrays:
    """Waves of four frequencies, in noise."""
    random = numpy.random.default_rng(0)
    y = random.integers(0, 4, 2000)
    phase = numpy.arange(64)[None] * (y[:, None] + 1) * 0.2 + random.uniform(0, 6, (len(y), 1))
    return _parted(
        numpy.stack([numpy.sin(phase), numpy.cos(phase)], -1) * 0.4 + random.normal(size=(2000, 64, 2)) * 0.2, y
    )


def unet_data() -> Arrays:
    """Bright discs in noise; the label of a pixel is whether it is in one."""
    random = numpy.random.default_rng(0)
    centre, radius = random.uniform(3, 13, (1200, 2, 1, 1)), random.uniform(2, 5, (1200, 1, 1))
    rows, columns = numpy.mgrid[:16, :16]
    inside = (rows - centre[:, 0]) ** 2 + (columns - centre[:, 1]) ** 2 < radius**2
    return _parted((inside * 0.6 + random.normal(size=inside.shape) * 0.2)[..., None], inside.astype(int))
