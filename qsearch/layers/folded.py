"""QConv2DBatchnorm, QDepthwiseConv2DBatchnorm, QDenseBatchnorm: batch normalization folded into the weights.

With z = op(x, W) + b, i(v) = γ/√(v + ε), batch moments (μ_B, v_B) and moving ones (μ_M, v_M):

    K = Q_k(i(v) · W),  c = Q_b(i(v)(b − μ) + β),  y = act(op(x, K) · ρ + c)

At inference (μ, v) are the moving ones and ρ = 1. In training the moving ones are updated first; while the
layer adapts, c uses the batch's, and K uses the batch's (`batch_stats_folding`, ρ = 1) or the moving variance
(`ema_stats_folding`, ρ = √(v_M + ε)/√(v_B + ε)). After `ema_freeze_delay` calls in training it adapts no more.
Jacob et al. 2018 (doi:10.1109/CVPR.2018.00286); modes and order are QKeras'.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import tensorflow as tf
from keras import ops

from qsearch.errors import ConfigError, did_you_mean
from qsearch.layers.legacy import without_legacy
from qsearch.layers.positions import FOLDED_ORDER, in_order
from qsearch.layers.quantized import Config, WeightPart
from qsearch.layers.weights import CONV2D_ORDER, DENSE_ORDER, DEPTHWISE_ORDER, QConv2D, QDense, QDepthwiseConv2D

_register = keras.saving.register_keras_serializable(package="qsearch")

FOLDING_MODES = ("ema_stats_folding", "batch_stats_folding")
_NORM: Mapping[str, Any] = {
    "axis": -1,
    "momentum": 0.99,
    "epsilon": 0.001,
    "center": True,
    "scale": True,
    "beta_initializer": "zeros",
    "gamma_initializer": "ones",
    "moving_mean_initializer": "zeros",
    "moving_variance_initializer": "ones",
    "beta_regularizer": None,
    "gamma_regularizer": None,
    "beta_constraint": None,
    "gamma_constraint": None,
    "fused": None,
    "ema_freeze_delay": None,
    "folding_mode": "ema_stats_folding",
    "folded_norm": None,
}
"""Arguments of the normalization with their defaults; `folded_norm` is the name of the layer that it was."""
_OBJECTS = {"initializer": keras.initializers, "regularizer": keras.regularizers, "constraint": keras.constraints}


def _float(variable: Any) -> Any:
    return tf.cast(ops.convert_to_tensor(variable), tf.float32)


if TYPE_CHECKING:
    _InFrontOf = QConv2D
else:
    _InFrontOf = object


class FoldedLayer(_InFrontOf):
    """Mixin in front of a Q layer."""

    UNBIASED: ClassVar[bool] = True
    """Whether the averaged variance is the unbiased one where `fused` says nothing."""

    def __init__(self, **kwargs: Any) -> None:
        if kwargs.pop("synchronized", False):
            raise ConfigError(f"{type(self).__name__}: synchronized has no folded form; leave it out")
        kwargs = without_legacy(type(self).__name__, kwargs)
        norm = {key: kwargs.pop(key, default) for key, default in _NORM.items()}
        super().__init__(**kwargs)
        if norm["folding_mode"] not in FOLDING_MODES:
            near = did_you_mean(str(norm["folding_mode"]), FOLDING_MODES)
            raise ConfigError(
                f"{type(self).__name__}: folding_mode: found {norm['folding_mode']!r}, "
                f"allowed: {', '.join(FOLDING_MODES)}{near}"
            )
        axis = norm["axis"][0] if isinstance(norm["axis"], list | tuple) else norm["axis"]
        self.norm: Config = {**norm, "axis": axis}
        for key, value in self.norm.items():
            module = _OBJECTS.get(key.rpartition("_")[2])
            setattr(self, key, value if module is None else module.get(value))

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        channels = self._channels()
        self.gamma = self._parameter("gamma", channels) if self.norm["scale"] else None
        self.beta = self._parameter("beta", channels) if self.norm["center"] else None
        add = self.add_weight
        self.iteration = add(
            name="iteration", shape=(), dtype="int64", initializer=keras.initializers.Constant(-1), trainable=False
        )
        self.moving_mean, self.moving_variance = (
            add(
                name=name,
                shape=(channels,),
                initializer=getattr(self, f"{name}_initializer"),
                trainable=False,
                autocast=False,
            )
            for name in ("moving_mean", "moving_variance")
        )

    def _parameter(self, name: str, channels: int) -> Any:
        return self.add_weight(
            name=name,
            shape=(channels,),
            initializer=getattr(self, f"{name}_initializer"),
            regularizer=getattr(self, f"{name}_regularizer"),
            constraint=getattr(self, f"{name}_constraint"),
            autocast=False,
        )

    def _channels(self) -> int:
        raise NotImplementedError

    def _spread(self, per_channel: Any) -> Any:
        """A value per channel in the shape that multiplies the kernel."""
        return per_channel

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        # Statistics and folded weights of half precision would not be those of the layers that fold.
        output = self._call(tf.cast(inputs, tf.float32), training)
        return tf.cast(output, self.compute_dtype)

    def _call(self, inputs: Any, training: bool | None) -> Any:
        mean, variance = _float(self.moving_mean), _float(self.moving_variance)
        if not training or not self.trainable:
            kernel, bias = self._fold(variance, mean, variance, training)
            return self._finish(self._operation(inputs, kernel), bias, training)
        batch_mean, batch_variance, adapts = self._follow(inputs)
        mean, variance = _float(self.moving_mean), _float(self.moving_variance)
        now_mean = tf.where(adapts, batch_mean, mean)
        now_variance = tf.where(adapts, batch_variance, variance)
        if self.norm["folding_mode"] == "batch_stats_folding":
            kernel, bias = self._fold(now_variance, now_mean, now_variance, training)
            return self._finish(self._operation(inputs, kernel), bias, training)
        kernel, bias = self._fold(variance, now_mean, now_variance, training)
        ratio = tf.sqrt(variance + self.norm["epsilon"]) / tf.sqrt(now_variance + self.norm["epsilon"])
        product = self._operation(inputs, kernel) * self._along_channels(ratio)
        return self._finish(product, bias, training)

    def _follow(self, inputs: Any) -> tuple[Any, Any, Any]:
        """(mean and variance of the batch, whether the layer still adapts); moves the averages and the count."""
        z = self._operation(inputs, _float(self.kernel))
        if self.bias is not None:
            z = z + self._along_channels(_float(self.bias))
        axes = [axis for axis in range(len(z.shape)) if axis != self._channel_axis(len(z.shape))]
        mean, variance = tf.nn.moments(z, axes)
        delay = self.norm["ema_freeze_delay"]
        adapts = tf.constant(True) if delay is None or delay < 0 else ops.convert_to_tensor(self.iteration) <= delay
        count = tf.cast(tf.size(z) / tf.shape(mean)[0], tf.float32)
        # Keras 2's fused kernel, which QKeras' convolutions use, averages the unbiased variance.
        fused = self.UNBIASED if self.norm["fused"] is None else self.norm["fused"]
        unbiased = variance * count / tf.maximum(count - 1.0, 1.0) if fused else variance
        moving = tf.where(adapts, 1.0 - self.norm["momentum"], 0.0)
        for average, moment in ((self.moving_mean, mean), (self.moving_variance, unbiased)):
            before = _float(average)
            average.assign(tf.cast(before - (before - tf.stop_gradient(moment)) * moving, average.dtype))
        self.iteration.assign(self.iteration + 1)
        return mean, variance, adapts

    def _fold(self, kernel_variance: Any, mean: Any, variance: Any, training: bool | None) -> tuple[Any, Any]:
        """(Q_k(i(kernel_variance) · W), Q_b(i(variance)(b − mean) + β))."""
        kernel, bias = self._unquantized(kernel_variance, mean, variance)
        return (
            self._quantized(self.KERNEL, kernel, training),
            self._quantized("bias", bias, training),
        )

    def _unquantized(self, kernel_variance: Any, mean: Any, variance: Any) -> tuple[Any, Any]:
        kernel, inverse = _float(self.kernel), self._inverse(variance)
        shift = -mean if self.bias is None else _float(self.bias) - mean
        folded = inverse * shift
        if self.beta is not None:
            folded = folded + _float(self.beta)
        return kernel * self._spread(self._inverse(kernel_variance)), folded

    def _inverse(self, variance: Any) -> Any:
        inverse = tf.math.rsqrt(variance + self.norm["epsilon"])
        return inverse if self.gamma is None else inverse * _float(self.gamma)

    def weight_parts(self) -> dict[str, WeightPart]:
        """The folded kernel and bias, each with its quantizer."""
        mean, variance = _float(self.moving_mean), _float(self.moving_variance)
        kernel, bias = self._unquantized(variance, mean, variance)
        in_use = self.suited.in_use
        return {
            self.KERNEL: WeightPart(None, kernel, in_use[self.KERNEL]),
            "bias": WeightPart(None, bias, in_use["bias"]),
        }

    def _channel_axis(self, rank: int) -> int:
        return 1 if getattr(self, "data_format", None) == "channels_first" else rank - 1

    def _along_channels(self, per_channel: Any) -> Any:
        if getattr(self, "data_format", None) == "channels_first":
            return tf.reshape(per_channel, (1, -1, 1, 1))
        return per_channel

    def save_own_variables(self, store: Any) -> None:
        # Keras' Dense and Conv2D store kernel and bias by themselves, and would lose the rest.
        keras.layers.Layer.save_own_variables(self, store)

    def load_own_variables(self, store: Any) -> None:
        keras.layers.Layer.load_own_variables(self, store)

    def get_config(self) -> Config:
        config = {**super().get_config(), **self.norm}
        for key in self.norm:
            module = _OBJECTS.get(key.rpartition("_")[2])
            if module is not None:
                config[key] = module.serialize(getattr(self, key))
        return config


@_register
class QConv2DBatchnorm(FoldedLayer, QConv2D):
    """QConv2D and BatchNormalization in one; the quantizers act on the folded kernel and bias."""

    @in_order(*CONV2D_ORDER, *FOLDED_ORDER)
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _channels(self) -> int:
        return int(self.filters)


@_register
class QDepthwiseConv2DBatchnorm(FoldedLayer, QDepthwiseConv2D):
    """QDepthwiseConv2D and BatchNormalization in one; channels in · depth_multiplier."""

    @in_order(*DEPTHWISE_ORDER, "depthwise_range", "bias_range", *FOLDED_ORDER)
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _channels(self) -> int:
        return int(self.kernel.shape[2]) * int(self.depth_multiplier)

    def _spread(self, per_channel: Any) -> Any:
        return tf.reshape(per_channel, (-1, self.depth_multiplier))


@_register
class QDenseBatchnorm(FoldedLayer, QDense):
    """QDense and BatchNormalization in one; averages the biased variance, as Keras 3 does, unless fused=True."""

    UNBIASED = False

    @in_order(*DENSE_ORDER, *FOLDED_ORDER)
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def _channels(self) -> int:
        return int(self.units)
