"""Activation functions that model files of old versions name."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="qsearch")  # type: ignore[untyped-decorator]
def keras2_hard_sigmoid(x: Any) -> Any:
    """clip(x/5 + 1/2, 0, 1): the hard sigmoid of Keras 2. Keras 3's has the slope 1/6."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)
