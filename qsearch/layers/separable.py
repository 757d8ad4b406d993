"""QSeparableConv1D and QSeparableConv2D."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import keras
from keras import ops

from qsearch.layers.positions import in_order, weights_order
from qsearch.layers.quantized import Config, QuantizedLayer, suited
from qsearch.layers.roles import activation_of
from qsearch.plan import Role
from qsearch.quantizers.base import Quantizer

_ORDER = (
    *("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "depth_multiplier", "activation"),
    *weights_order(("depthwise", "pointwise")),
    *("depthwise_quantizer", "pointwise_quantizer", "bias_quantizer"),
)

_register = keras.saving.register_keras_serializable(package="qsearch")


class _Separable(QuantizedLayer):
    """activation(conv1(depthwise(x, Q_d(D)), Q_p(P)) + Q_b(b)); nothing is quantized between the two convolutions."""

    ROLES = MappingProxyType({"depthwise": Role.KERNEL, "pointwise": Role.POINTWISE, "bias": Role.BIAS})

    @in_order(*_ORDER)
    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        activation: Any = None,
        depthwise_quantizer: Any = None,
        pointwise_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        kernels = {"depthwise": depthwise_quantizer, "pointwise": pointwise_quantizer}
        initializers = {"depthwise": "glorot_uniform", "pointwise": "glorot_uniform", "bias": "zeros"}
        chosen = suited(kernels, {"bias": bias_quantizer}, kwargs, initializers)
        super().__init__(filters, kernel_size, activation=activation_of(activation), **chosen.arguments)
        self._take(chosen)

    @property
    def depthwise_quantizer(self) -> Quantizer | None:
        return self._given("depthwise")

    @property
    def pointwise_quantizer(self) -> Quantizer | None:
        return self._given("pointwise")

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        depthwise = self._quantized("depthwise", self.depthwise_kernel, training)
        pointwise = self._quantized("pointwise", self.pointwise_kernel, training)
        bias = self._quantized("bias", self.bias, training)
        return self._finish(self._convolve(inputs, depthwise, pointwise), bias, training)

    def _convolve(self, inputs: Any, depthwise: Any, pointwise: Any) -> Any:
        return ops.separable_conv(
            inputs,
            depthwise,
            pointwise,
            strides=self.strides,
            padding=self.padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )

    def get_config(self) -> Config:
        return self._config(super().get_config())


@_register
class QSeparableConv1D(_Separable, keras.layers.SeparableConv1D):  # type: ignore[misc]
    """SeparableConv1D with quantizers; D (length, in, depth_multiplier), P (1, in · depth_multiplier, filters)."""


@_register
class QSeparableConv2D(_Separable, keras.layers.SeparableConv2D):  # type: ignore[misc]
    """SeparableConv2D with quantizers; D (height, width, in, depth_multiplier), P (1, 1, in · multiplier, filters)."""
