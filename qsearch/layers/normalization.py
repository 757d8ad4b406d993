"""QBatchNormalization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from qsearch.errors import ConfigError
from qsearch.layers.constraints import clip_for
from qsearch.layers.legacy import without_legacy
from qsearch.layers.positions import NORM_ORDER, in_order
from qsearch.layers.quantized import WeightPart
from qsearch.layers.roles import plan_of, text
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

_PARTS: Mapping[str, Role] = {
    "beta_quantizer": Role.BETA,
    "gamma_quantizer": Role.GAMMA,
    "mean_quantizer": Role.MEAN,
    "variance_quantizer": Role.VARIANCE,
    "inverse_quantizer": Role.INVERSE,
}
_WITHOUT_EFFECT = ("activation", "beta_range", "gamma_range")
_CONSTRAINTS = ("gamma_constraint", "beta_constraint")


@keras.saving.register_keras_serializable(package="qsearch")
class QBatchNormalization(keras.layers.BatchNormalization):  # type: ignore[misc]
    """Batch normalization with quantized parameters.

    inv = Q_inv(Q_γ(γ) / √(Q_v(v) + ε)),  y = x · inv + (Q_β(β) − Q_μ(μ) · inv)

    In training μ and v are the batch's (biased) moments, quantized by the same quantizers; the moving averages
    take them unquantized. With no quantizer at all this is Keras' BatchNormalization. Defaults are QKeras'.

    Raises:
        ConfigError: an inverse quantizer together with one of gamma or variance; renorm, virtual_batch_size or
            adjustment, which Keras 3 has not.
    """

    @in_order(*NORM_ORDER[:5], "activation", *NORM_ORDER[5:], *_PARTS, *_CONSTRAINTS, "beta_range", "gamma_range")
    def __init__(
        self,
        beta_quantizer: Any = "quantized_po2(5)",
        gamma_quantizer: Any = "quantized_relu_po2(6,2048)",
        mean_quantizer: Any = "quantized_po2(5)",
        variance_quantizer: Any = "quantized_relu_po2(6,quadratic_approximation=True)",
        inverse_quantizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        kwargs = without_legacy(type(self).__name__, kwargs, _WITHOUT_EFFECT)
        self_scaling = {"gamma_quantizer": get(gamma_quantizer), "variance_quantizer": get(variance_quantizer)}
        in_use = {name: _for_weights(item) for name, item in self_scaling.items()}
        beta, gamma = get(beta_quantizer), in_use["gamma_quantizer"]
        given = {
            "beta_constraint": keras.constraints.serialize(keras.constraints.get(beta_constraint)),
            "gamma_constraint": keras.constraints.serialize(keras.constraints.get(gamma_constraint)),
        }
        if beta is not None and beta_constraint is None:
            beta_constraint = clip_for(beta)
        if gamma is not None and gamma_constraint is None:
            gamma_constraint = clip_for(gamma)
        super().__init__(beta_constraint=beta_constraint, gamma_constraint=gamma_constraint, **kwargs)
        if inverse_quantizer is not None and (gamma_quantizer is not None or variance_quantizer is not None):
            raise ConfigError(
                "QBatchNormalization: inverse_quantizer needs gamma_quantizer=None and variance_quantizer=None"
            )
        self.beta_quantizer = beta
        self.gamma_quantizer = self_scaling["gamma_quantizer"]
        self.mean_quantizer = get(mean_quantizer)
        self.variance_quantizer = self_scaling["variance_quantizer"]
        self.inverse_quantizer = get(inverse_quantizer)
        self._in_use: dict[str, Quantizer | None] = in_use
        self._given = given

    @property
    def plan(self) -> LayerPlan:
        return plan_of({role: getattr(self, name) for name, role in _PARTS.items()})

    def weight_parts(self) -> dict[str, WeightPart]:
        """Parameters and statistics by name, each with its quantizer."""
        variables = {
            "gamma": (self.gamma if self.scale else None, self._in_use["gamma_quantizer"]),
            "beta": (self.beta if self.center else None, self.beta_quantizer),
            "mean": (self.moving_mean, self.mean_quantizer),
            "variance": (self.moving_variance, self._in_use["variance_quantizer"]),
        }
        return {
            name: WeightPart(variable, ops.convert_to_tensor(variable), quantizer)
            for name, (variable, quantizer) in variables.items()
            if variable is not None
        }

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        if all(getattr(self, name) is None for name in _PARTS):
            if mask is None and self._can_fuse(inputs):
                return self._fused(inputs, bool(training) and self.trainable)
            return super().call(inputs, training=training, mask=mask)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, self.variable_dtype, "float32"))
        axes = [axis for axis in range(len(x.shape)) if axis != self.axis % len(x.shape)]
        if training and self.trainable:
            mean, variance = ops.moments(x, axes=axes)
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance, variance)
        else:
            mean, variance = ops.cast(self.moving_mean, x.dtype), ops.cast(self.moving_variance, x.dtype)
        inverse, shift = self._affine(mean, variance, training)
        shape = [1] * len(x.shape)
        shape[self.axis] = -1
        y = x * ops.reshape(inverse, shape) + ops.reshape(shift, shape)
        return ops.cast(y, self.compute_dtype)

    def _can_fuse(self, x: Any) -> bool:
        """Whether one kernel computes it: float32, channels last, up to two dimensions between them."""
        rank = len(x.shape)
        plain = x.dtype == "float32" and self.compute_dtype == "float32" and not self.synchronized
        return plain and 2 <= rank <= 4 and self.axis % rank == rank - 1

    def _fused(self, x: Any, training: bool) -> Any:
        channels = tf.shape(x)[-1] if x.shape[-1] is None else int(x.shape[-1])
        image = x if len(x.shape) == 4 else tf.reshape(x, (-1, 1, 1, channels))
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=image,
            scale=self.gamma if self.scale else tf.ones((channels,)),
            offset=self.beta if self.center else tf.zeros((channels,)),
            mean=tf.zeros((0,)) if training else ops.convert_to_tensor(self.moving_mean),
            variance=tf.zeros((0,)) if training else ops.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=training,
        )
        if training:
            # The kernel gives the unbiased variance; Keras 3 averages the biased one.
            count = tf.cast(tf.size(x) // channels, tf.float32)
            self._update(self.moving_mean, mean)
            self._update(self.moving_variance, variance * (count - 1.0) / count)
        return y if len(x.shape) == 4 else tf.reshape(y, tf.shape(x))

    def affine(self) -> tuple[Any, Any]:
        """(inverse, shift), float32, one value per channel: y = x · inverse + shift at inference."""
        return self._affine(ops.convert_to_tensor(self.moving_mean), ops.convert_to_tensor(self.moving_variance), False)

    def _affine(self, mean: Any, variance: Any, training: bool | None) -> tuple[Any, Any]:
        """(inv, Q_β(β) − Q_μ(μ) · inv), one value per channel."""
        mean = _apply(self.mean_quantizer, mean, training)
        variance = _apply(self._in_use["variance_quantizer"], variance, training)
        inverse = ops.rsqrt(variance + self.epsilon)
        if self.scale:
            inverse = inverse * _apply(self._in_use["gamma_quantizer"], ops.cast(self.gamma, mean.dtype), training)
        inverse = _apply(self.inverse_quantizer, inverse, training)
        shift = -mean * inverse
        if self.center:
            shift = shift + _apply(self.beta_quantizer, ops.cast(self.beta, mean.dtype), training)
        return inverse, shift

    def _update(self, average: Any, batch: Any) -> None:
        average.assign(average * self.momentum + ops.cast(batch, average.dtype) * (1.0 - self.momentum))

    def get_config(self) -> dict[str, Any]:
        quantizers = {name: text(getattr(self, name)) for name in _PARTS}
        return {**super().get_config(), **self._given, **quantizers}


def _for_weights(quantizer: Quantizer | None) -> Quantizer | None:
    return None if quantizer is None else quantizer.for_weights()


def _apply(quantizer: Quantizer | None, x: Any, training: bool | None) -> Any:
    return x if quantizer is None else quantizer(x, training=training)
