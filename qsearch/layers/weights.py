"""QDense, QConv2D, QDepthwiseConv2D.

Each computes activation(op(x, Q_k(kernel)) + Q_b(bias)): weights stay float variables and are quantized in
every call, inputs are not touched. A kernel quantizer that can scale itself and has alpha None uses
'auto_po2' (on a copy of its own).
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from qsearch.layers.constraints import clip_for, initializer_for
from qsearch.layers.roles import activation_of, apply_activation, plan_of, serialized_activation, text
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

Config = dict[str, Any]

_register = keras.saving.register_keras_serializable(package="qsearch")


class _QuantizedWeights:
    """What the three layers share: quantizers of kernel, bias and activation."""

    kernel_quantizer: Quantizer | None
    bias_quantizer: Quantizer | None
    _given: Config

    def _take(self, kernel_quantizer: Any, bias_quantizer: Any, given: Config) -> None:
        self.kernel_quantizer = get(kernel_quantizer)
        self.bias_quantizer = get(bias_quantizer)
        self._kernel_in_use = None if self.kernel_quantizer is None else self.kernel_quantizer.for_weights()
        self._given = given

    def _quantized(self, kernel: Any, bias: Any, training: bool | None) -> tuple[Any, Any]:
        """Kernel and bias as the layer computes with them."""
        if self._kernel_in_use is not None:
            kernel = self._kernel_in_use(kernel, training=training)
        if bias is not None and self.bias_quantizer is not None:
            bias = self.bias_quantizer(bias, training=training)
        return kernel, bias

    def _finish(self, x: Any, bias: Any, training: bool | None) -> Any:
        activation = self.activation  # type: ignore[attr-defined]
        return apply_activation(activation, x if bias is None else ops.add(x, bias), training)

    def _config(self, config: Config, kernel: str) -> Config:
        """A config with the initializers and constraints that were asked for, not those derived from quantizers."""
        return {
            **config,
            **self._given,
            "activation": serialized_activation(self.activation),  # type: ignore[attr-defined]
            f"{kernel}_quantizer": text(self.kernel_quantizer),
            "bias_quantizer": text(self.bias_quantizer),
        }

    @property
    def plan(self) -> LayerPlan:
        """The layer's quantizers as they were given."""
        activation = self.activation  # type: ignore[attr-defined]
        return plan_of(
            {Role.KERNEL: self.kernel_quantizer, Role.BIAS: self.bias_quantizer, Role.ACTIVATION: activation}
        )


def _suited(
    kernel: str, kernel_quantizer: Any, bias_quantizer: Any, kernel_initializer: Any, arguments: Config
) -> tuple[Config, Config]:
    """Keras arguments with initializers and constraints that fit the quantizers, and those asked for, as a config
    holds them.

    A constraint of the user's is kept as it is.
    """
    asked = {"bias_initializer": "zeros", f"{kernel}_initializer": kernel_initializer, **arguments}
    own = get(kernel_quantizer)
    suited, given = dict(arguments), {}
    quantizers = {kernel: None if own is None else own.for_weights(), "bias": get(bias_quantizer)}
    for name, quantizer in quantizers.items():
        initializer = keras.initializers.get(asked[f"{name}_initializer"])
        constraint = keras.constraints.get(asked.get(f"{name}_constraint"))
        given[f"{name}_initializer"] = keras.initializers.serialize(initializer)
        given[f"{name}_constraint"] = keras.constraints.serialize(constraint)
        suited[f"{name}_initializer"] = initializer_for(initializer, quantizer)
        suited[f"{name}_constraint"] = clip_for(quantizer) if quantizer and constraint is None else constraint
    return suited, given


@_register
class QDense(_QuantizedWeights, keras.layers.Dense):  # type: ignore[misc]
    """Dense with quantizers: activation(x · Q_k(W) + Q_b(b)), W of shape (in, units), x of rank >= 2."""

    def __init__(
        self,
        units: int,
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        suited, given = _suited("kernel", kernel_quantizer, bias_quantizer, kernel_initializer, kwargs)
        super().__init__(units, activation=activation_of(activation), **suited)
        self._take(kernel_quantizer, bias_quantizer, given)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel, bias = self._quantized(self.kernel, self.bias, training)
        return self._finish(ops.matmul(inputs, kernel), bias, training)

    def get_config(self) -> Config:
        return self._config(super().get_config(), "kernel")


@_register
class QConv2D(_QuantizedWeights, keras.layers.Conv2D):  # type: ignore[misc]
    """Conv2D with quantizers: activation(conv(x, Q_k(W)) + Q_b(b)), W (height, width, in / groups, filters)."""

    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        kernel_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        suited, given = _suited("kernel", kernel_quantizer, bias_quantizer, kernel_initializer, kwargs)
        super().__init__(filters, kernel_size, activation=activation_of(activation), **suited)
        self._take(kernel_quantizer, bias_quantizer, given)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel, bias = self._quantized(self.kernel, self.bias, training)
        return self._finish(self.convolution_op(inputs, kernel), bias, training)

    def get_config(self) -> Config:
        return self._config(super().get_config(), "kernel")


@_register
class QDepthwiseConv2D(_QuantizedWeights, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """DepthwiseConv2D with quantizers; W of shape (height, width, in, depth_multiplier).

    An automatic scale is shared by all channels, as the kernel's last axis is the multiplier; give the
    quantizer scale_axis=2 for one scale per channel.
    """

    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        activation: Any = None,
        depthwise_quantizer: Any = None,
        bias_quantizer: Any = None,
        depthwise_initializer: Any = "he_normal",
        **kwargs: Any,
    ) -> None:
        suited, given = _suited("depthwise", depthwise_quantizer, bias_quantizer, depthwise_initializer, kwargs)
        super().__init__(kernel_size, activation=activation_of(activation), **suited)
        self._take(depthwise_quantizer, bias_quantizer, given)

    @property
    def depthwise_quantizer(self) -> Quantizer | None:
        return self.kernel_quantizer

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel, bias = self._quantized(self.kernel, self.bias, training)
        x = ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
        return self._finish(x, bias, training)

    def get_config(self) -> Config:
        return self._config(super().get_config(), "depthwise")
