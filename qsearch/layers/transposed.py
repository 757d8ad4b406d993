"""QDepthwiseConv2DTranspose and QSeparableConv2DTranspose.

A transposed convolution in groups is one transposed convolution whose kernel is zero between groups: on a GPU one
kernel in place of one for each group, and the same sums. Neither layer clips its weights, as in QKeras.
"""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import Any

import keras
import numpy
from keras import ops

from qsearch.errors import ConfigError
from qsearch.layers.positions import in_order
from qsearch.layers.quantized import Config, QuantizedLayer, suited
from qsearch.layers.roles import activation_of, apply_activation, plan_of, serialized_activation
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.base import Quantizer

_register = keras.saving.register_keras_serializable(package="qsearch")
_WITHOUT_EFFECT = {"depth_multiplier": (None, 1), "activation": (None, "linear", keras.activations.linear)}
"""Arguments that QKeras stores and computes nothing with, and the values that ask for nothing."""


class _GroupedTranspose(QuantizedLayer):
    """Mixin in front of Conv2DTranspose, which brings sizes, initializers, regularizers and constraints."""

    def _start(self, filters: int, kernel_size: Any, kernels: Config, bias: Any, arguments: Config) -> None:
        for key, nothing in _WITHOUT_EFFECT.items():
            if arguments.pop(key, None) not in nothing:
                warnings.warn(
                    f"{type(self).__name__}: {key} has no effect, here and in QKeras", DeprecationWarning, stacklevel=4
                )
        chosen = suited(kernels, {"bias": bias}, arguments, {})
        super().__init__(filters, kernel_size, **chosen.arguments)
        self._take(chosen)

    @property
    def depthwise_kernel_quantizer(self) -> Quantizer | None:
        return self._given("depthwise_kernel")

    def _channel_axis(self) -> int:
        return 1 if self.data_format == "channels_first" else -1

    def _channels_of(self, input_shape: Any) -> int:
        """The channels of an input, which from now on every input must have."""
        axis = self._channel_axis()
        channels = int(input_shape[axis])
        self.input_spec = keras.layers.InputSpec(min_ndim=4, axes={axis: channels})
        return channels

    def _weight(self, name: str, shape: tuple[int, ...], trainable: bool = True) -> Any:
        kind = "bias" if name == "bias" else "kernel"
        return self.add_weight(
            name=name,
            shape=shape,
            initializer=getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
            trainable=trainable,
        )

    def _transposed(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )

    def get_config(self) -> Config:
        config = self._config(super().get_config())
        del config["activation"]
        return {**config, "depthwise_activation": serialized_activation(self.depthwise_activation)}


@_register
class QDepthwiseConv2DTranspose(_GroupedTranspose, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """depthwise_activation(convT(x, Q(W))), within groups of `group_size` neighbouring channels.

    x (batch, height, width, in) gives as many channels as it has; W (kernel height, kernel width, in, group_size)
    holds for the output channel of its third axis the weights of the inputs of the same group.

    As in QKeras the bias, of shape (filters,), is not added: it is kept for weight lists and files only, and is not
    trained. `depth_multiplier` and `activation` compute nothing.

    Raises:
        ConfigError: channels that are no multiple of group_size.
    """

    ROLES = MappingProxyType({"depthwise_kernel": Role.KERNEL})

    @in_order(
        *("filters", "kernel_size", "group_size", "strides", "padding", "output_padding", "depth_multiplier"),
        *("depthwise_activation", "use_bias", "depthwise_kernel_quantizer", "bias_quantizer"),
    )
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        group_size: int = 1,
        depthwise_activation: Any = None,
        depthwise_kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start(filters, kernel_size, {"depthwise_kernel": depthwise_kernel_quantizer}, bias_quantizer, kwargs)
        self.group_size = group_size
        self.depthwise_activation = activation_of(depthwise_activation)

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        if channels % self.group_size:
            raise ConfigError(f"{self.name}: {channels} channels are no multiple of group_size {self.group_size}")
        self.depthwise_kernel = self._weight("kernel", (*self.kernel_size, channels, self.group_size))
        self.bias = self._weight("bias", (self.filters,), trainable=False) if self.use_bias else None
        group = numpy.arange(channels) // self.group_size
        self._same_group = (group[:, None] == group).astype("float32")
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel = self._quantized("depthwise_kernel", self.depthwise_kernel, training)
        groups = len(self._same_group) // self.group_size
        whole = ops.tile(kernel, (1, 1, 1, groups)) * ops.cast(self._same_group, kernel.dtype)
        return apply_activation(self.depthwise_activation, self._transposed(inputs, whole), training)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = list(super().compute_output_shape(input_shape))
        shape[self._channel_axis()] = input_shape[self._channel_axis()]
        return tuple(shape)

    def weight_parts(self) -> Any:
        return {name: part for name, part in super().weight_parts().items() if name != "bias"}

    def get_quantizers(self) -> list[Any]:
        return [*self.quantizers, self.depthwise_activation]

    @property
    def plan(self) -> LayerPlan:
        """Without the bias' quantizer, as the bias is not used."""
        return plan_of({Role.KERNEL: self.depthwise_kernel_quantizer, Role.ACTIVATION: self.depthwise_activation})

    def get_config(self) -> Config:
        return {**super().get_config(), "group_size": self.group_size}


@_register
class QSeparableConv2DTranspose(_GroupedTranspose, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """pointwise_activation(conv1(depthwise_activation(convT(x, Q_d(D))), Q_p(P)) + Q_b(b)).

    D (kernel height, kernel width, 1, in) has one filter for each channel, P (1, 1, filters, in) mixes them.
    `depth_multiplier` and `activation` compute nothing, as in QKeras.
    """

    ROLES = MappingProxyType({"depthwise_kernel": Role.KERNEL, "pointwise_kernel": Role.POINTWISE, "bias": Role.BIAS})

    @in_order(
        *("filters", "kernel_size", "strides", "padding", "output_padding", "depth_multiplier"),
        *("depthwise_activation", "pointwise_activation", "use_bias"),
        *("depthwise_kernel_quantizer", "pointwise_kernel_quantizer", "bias_quantizer"),
    )
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        depthwise_activation: Any = None,
        pointwise_activation: Any = None,
        depthwise_kernel_quantizer: Any = None,
        pointwise_kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        kernels = {"depthwise_kernel": depthwise_kernel_quantizer, "pointwise_kernel": pointwise_kernel_quantizer}
        self._start(filters, kernel_size, kernels, bias_quantizer, kwargs)
        self.depthwise_activation = activation_of(depthwise_activation)
        self.pointwise_activation = activation_of(pointwise_activation)

    @property
    def pointwise_kernel_quantizer(self) -> Quantizer | None:
        return self._given("pointwise_kernel")

    def build(self, input_shape: Any) -> None:
        channels = self._channels_of(input_shape)
        self.depthwise_kernel = self._weight("depthwise_kernel", (*self.kernel_size, 1, channels))
        self.pointwise_kernel = self._weight("pointwise_kernel", (1, 1, self.filters, channels))
        self.bias = self._weight("bias", (self.filters,)) if self.use_bias else None
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        depthwise = self._quantized("depthwise_kernel", self.depthwise_kernel, training)
        pointwise = self._quantized("pointwise_kernel", self.pointwise_kernel, training)
        bias = self._quantized("bias", self.bias, training)
        diagonal = depthwise * ops.eye(depthwise.shape[-1], dtype=depthwise.dtype)
        x = apply_activation(self.depthwise_activation, self._transposed(inputs, diagonal), training)
        x = ops.conv(x, ops.transpose(pointwise, (0, 1, 3, 2)), data_format=self.data_format)
        return apply_activation(self.pointwise_activation, self._finish(x, bias, training), training)

    def get_quantizers(self) -> list[Any]:
        return [*self.quantizers, self.depthwise_activation, self.pointwise_activation]

    @property
    def plan(self) -> LayerPlan:
        """The layer's quantizers as they were given."""
        own = super().plan.quantizers
        inner = {
            Role.DEPTHWISE_ACTIVATION: self.depthwise_activation,
            Role.ACTIVATION: self.pointwise_activation,
        }
        return LayerPlan({**own, **plan_of(inner).quantizers})

    def get_config(self) -> Config:
        return {**super().get_config(), "pointwise_activation": serialized_activation(self.pointwise_activation)}
