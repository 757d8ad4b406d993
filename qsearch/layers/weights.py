"""QDense, QConv1D, QConv2D, QConv2DTranspose, QDepthwiseConv2D.

Each computes activation(op(x, Q_k(kernel)) + Q_b(bias)): weights stay float variables and are quantized in
every call, inputs are not touched. A kernel quantizer that can scale itself and has alpha None uses
'auto_po2' (on a copy of its own).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import keras
import numpy
from keras import ops

from qsearch.errors import ConfigError
from qsearch.layers.positions import in_order, weights_order
from qsearch.layers.quantized import Config, QuantizedLayer, suited
from qsearch.layers.roles import activation_of
from qsearch.plan import Role
from qsearch.quantizers.base import Quantizer

_QUANTIZERS = ("kernel_quantizer", "bias_quantizer")
_RANGES = ("kernel_range", "bias_range")
_WEIGHTS = weights_order(("kernel",))
_REST = (*_WEIGHTS, *_QUANTIZERS)
_CONV2D = ("filters", "kernel_size", "strides", "padding", "data_format", "dilation_rate", "activation")
CONV2D_ORDER = (*_CONV2D, *_REST)
"""Of the folded convolution; QConv2D's own has the ranges before the quantizers."""
DENSE_ORDER = ("units", "activation", *_REST, *_RANGES)
DEPTHWISE_ORDER = (
    *("kernel_size", "strides", "padding", "depth_multiplier", "data_format", "activation"),
    *weights_order(("depthwise",)),
    *("dilation_rate", "depthwise_quantizer", "bias_quantizer"),
)

_register = keras.saving.register_keras_serializable(package="qsearch")


class _OneKernel(QuantizedLayer):
    """Layers with one kernel and a bias. `KERNEL` is the prefix of its arguments, `INITIALIZER` their default."""

    KERNEL = "kernel"
    INITIALIZER = "he_normal"

    def _start(self, first: tuple[Any, ...], activation: Any, kernel: Any, bias: Any, arguments: Config) -> None:
        initializers = {self.KERNEL: self.INITIALIZER, "bias": "zeros"}
        chosen = suited({self.KERNEL: kernel}, {"bias": bias}, arguments, initializers)
        super().__init__(*first, activation=activation_of(activation), **chosen.arguments)
        self._take(chosen)

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        raise NotImplementedError

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel = self._quantized(self.KERNEL, self.kernel, training)
        bias = self._quantized("bias", self.bias, training)
        return self._finish(self._operation(inputs, kernel), bias, training)

    def get_config(self) -> Config:
        return self._config(super().get_config())


@_register
class QDense(_OneKernel, keras.layers.Dense):  # type: ignore[misc]
    """Dense with quantizers: activation(x · Q_k(W) + Q_b(b)), W of shape (in, units), x of rank >= 2."""

    @in_order(*DENSE_ORDER)
    def __init__(
        self,
        units: int,
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start((units,), activation, kernel_quantizer, bias_quantizer, kwargs)

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        return ops.matmul(inputs, kernel)


@_register
class QConv1D(_OneKernel, keras.layers.Conv1D):  # type: ignore[misc]
    """Conv1D with quantizers: activation(conv(x, Q_k(W)) + Q_b(b)), W (length, in / groups, filters)."""

    @in_order("filters", "kernel_size", "strides", "padding", "dilation_rate", "activation", *_REST, *_RANGES)
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int],
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start((filters, kernel_size), activation, kernel_quantizer, bias_quantizer, kwargs)

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        if self.padding != "causal":
            return self.convolution_op(inputs, kernel)
        before = (self.kernel_size[0] - 1) * self.dilation_rate[0]
        length = (before, 0)
        pads = ((0, 0), length, (0, 0)) if self.data_format == "channels_last" else ((0, 0), (0, 0), length)
        return ops.conv(ops.pad(inputs, pads), kernel, self.strides, "valid", self.data_format, self.dilation_rate)


@_register
class QConv2D(_OneKernel, keras.layers.Conv2D):  # type: ignore[misc]
    """Conv2D with quantizers: activation(conv(x, Q_k(W)) + Q_b(b)), W (height, width, in / groups, filters).

    `mask`, of shape (height, width), multiplies the quantized kernel.

    Raises:
        ConfigError: a mask of another shape.
    """

    @in_order(*_CONV2D, *_WEIGHTS, *_RANGES, *_QUANTIZERS, "mask")
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        mask: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start((filters, kernel_size), activation, kernel_quantizer, bias_quantizer, kwargs)
        self.mask = None if mask is None else numpy.asarray(mask, "float32")
        if self.mask is not None and self.mask.shape != tuple(self.kernel_size):
            raise ConfigError(f"QConv2D: mask has shape {self.mask.shape}, expected {tuple(self.kernel_size)}")

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        if self.mask is not None:
            kernel = kernel * ops.cast(self.mask[:, :, None, None], kernel.dtype)
        return self.convolution_op(inputs, kernel)

    def get_config(self) -> Config:
        return {**super().get_config(), "mask": None if self.mask is None else self.mask.tolist()}


@_register
class QConv2DTranspose(_OneKernel, keras.layers.Conv2DTranspose):  # type: ignore[misc]
    """Conv2DTranspose with quantizers; W of shape (height, width, filters, in).

    An automatic scale belongs to an input channel, the kernel's last axis; scale_axis=2 gives one per filter.
    """

    INITIALIZER = "glorot_uniform"

    @in_order(*_CONV2D[:4], "output_padding", *_CONV2D[4:], *_REST)
    def __init__(
        self,
        filters: int,
        kernel_size: int | tuple[int, int],
        activation: Any = None,
        kernel_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start((filters, kernel_size), activation, kernel_quantizer, bias_quantizer, kwargs)

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        return ops.conv_transpose(
            inputs,
            kernel,
            strides=list(self.strides),
            padding=self.padding,
            output_padding=self.output_padding,
            dilation_rate=self.dilation_rate,
            data_format=self.data_format,
        )


@_register
class QDepthwiseConv2D(_OneKernel, keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """DepthwiseConv2D with quantizers; W of shape (height, width, in, depth_multiplier).

    An automatic scale is shared by all channels, as the kernel's last axis is the multiplier; give the
    quantizer scale_axis=2 for one scale per channel.
    """

    KERNEL = "depthwise"
    ROLES = MappingProxyType({"depthwise": Role.KERNEL, "bias": Role.BIAS})

    @in_order(*DEPTHWISE_ORDER, "depthwise_range", "bias_range")
    def __init__(
        self,
        kernel_size: int | tuple[int, int],
        activation: Any = None,
        depthwise_quantizer: Any = None,
        bias_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        self._start((kernel_size,), activation, depthwise_quantizer, bias_quantizer, kwargs)

    @property
    def depthwise_quantizer(self) -> Quantizer | None:
        return self._given("depthwise")

    def _operation(self, inputs: Any, kernel: Any) -> Any:
        return ops.depthwise_conv(
            inputs,
            kernel,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
            dilation_rate=self.dilation_rate,
        )
