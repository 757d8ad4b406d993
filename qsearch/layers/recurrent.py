"""QSimpleRNN, QLSTM, QGRU and QBidirectional."""

from __future__ import annotations

from typing import Any, ClassVar, Self

import keras

from qsearch.layers.cells import QGRUCell, QLSTMCell, QSimpleRNNCell, QuantizedCell
from qsearch.layers.positions import CELL_QUANTIZERS, LOOP_ORDER, in_order, weights_order
from qsearch.layers.quantized import WeightPart
from qsearch.plan import LayerPlan
from qsearch.quantizers.base import Quantizer

_register = keras.saving.register_keras_serializable(package="qsearch")

_KERNELS = ("kernel", "recurrent")
_FUNCTIONS = ("units", "activation", "recurrent_activation")
_DROPOUT = ("dropout", "recurrent_dropout")
_LOOP = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
    "name",
    "trainable",
    "dtype",
    "activity_regularizer",
)
"""Arguments of the loop over time; the others are the cell's."""
_OF_CELL = ("unit_forget_bias", "dropout", "implementation")
"""Attributes of a layer that its cell has, with those that end in `_quantizer`, `_initializer` and so on."""


class _Recurrent(keras.layers.RNN):  # type: ignore[misc]
    """A cell's arguments and the loop's in one layer, as Keras' LSTM has them."""

    CELL: ClassVar[type[Any]]

    def __init__(self, units: int, activation: Any = "quantized_tanh", **kwargs: Any) -> None:
        loop = {key: kwargs.pop(key) for key in _LOOP if key in kwargs}
        kwargs.pop("use_cudnn", None)  # there is no such kernel for quantized weights
        cell = self.CELL(units, activation=activation, dtype=loop.get("dtype"), **kwargs)
        super().__init__(cell, **loop)

    @property
    def units(self) -> int:
        return int(self.cell.units)

    @property
    def use_bias(self) -> bool:
        return bool(self.cell.use_bias)

    @property
    def activation(self) -> Any:
        return self.cell.activation

    @property
    def plan(self) -> LayerPlan:
        plan: LayerPlan = self.cell.plan
        return plan

    @property
    def quantizers(self) -> list[Quantizer | None]:
        """The kernel's, the recurrent kernel's, the bias' and the state's, as the cell uses them."""
        quantizers: list[Quantizer | None] = self.cell.quantizers
        return quantizers

    def get_quantizers(self) -> list[Quantizer | None]:
        """`quantizers`, as QKeras calls it."""
        return self.quantizers

    def weight_parts(self) -> dict[str, WeightPart]:
        """The cell's weights by name, each with its quantizer."""
        parts: dict[str, WeightPart] = self.cell.weight_parts()
        return parts

    def __getattr__(self, name: str) -> Any:
        """The quantizers, initializers and constraints of the cell are the layer's."""
        cell = self.__dict__.get("cell")
        parts = ("_quantizer", "_initializer", "_constraint", "_regularizer", "_activation", "reset_after", *_OF_CELL)
        if isinstance(cell, QuantizedCell) and name.endswith(parts):
            return getattr(cell, name)
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def inner_loop(self, sequences: Any, initial_state: Any, mask: Any, training: bool | None = False) -> Any:
        with self.cell.prepared(training):
            return super().inner_loop(sequences, initial_state, mask, training)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("cell")
        own = {key: value for key, value in self.cell.get_config().items() if key not in _LOOP}
        return {**config, **own}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        return cls(**config)


@_register
class QSimpleRNN(_Recurrent):
    """SimpleRNN with quantizers; see `QSimpleRNNCell`."""

    CELL = QSimpleRNNCell

    @in_order("units", "activation", *weights_order(_KERNELS), *CELL_QUANTIZERS, *_DROPOUT, *LOOP_ORDER)
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)


@_register
class QLSTM(_Recurrent):
    """LSTM with quantizers; see `QLSTMCell`."""

    CELL = QLSTMCell

    @in_order(
        *_FUNCTIONS,
        *weights_order(_KERNELS, ("unit_forget_bias",)),
        *CELL_QUANTIZERS,
        *_DROPOUT,
        "implementation",
        *LOOP_ORDER,
    )
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)


@_register
class QGRU(_Recurrent):
    """GRU with quantizers; see `QGRUCell`."""

    CELL = QGRUCell

    @in_order(
        *_FUNCTIONS,
        *weights_order(_KERNELS),
        *CELL_QUANTIZERS,
        *_DROPOUT,
        "implementation",
        *LOOP_ORDER,
        "reset_after",
    )
    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)


@_register
class QBidirectional(keras.layers.Bidirectional):  # type: ignore[misc]
    """Bidirectional around a quantized recurrent layer."""

    @property
    def plan(self) -> LayerPlan:
        """The forward layer's quantizers."""
        plan = getattr(self.forward_layer, "plan", None)
        return plan if isinstance(plan, LayerPlan) else LayerPlan()

    def weight_parts(self) -> dict[str, WeightPart]:
        """Both directions' weights by name, each with its quantizer."""
        return {
            f"{direction}_{name}": part
            for direction, layer in (("forward", self.forward_layer), ("backward", self.backward_layer))
            if isinstance(layer, _Recurrent)
            for name, part in layer.weight_parts().items()
        }

    @property
    def quantizers(self) -> list[Quantizer | None]:
        """Kernel, recurrent, bias and state quantizers, forward then backward."""
        return [*self.forward_layer.quantizers, *self.backward_layer.quantizers]

    def get_quantizers(self) -> list[Quantizer | None]:
        """`quantizers`, as QKeras calls it."""
        return self.quantizers
