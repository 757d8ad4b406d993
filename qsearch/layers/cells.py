"""The cells of QSimpleRNN, QLSTM and QGRU.

Kernel, recurrent kernel and bias are quantized as whole matrices (gates side by side, an automatic scale per
column); inputs are not quantized; the states that come in pass through the state quantizer. Matrices of all
gates are multiplied at once, whatever `implementation` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, NamedTuple

import keras
from keras import ops

from qsearch.layers.positions import CELL_QUANTIZERS, cell_order, in_order
from qsearch.layers.quantized import Config, QuantizedLayer, suited
from qsearch.layers.roles import activation_of, apply_activation, plan_of, serialized_activation
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.base import Quantizer

_FUNCTIONS = ("units", "activation", "recurrent_activation")
_DROPOUT = ("dropout", "recurrent_dropout")

_register = keras.saving.register_keras_serializable(package="qsearch")


class Weights(NamedTuple):
    """The quantized weights of one call of the layer; they are the same at every step."""

    kernel: Any
    recurrent: Any
    bias: Any


class QuantizedCell(QuantizedLayer):
    """What the three cells share."""

    ROLES = MappingProxyType(
        {"kernel": Role.KERNEL, "recurrent": Role.RECURRENT, "bias": Role.BIAS, "state": Role.STATE}
    )

    def _start(self, units: int, functions: Mapping[str, Any], quantizers: tuple[Any, ...], rest: Config) -> None:
        """Quantizers: of kernel, recurrent kernel, bias and state."""
        kernel, recurrent, bias, state = quantizers
        kernels, others = {"kernel": kernel, "recurrent": recurrent}, {"bias": bias, "state": state}
        initializers = {"kernel": "glorot_uniform", "recurrent": "orthogonal", "bias": "zeros"}
        if rest.get("implementation") == 0:
            rest = {**rest, "implementation": 1}  # old files have the first one's number, which Keras 2 dropped
        chosen = suited(kernels, others, rest, initializers)
        read = {name: activation_of(identifier) for name, identifier in functions.items()}
        super().__init__(units, **read, **chosen.arguments)
        self._take(chosen)
        self._prepared: Weights | None = None

    @property
    def recurrent_quantizer(self) -> Quantizer | None:
        return self._given("recurrent")

    @property
    def state_quantizer(self) -> Quantizer | None:
        return self._given("state")

    @contextmanager
    def prepared(self, training: bool | None) -> Iterator[None]:
        """Quantize the weights once for all steps inside."""
        self._prepared = self._weights(training)
        try:
            yield
        finally:
            self._prepared = None

    def _weights(self, training: bool | None) -> Weights:
        if self._prepared is not None:
            return self._prepared
        return Weights(
            self._quantized("kernel", self.kernel, training),
            self._quantized("recurrent", self.recurrent_kernel, training),
            self._quantized("bias", self.bias, training),
        )

    def _input_part(self, x: Any, weights: Weights, bias: Any, training: bool | None) -> Any:
        """x · W + b, with the cell's dropout."""
        mask = self.get_dropout_mask(x) if training else None
        product = self._product(x, mask, weights.kernel)
        return product if bias is None else ops.add(product, bias)

    def _recurrent_mask(self, h: Any, training: bool | None) -> Any:
        return self.get_recurrent_dropout_mask(h) if training else None

    def _product(self, x: Any, mask: Any, matrix: Any) -> Any:
        """x · matrix; a list of masks has one for each gate."""
        if mask is None:
            return ops.matmul(x, matrix)
        if not isinstance(mask, list | tuple):
            return ops.matmul(x * mask, matrix)
        columns = ops.split(matrix, len(mask), axis=-1)
        return ops.concatenate([ops.matmul(x * m, part) for m, part in zip(mask, columns, strict=True)], axis=-1)

    def _state(self, state: Any, training: bool | None) -> Any:
        return self._quantized("state", state, training)

    def _act(self, x: Any, training: bool | None) -> Any:
        return apply_activation(self.activation, x, training)

    def _gate(self, x: Any, training: bool | None) -> Any:
        return apply_activation(self.recurrent_activation, x, training)

    @property
    def plan(self) -> LayerPlan:
        recurrent = getattr(self, "recurrent_activation", None)
        own = super().plan
        return LayerPlan({**own.quantizers, **plan_of({Role.RECURRENT_ACTIVATION: recurrent}).quantizers})

    def get_config(self) -> Config:
        config = self._config(super().get_config())
        config.pop("state_initializer", None)
        if "recurrent_activation" in config:
            config["recurrent_activation"] = serialized_activation(self.recurrent_activation)
        return config


@_register
class QSimpleRNNCell(QuantizedCell, keras.layers.SimpleRNNCell):  # type: ignore[misc]
    """h = act(x · Q_k(W) + Q_b(b) + Q_s(h) · Q_r(U))."""

    @in_order("units", "activation", *cell_order(), *CELL_QUANTIZERS, *_DROPOUT)
    def __init__(
        self,
        units: int,
        activation: Any = "quantized_tanh",
        kernel_quantizer: Any = None,
        recurrent_quantizer: Any = None,
        bias_quantizer: Any = None,
        state_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        quantizers = (kernel_quantizer, recurrent_quantizer, bias_quantizer, state_quantizer)
        kwargs.pop("implementation", None)
        self._start(units, {"activation": activation}, quantizers, kwargs)

    def call(self, sequence: Any, states: Any, training: bool | None = False) -> Any:
        weights = self._weights(training)
        h = self._state(states[0] if isinstance(states, list | tuple) else states, training)
        total = self._input_part(sequence, weights, weights.bias, training)
        output = self._act(total + self._product(h, self._recurrent_mask(h, training), weights.recurrent), training)
        return output, [output] if isinstance(states, list | tuple) else output


@_register
class QLSTMCell(QuantizedCell, keras.layers.LSTMCell):  # type: ignore[misc]
    """Gates i, f, c, o in z = x · Q_k(W) + Q_b(b) + Q_s(h) · Q_r(U).

    c = R(f) · Q_s(c) + R(i) · A(g), h = R(o) · A(c); A the activation, R the recurrent one.
    """

    @in_order(*_FUNCTIONS, *cell_order("unit_forget_bias"), *CELL_QUANTIZERS, *_DROPOUT, "implementation")
    def __init__(
        self,
        units: int,
        activation: Any = "quantized_tanh",
        recurrent_activation: Any = "hard_sigmoid",
        kernel_quantizer: Any = None,
        recurrent_quantizer: Any = None,
        bias_quantizer: Any = None,
        state_quantizer: Any = None,
        **kwargs: Any,
    ) -> None:
        quantizers = (kernel_quantizer, recurrent_quantizer, bias_quantizer, state_quantizer)
        functions = {"activation": activation, "recurrent_activation": recurrent_activation}
        self._start(units, functions, quantizers, kwargs)

    def call(self, inputs: Any, states: Any, training: bool | None = False) -> Any:
        weights = self._weights(training)
        h, c = (self._state(state, training) for state in states)
        total = self._input_part(inputs, weights, weights.bias, training)
        total = total + self._product(h, self._recurrent_mask(h, training), weights.recurrent)
        into, forget, candidate, out = ops.split(total, 4, axis=-1)
        c = self._gate(forget, training) * c + self._gate(into, training) * self._act(candidate, training)
        h = self._gate(out, training) * self._act(c, training)
        return h, [h, c]


@_register
class QGRUCell(QuantizedCell, keras.layers.GRUCell):  # type: ignore[misc]
    """Gates z, r, h: h' = z · Q_s(h) + (1 − z) · A(...).

    The candidate is x_h + (r ⊙ h) · U_h, or x_h + r ⊙ (h · U_h + b_h) with `reset_after`, which has a bias of
    shape (2, 3 · units). QKeras' default, `reset_after=False`, is not Keras'.
    """

    @in_order(*_FUNCTIONS, *cell_order(), *CELL_QUANTIZERS, *_DROPOUT, "implementation", "reset_after")
    def __init__(
        self,
        units: int,
        activation: Any = "quantized_tanh",
        recurrent_activation: Any = "hard_sigmoid",
        kernel_quantizer: Any = None,
        recurrent_quantizer: Any = None,
        bias_quantizer: Any = None,
        state_quantizer: Any = None,
        reset_after: bool = False,
        **kwargs: Any,
    ) -> None:
        quantizers = (kernel_quantizer, recurrent_quantizer, bias_quantizer, state_quantizer)
        functions = {"activation": activation, "recurrent_activation": recurrent_activation}
        self._start(units, functions, quantizers, {**kwargs, "reset_after": reset_after})

    def call(self, inputs: Any, states: Any, training: bool | None = False) -> Any:
        weights = self._weights(training)
        h = self._state(states[0] if isinstance(states, list | tuple) else states, training)
        bias, inner_bias = weights.bias, None
        if bias is not None and self.reset_after:
            bias, inner_bias = weights.bias[0], weights.bias[1]
        x_z, x_r, x_h = ops.split(self._input_part(inputs, weights, bias, training), 3, axis=-1)
        masks = self._recurrent_mask(h, training)
        gates = masks[:2] if isinstance(masks, list | tuple) else masks
        last = masks[2] if isinstance(masks, list | tuple) else masks
        split = 2 * self.units
        inner = self._product(h, gates, weights.recurrent[:, :split])
        if inner_bias is not None:
            inner = inner + inner_bias[:split]
        z = self._gate(x_z + inner[:, : self.units], training)
        r = self._gate(x_r + inner[:, self.units :], training)
        if self.reset_after:
            candidate = self._product(h, last, weights.recurrent[:, split:])
            candidate = r * (candidate if inner_bias is None else candidate + inner_bias[split:])
        else:
            candidate = self._product(r * h, last, weights.recurrent[:, split:])
        h = z * h + (1 - z) * self._act(x_h + candidate, training)
        return h, [h] if isinstance(states, list | tuple) else h
