"""QActivation."""

from __future__ import annotations

from typing import Any

import keras

from qsearch.errors import ConfigError
from qsearch.layers.roles import plan_of
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="qsearch")
class QActivation(keras.layers.Layer):  # type: ignore[misc]
    """y = quantizer(x), any shape.

    Raises:
        ConfigError: `activation` names no quantizer.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        quantizer = get(activation)
        if quantizer is None:
            raise ConfigError("QActivation: activation is missing, e.g. 'quantized_relu(4,2)'")
        self.quantizer: Quantizer = quantizer

    @property
    def activation(self) -> Quantizer:
        return self.quantizer

    @property
    def plan(self) -> LayerPlan:
        return plan_of({Role.ACTIVATION: self.quantizer})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return self.quantizer(inputs, training=training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": str(self.quantizer)}
