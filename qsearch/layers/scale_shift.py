"""QScaleShift: one number to multiply with, and one to add."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from qsearch.layers.constraints import initializer_for
from qsearch.layers.positions import in_order
from qsearch.layers.quantized import Config, QuantizedLayer, suited
from qsearch.layers.roles import activation_of, apply_activation
from qsearch.plan import Role
from qsearch.quantizers.base import Quantizer


@keras.saving.register_keras_serializable(package="qsearch")
class QScaleShift(QuantizedLayer, keras.layers.Layer):  # type: ignore[misc]
    """activation(Q_b(b) + Q_w(w) · x), with w and b of shape (1, 1), and x of any shape of at least two axes.

    Both quantizers are those of weights: with alpha None they scale themselves ('auto_po2'). Nothing is clipped.
    """

    ROLES = MappingProxyType({"weight": Role.KERNEL, "bias": Role.BIAS})

    @in_order(
        *("weight_quantizer", "bias_quantizer", "use_bias", "activation"),
        *("weight_initializer", "weight_regularizer", "bias_initializer", "bias_regularizer"),
    )
    def __init__(
        self,
        weight_quantizer: Any = None,
        bias_quantizer: Any = None,
        use_bias: bool = True,
        activation: Any = None,
        weight_initializer: Any = "he_normal",
        weight_regularizer: Any = None,
        bias_initializer: Any = "zeros",
        bias_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._take(suited({"weight": weight_quantizer, "bias": bias_quantizer}, {}, {}, {}))
        self.use_bias = use_bias
        self.activation = activation_of(activation)
        self.weight_initializer = keras.initializers.get(weight_initializer)
        self.weight_regularizer = keras.regularizers.get(weight_regularizer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)

    @property
    def weight_quantizer(self) -> Quantizer | None:
        return self._given("weight")

    def build(self, input_shape: Any) -> None:
        self.weight = self._number("weight")
        self.bias = self._number("bias") if self.use_bias else None
        self.built = True

    def _number(self, name: str) -> Any:
        initializer = initializer_for(getattr(self, f"{name}_initializer"), self.suited.in_use[name])
        regularizer = getattr(self, f"{name}_regularizer")
        return self.add_weight(name=name, shape=(1, 1), initializer=initializer, regularizer=regularizer)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        x = ops.cast(inputs, self.compute_dtype) * self._quantized("weight", self.weight, training)
        if self.bias is not None:
            x = x + self._quantized("bias", self.bias, training)
        return apply_activation(self.activation, x, training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> Config:
        objects = {"initializer": keras.initializers, "regularizer": keras.regularizers}
        parts = {
            f"{name}_{kind}": module.serialize(getattr(self, f"{name}_{kind}"))
            for name in ("weight", "bias")
            for kind, module in objects.items()
        }
        return self._config({**super().get_config(), "use_bias": self.use_bias, **parts})
