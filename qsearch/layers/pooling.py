"""QAveragePooling2D and QGlobalAveragePooling2D: the division by the area is a multiplication by a quantized number."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import ops

from qsearch.errors import ConfigError
from qsearch.layers.positions import in_order
from qsearch.layers.roles import activation_of, apply_activation, plan_of, serialized_activation, text
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

_register = keras.saving.register_keras_serializable(package="qsearch")


class _QuantizedAverage:
    """Mixin: the quantizer of 1/area, and an activation."""

    def __init__(self, average_quantizer: Any = None, activation: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.average_quantizer: Quantizer | None = get(average_quantizer)
        self.activation = activation_of(activation)

    def _quantized_average(self, average: Any, area: int, training: bool | None) -> Any:
        """The average times area · Q(1/area)."""
        if self.average_quantizer is None:
            return average
        factor = self.average_quantizer(ops.convert_to_tensor(1.0 / area, "float32"), training=training)
        return average * ops.cast(area * factor, average.dtype)

    @property
    def plan(self) -> LayerPlan:
        return plan_of({Role.AVERAGE: self.average_quantizer, Role.ACTIVATION: self.activation})

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),  # type: ignore[misc]
            "average_quantizer": text(self.average_quantizer),
            "activation": serialized_activation(self.activation),
        }


@_register
class QAveragePooling2D(_QuantizedAverage, keras.layers.AveragePooling2D):  # type: ignore[misc]
    """activation(mean(x) · A · Q(1/A)) over windows of area A; cells outside the image do not enter a mean."""

    @in_order("pool_size", "strides", "padding", "data_format", "average_quantizer", "activation")
    def __init__(self, pool_size: int | tuple[int, int] = (2, 2), **kwargs: Any) -> None:
        super().__init__(pool_size=pool_size, **kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        average = super().call(ops.cast(inputs, self.compute_dtype))
        return apply_activation(
            self.activation, self._quantized_average(average, math.prod(self.pool_size), training), training
        )


@_register
class QGlobalAveragePooling2D(_QuantizedAverage, keras.layers.GlobalAveragePooling2D):  # type: ignore[misc]
    """activation(sum(x) · Q(1/(H · W))).

    Raises:
        ConfigError: a quantizer where height and width are not known.
    """

    @in_order("data_format", "average_quantizer", "activation")
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        height, width = inputs.shape[1:3] if self.data_format == "channels_last" else inputs.shape[2:4]
        if self.average_quantizer is not None and (height is None or width is None):
            raise ConfigError(f"layer {self.name!r}: average_quantizer needs a fixed height and width")
        average = super().call(ops.cast(inputs, self.compute_dtype))
        area = 1 if height is None or width is None else height * width
        return apply_activation(self.activation, self._quantized_average(average, area, training), training)
