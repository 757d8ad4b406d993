"""Names that Keras makes up, the same for every copy of a model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from keras.src.backend.common import global_state  # the counters of names are under no public name

_COUNTERS = "object_name_uids"


@contextmanager
def names_from_the_start() -> Iterator[None]:
    """Let Keras count anew what it names ("seed_generator", "seed_generator_1", ...), and then go on as before.

    TensorFlow keeps a kernel of some 36 kB for every name that a variable ever had: with names that go on counting,
    each copy of a model with three dropout layers would take another 0.1 MB for good.
    """
    counters = global_state.get_global_attribute(_COUNTERS)
    global_state.set_global_attribute(_COUNTERS, defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute(_COUNTERS, counters)
