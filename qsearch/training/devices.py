"""Where models are trained: on one device, on all GPUs, or on a TPU."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from qsearch.errors import ConfigError


def strategy(name: str) -> tuple[AbstractContextManager[Any], str]:
    """The scope to make and train models in, and what it is in words.

    Args:
        name: "none"; "mirrored": a copy on every GPU (`tf.distribute.MirroredStrategy`); "tpu"; "auto": a TPU where
            there is one, all GPUs where there are several, else one device.

    Raises:
        ConfigError: "tpu" where there is none.
    """
    import tensorflow

    gpus = tensorflow.config.list_physical_devices("GPU")
    if name in ("tpu", "auto") and tensorflow.config.list_logical_devices("TPU"):
        return _tpu(tensorflow)
    if name == "tpu":
        raise ConfigError("run.distribution_strategy: found 'tpu', but TensorFlow sees no TPU here; use auto")
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        mirrored = tensorflow.distribute.MirroredStrategy()
        return mirrored.scope(), f"mirrored on {mirrored.num_replicas_in_sync} devices"
    return nullcontext(), f"one device ({'GPU' if gpus else 'CPU'})"


def _tpu(tensorflow: Any) -> tuple[AbstractContextManager[Any], str]:
    resolver = tensorflow.distribute.cluster_resolver.TPUClusterResolver()
    tensorflow.config.experimental_connect_to_cluster(resolver)
    tensorflow.tpu.experimental.initialize_tpu_system(resolver)
    found = tensorflow.distribute.TPUStrategy(resolver)
    return found.scope(), f"TPU, {found.num_replicas_in_sync} cores"
