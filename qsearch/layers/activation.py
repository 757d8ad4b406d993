"""QActivation."""

from __future__ import annotations

from typing import Any

import keras

from qsearch.errors import ConfigError
from qsearch.layers.roles import activation_of, apply_activation, plan_of, serialized_activation
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="qsearch")
class QActivation(keras.layers.Layer):  # type: ignore[misc]
    """y = activation(x), any shape: a quantizer, or a Keras activation by name.

    Raises:
        ConfigError: `activation` names neither.
    """

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True
        if activation is None:
            raise ConfigError("QActivation: activation is missing, e.g. 'quantized_relu(4,2)'")
        self.activation = activation_of(activation)

    @property
    def quantizer(self) -> Quantizer | None:
        return self.activation if isinstance(self.activation, Quantizer) else None

    @property
    def plan(self) -> LayerPlan:
        return plan_of({Role.ACTIVATION: self.activation})

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return apply_activation(self.activation, inputs, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "activation": serialized_activation(self.activation)}
