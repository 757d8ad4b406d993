"""Seeds of everything that draws, between trials whose graph is traced once."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator

import keras
import numpy
import tensorflow as tf
from tensorflow.python.eager import context as eager

from qsearch.graph.walk import core_of, layers_by_path
from qsearch.layers.held import holders_of, quantizers_of
from qsearch.quantizers.arithmetic.draws import Stream
from qsearch.search.seeds import spread


def seed_quantizers(model: keras.Model, seed: int) -> None:
    """Let quantizers that draw begin anew, each with numbers that its place in the model and the seed decide."""
    for place, stream in streams_of(model):
        stream.start(spread(seed, zlib.crc32(place.encode())))


def streams_of(model: keras.Model) -> Iterator[tuple[str, Stream]]:
    """The random numbers of quantizers that draw, each with its place in the model."""
    for path, layer in layers_by_path(model).items():
        for inside, holder in holders_of(core_of(layer)):
            for place, quantizer in quantizers_of(holder):
                if isinstance(quantizer.seeds, Stream):
                    yield f"{path}/{inside}{place}", quantizer.seeds


def seed_all(seed: int) -> None:
    """Python's, numpy's and TensorFlow's generators, as `keras.utils.set_random_seed` sets them.

    `tf.random.set_seed` also drops every function that is compiled, so that the next step of training is prepared for a
    second or more; this leaves them. What draws by its own seed in a traced function goes on as it was.
    """
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
    context = eager.context()
    if hasattr(context, "_seed") and hasattr(context, "_rng"):
        context._seed, context._rng = seed, random.Random(seed)
    else:
        tf.random.set_seed(seed)
