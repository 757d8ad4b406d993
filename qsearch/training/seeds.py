"""Seeds of everything that draws, between trials whose graph is traced once."""

from __future__ import annotations

import random

import numpy
import tensorflow as tf
from tensorflow.python.eager import context as eager


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
