"""What every quantizer is: a spec that can be called."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, ClassVar, Self

import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers.arithmetic.draws import Seeds, Stream, Uniform
from qsearch.quantizers.arithmetic.tensors import Number, Tensor
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import NumberFormat
from qsearch.quantizers.parameters import Value
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.quantizers.table import SIGNATURES


class Quantizer(ABC):
    """A quantizer; immutable. Subclasses have the field's names, so that Keras configs read as they always did.

    Raises:
        ConfigError: unknown arguments, or values that are not allowed.
    """

    WITHOUT_MEANING: ClassVar[frozenset[str]] = frozenset()
    """Keys that QKeras writes and that cannot differ."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """help() and notebooks show the parameters of the table."""
        super().__init_subclass__(**kwargs)
        if cls.__name__ in SIGNATURES:
            kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
            cls.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
                [inspect.Parameter(p.name, kind, default=p.default) for p in SIGNATURES[cls.__name__]]
            )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._spec = QuantizerSpec(
            type(self).__name__,
            tuple(_frozen(value) for value in args),
            tuple((key, _frozen(value)) for key, value in kwargs.items()),
        )
        self.seeds: Seeds | None = Stream() if self._spec.draws else None

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

    def step(self, x: Tensor) -> Tensor | None:
        """The distance of neighbouring levels when x is quantized at inference: q = whole number · step, float32.

        One number, or one per scale where it depends on x. None where levels are not evenly spaced.
        """
        return None

    def _uniform(self, training: bool | None) -> Uniform | None:
        """The random numbers of a call in training; None where it draws none."""
        return Uniform(self.seeds.next()) if training and self.seeds is not None else None

    def drawing_by(self, seeds: Seeds) -> Self:
        """The same quantizer with other random numbers, where it draws any."""
        if self.seeds is None:
            return self
        other = copy(self)
        other.seeds = seeds
        return other

    @property
    def spec(self) -> QuantizerSpec:
        return self._spec

    @property
    def number_format(self) -> NumberFormat:
        return number_format(self._spec)

    def __getattr__(self, name: str) -> Any:
        """Parameters are attributes too: `quantizer.bits`."""
        spec = self.__dict__.get("_spec")
        if spec is not None and name in spec.arguments:
            return _thawed(spec.arguments[name])
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")

    def argument(self, name: str) -> Any:
        """The value of a parameter, its default included."""
        return self._spec.arguments[name]

    def for_weights(self) -> Quantizer:
        """The quantizer as a kernel uses it: where it can scale itself and alpha is None, alpha is 'auto_po2'."""
        return self

    def _with(self, **changes: Value) -> Self:
        changed = self._spec.replaced(changes)
        return type(self)(*changed.args, **dict(changed.kwargs))

    def get_config(self) -> dict[str, Any]:
        """Every parameter, defaults included."""
        return {key: _thawed(value) for key, value in self._spec.arguments.items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Also reads QKeras' configs: extra keys that are empty or that mean nothing here, and arrays."""
        known = {parameter.name for parameter in SIGNATURES[cls.__name__]}
        kept = {key: value for key, value in config.items() if key in known or value is not None}
        return cls(**{key: _unpacked(value) for key, value in kept.items() if key not in cls.WITHOUT_MEANING})

    def __str__(self) -> str:
        return str(self._spec)

    def __repr__(self) -> str:
        return f"<{self._spec}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantizer) and self._spec == other._spec

    def __hash__(self) -> int:
        return hash(self._spec)


class Noisy(Quantizer):
    """A quantizer with `qnoise_factor` n: y = x̂ + n · (q − x̂), x̂ what its gradient is taken of.

    With `use_variables`, or after `make_variable`, n is a variable, which `update_qnoise_factor` changes between
    training steps; a model file keeps the value that the quantizer was made with.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._noise: tf.Variable | None = None
        if self.argument("use_variables"):
            self.make_variable()

    def make_variable(self) -> None:
        """Let n change from now on, also where the quantizer was made without `use_variables`.

        What was compiled before keeps the number that n was.
        """
        if self._noise is None:
            name = self.argument("var_name") or type(self).__name__
            with tf.init_scope():  # a variable outlives the function in which a quantizer happens to be made
                self._noise = tf.Variable(
                    float(self.argument("qnoise_factor")), trainable=False, name=f"{name}_qnoise_factor"
                )

    def noise(self) -> Number:
        """The current factor: a number, or a tensor where it is a variable."""
        return float(self.argument("qnoise_factor")) if self._noise is None else tf.identity(self._noise)

    @property
    def qnoise_factor(self) -> Number:
        """`noise()`, as QKeras calls it."""
        return self.noise()

    @property
    def can_change(self) -> bool:
        """Whether n is a variable."""
        return self._noise is not None

    def _with(self, **changes: Value) -> Self:
        changed = super()._with(**changes)
        changed._noise = self._noise  # what a layer makes of a quantizer follows it
        return changed

    def update_qnoise_factor(self, qnoise_factor: float) -> None:
        """Set the factor, where it is a variable, and that of the quantizers that layers made from this one.

        Raises:
            ConfigError: a quantizer without a variable, which cannot change.
        """
        if self._noise is None:
            raise ConfigError(f"{self.spec}: its qnoise_factor is fixed; make it with use_variables=True to change it")
        self._noise.assign(qnoise_factor)

    def surrogate_slope(self, slope: Callable[[Tensor], Tensor] | None) -> Callable[[Tensor], Tensor] | None:
        """The gradient: that of x̂, or (1 − n) of it with `use_ste=False`."""
        if self.argument("use_ste"):
            return slope
        share = 1.0 - self.noise()
        return lambda v: share * (tf.ones_like(v) if slope is None else slope(v))

    def _refuse_without_gradient(self) -> None:
        """Weights could never be trained with `use_ste=False` and the whole quantization noise."""
        if (
            not self._spec.arguments.get("use_ste", True)
            and self._noise is None
            and self.argument("qnoise_factor") == 1.0
        ):
            raise ConfigError(
                f"{self.spec}: use_ste=False with qnoise_factor=1 has a gradient of zero everywhere, "
                "so weights would never change; use use_ste=True or a smaller qnoise_factor"
            )


def _frozen(value: Any) -> Value:
    if isinstance(value, list | tuple):
        return tuple(_frozen(item) for item in value)
    if hasattr(value, "tolist"):  # numpy arrays and numbers
        return _frozen(value.tolist())
    return value  # type: ignore[no-any-return]


def _unpacked(value: Any) -> Any:
    """Keras writes an array as a dictionary."""
    if isinstance(value, Mapping) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return value["config"]["value"]
    return value


def _thawed(value: Value) -> Any:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value
