"""What every quantizer is: a spec that can be called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Self

import tensorflow as tf

from qsearch.quantizers.formats import NumberFormat, number_format
from qsearch.quantizers.signatures import SIGNATURES, Value
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.quantizers.tensors import Tensor


class Quantizer(ABC):
    """A quantizer; immutable. Subclasses have the field's names, so that Keras configs read as they always did.

    Raises:
        ConfigError: unknown arguments, or values that are not allowed.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._spec = QuantizerSpec(
            type(self).__name__,
            tuple(_frozen(value) for value in args),
            tuple((key, _frozen(value)) for key, value in kwargs.items()),
        )

    @abstractmethod
    def __call__(self, x: Tensor, training: bool | None = None) -> Tensor:
        """x on the quantizer's levels, any shape; stochastic ones sample in training only."""

    @abstractmethod
    def max(self) -> float:
        """An upper bound of the levels for scale 1; kernels are clipped to at least ±1 and at most ± this."""

    @abstractmethod
    def min(self) -> float:
        """The lower bound that belongs to `max`."""

    def scale(self, x: Tensor) -> Tensor:
        """What multiplies the levels when x is quantized at inference: float32, broadcasts against x.

        1 unless the quantizer has an alpha; with an automatic one, one value per channel of x.
        """
        return tf.ones(())

    @property
    def spec(self) -> QuantizerSpec:
        return self._spec

    @property
    def number_format(self) -> NumberFormat:
        return number_format(self._spec)

    def argument(self, name: str) -> Any:
        """The value of a parameter, its default included."""
        return self._spec.arguments[name]

    def for_weights(self) -> Quantizer:
        """The quantizer as a kernel uses it: where it can scale itself and alpha is None, alpha is 'auto_po2'."""
        return self

    def _with(self, **changes: Value) -> Self:
        return type(self)(**{**self._spec.arguments, **changes})

    def get_config(self) -> dict[str, Any]:
        """Every parameter, defaults included."""
        return {key: _thawed(value) for key, value in self._spec.arguments.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Also reads QKeras' configs, whose empty extra keys mean nothing here."""
        known = {parameter.name for parameter in SIGNATURES[cls.__name__]}
        given = {key: value for key, value in config.items() if key in known or value is not None}
        return cls(**given)

    def __str__(self) -> str:
        return str(self._spec)

    def __repr__(self) -> str:
        return f"<{self._spec}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantizer) and self._spec == other._spec

    def __hash__(self) -> int:
        return hash(self._spec)


def _frozen(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if hasattr(value, "tolist"):  # numpy arrays and numbers
        return _frozen(value.tolist())
    return value  # type: ignore[no-any-return]


def _thawed(value: Value) -> Any:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value
