"""What layers with weights share: a quantizer for each weight, initializers and constraints that fit it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import keras
import tensorflow as tf
from keras import ops

from qsearch.layers.constraints import clip_for, initializer_for
from qsearch.layers.roles import apply_activation, plan_of, serialized_activation, text
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

Config = dict[str, Any]
_DEPRECATED = ("kernel_range", "bias_range", "depthwise_range", "pointwise_range", "recurrent_range", "state_range")
"""Arguments of old QKeras versions that have had no meaning since."""


@dataclass(frozen=True)
class Suited:
    """A layer's quantizers, and the Keras arguments that fit them.

    Attributes:
        given: quantizers by the prefix of their argument (`kernel`, `bias`, ...), as they were given.
        in_use: as the layer applies them: a kernel's alpha None is 'auto_po2'.
        arguments: for the Keras base class.
        asked: the initializers and constraints that were asked for, as a config holds them.
    """

    given: Mapping[str, Quantizer | None]
    in_use: Mapping[str, Quantizer | None]
    arguments: Config
    asked: Config

    def asked_for(self, prefix: str) -> Any:
        """The constraint that was asked for, serialized; None for none."""
        return self.asked.get(f"{prefix}_constraint")


def suited(
    kernels: Mapping[str, Any], others: Mapping[str, Any], arguments: Config, initializers: Mapping[str, str]
) -> Suited:
    """Read a layer's quantizers and fit initializers and constraints to them.

    Args:
        kernels: what is given for each kernel, by prefix; these may scale themselves.
        others: the same for biases and states.
        arguments: the layer's other arguments; a constraint of the user's is kept as it is.
        initializers: the defaults by prefix; prefixes without one have neither initializer nor constraint.
    """
    given = {name: get(identifier) for name, identifier in {**kernels, **others}.items()}
    in_use = {name: _for_weights(item) if name in kernels else item for name, item in given.items()}
    fitted = {key: value for key, value in arguments.items() if key not in _DEPRECATED}
    for key in set(arguments) & set(_DEPRECATED):
        if arguments[key] is not None:
            warnings.warn(f"{key} has no effect; clipping follows the quantizer", DeprecationWarning, stacklevel=4)
    asked: Config = {}
    for name, default in initializers.items():
        quantizer = in_use[name]
        initializer = keras.initializers.get(arguments.get(f"{name}_initializer", default))
        constraint = keras.constraints.get(arguments.get(f"{name}_constraint"))
        asked[f"{name}_initializer"] = keras.initializers.serialize(initializer)
        asked[f"{name}_constraint"] = keras.constraints.serialize(constraint)
        fitted[f"{name}_initializer"] = initializer_for(initializer, quantizer)
        fitted[f"{name}_constraint"] = clip_for(quantizer) if quantizer and constraint is None else constraint
    return Suited(MappingProxyType(given), MappingProxyType(in_use), fitted, asked)


def _for_weights(quantizer: Quantizer | None) -> Quantizer | None:
    return None if quantizer is None else quantizer.for_weights()


@dataclass(frozen=True)
class WeightPart:
    """A weight of a layer.

    Attributes:
        variable: where it is stored; None for one that is computed from several (a folded kernel).
        value: what is quantized, float32.
        quantizer: as the layer uses it; None for a weight that stays a float.
    """

    variable: Any
    value: Any
    quantizer: Quantizer | None


if TYPE_CHECKING:

    class _InFrontOf(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        """What the mixin is put in front of."""

else:
    _InFrontOf = object


class QuantizedLayer(_InFrontOf):
    """Mixin: keeps what `suited` found, applies it, and writes it into configs and plans."""

    ROLES: ClassVar[Mapping[str, Role]] = MappingProxyType({"kernel": Role.KERNEL, "bias": Role.BIAS})

    suited: Suited

    def _take(self, chosen: Suited) -> None:
        self.suited = chosen

    @property
    def kernel_quantizer(self) -> Quantizer | None:
        return self._given("kernel")

    @property
    def bias_quantizer(self) -> Quantizer | None:
        return self._given("bias")

    @property
    def quantizers(self) -> list[Quantizer | None]:
        """Of kernels, bias and state, in this order, as the layer uses them."""
        return list(self.suited.in_use.values())

    def get_quantizers(self) -> list[Quantizer | None]:
        """`quantizers`, as QKeras calls it."""
        return self.quantizers

    def _given(self, name: str) -> Quantizer | None:
        return self.suited.given.get(name)

    def _quantized(self, name: str, weight: Any, training: bool | None) -> Any:
        """A weight as the layer computes with it; None stays None."""
        quantizer = self.suited.in_use.get(name)
        return weight if weight is None or quantizer is None else quantizer(weight, training=training)

    def weight_parts(self) -> dict[str, WeightPart]:
        """The layer's weights by name, each with its quantizer."""
        names = {"kernel": "kernel", "weight": "weight", "bias": "bias"}
        parts: dict[str, WeightPart] = {}
        for key, quantizer in self.suited.in_use.items():
            prefix = key.removesuffix("_kernel")
            variable = getattr(self, names.get(prefix, f"{prefix}_kernel"), None)
            if variable is None and prefix == "depthwise":
                variable = getattr(self, "kernel", None)  # Keras 3 calls a depthwise layer's kernel so
            if variable is not None:
                parts[prefix] = WeightPart(variable, ops.convert_to_tensor(variable), quantizer)
        return parts

    def _finish(self, x: Any, bias: Any, training: bool | None) -> Any:
        """activation(x + bias), the bias along the channels."""
        if bias is not None:
            first = getattr(self, "data_format", None) == "channels_first"
            if bias.shape[0] is None:  # Keras takes this kernel, whose gradient sums in another order, by the shapes
                x = tf.nn.bias_add(x, bias, "NCHW" if first else "NHWC")
            else:
                x = ops.add(x, ops.reshape(bias, (1, -1) + (1,) * (len(x.shape) - 2)) if first else bias)
        return apply_activation(self.activation, x, training)

    def _config(self, config: Config) -> Config:
        """A config with the initializers and constraints that were asked for, not those derived from quantizers."""
        return {
            **config,
            **self.suited.asked,
            "activation": serialized_activation(self.activation),
            **{f"{name}_quantizer": text(item) for name, item in self.suited.given.items()},
        }

    @property
    def plan(self) -> LayerPlan:
        """The layer's quantizers as they were given."""
        quantizers: dict[Role, Any] = {self.ROLES[name]: item for name, item in self.suited.given.items()}
        return plan_of({**quantizers, Role.ACTIVATION: self.activation})
