"""What an activation computes, found out by trying it on numbers: `relu`, ReLU(6), a lambda, the user's own layer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import keras
import numpy
from numpy.typing import NDArray

from qsearch.functions import (
    HARD_SILU,
    IDENTITY,
    RELU,
    SIGMOID,
    SOFTMAX,
    TANH,
    Function,
)
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.computed import computed

Vector = NDArray[numpy.float64]

_BELOW = (-48, -12, -7, -5, -4, -3.25, -2.5, -2, -1.5, -1, -0.75, -0.5, -0.25, -0.125)
_ABOVE = (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3.25, 4, 5, 7, 12, 48, 1024)
_POINTS: Vector = numpy.array([*_BELOW, 0, *_ABOVE])
"""Numbers that all float types hold exactly."""
_TOLERANCE = 2e-3
"""Relative; half precision has 11 bits."""


def function_of(activation: Any) -> Function:
    """What the activation of a layer computes.

    Args:
        activation: as Keras takes it: None, a function, a layer; or a quantizer.
    """
    function = recognised(activation)
    return function if function is not None else Function(_name(activation))


def recognised(activation: Any, rank: int = 2) -> Function | None:
    """What something that can be called computes, or None where it is no function of single values.

    Softmax is one all the same.

    Args:
        rank: of the tensors that it takes, the batch axis included.
    """
    if activation is None or activation is keras.activations.linear:
        return IDENTITY
    if isinstance(activation, Quantizer):
        return computed(activation.spec)
    try:
        return _of_function(activation, rank)
    except TypeError:  # cannot be hashed
        return _tried(activation, rank)


def affine(function: Any, rank: int) -> tuple[float, float] | None:
    """(scale, offset) of something that computes scale · x + offset, or None."""
    try:
        values, alone = _tabled(function, rank)
    except Exception:  # the user's own code, on numbers that it was not made for
        return None
    if values is None or not alone:
        return None
    offset = float(values[_POINTS == 0][0])
    scale = float(values[_POINTS == 1][0]) - offset
    return (_tidy(scale), _tidy(offset)) if _close(values, scale * _POINTS + offset) else None


@lru_cache(maxsize=256)
def _of_function(activation: Any, rank: int) -> Function | None:
    return _tried(activation, rank)


def _tried(activation: Any, rank: int) -> Function | None:
    try:
        function = _callable(activation)
        if function is None:
            return Function(_name(activation))
        values, alone = _tabled(function, rank)
    except Exception:  # the user's own code, on numbers that it was not made for
        return None
    if values is None:
        return None
    if not alone:
        return Function(SOFTMAX) if _close(values, _softmax(_POINTS)) else None
    return _known(values) or Function(_name(activation))


def _tabled(function: Callable[[Any], Any], rank: int) -> tuple[Vector | None, bool]:
    """(f of the points, whether each depends on its point alone)."""
    values = _table(function, _POINTS, rank)
    part = None if values is None else _table(function, _POINTS[::-2], rank)
    return values, values is not None and part is not None and _close(part, values[::-2])


def _callable(activation: Any) -> Callable[[Any], Any] | None:
    """What can be tried without a trace: a layer that is not built would take its shape from what it is tried on.

    None for a layer with weights, which computes what it has learned.
    """
    if not isinstance(activation, keras.layers.Layer) or (activation.built and not activation.weights):
        return activation  # type: ignore[no-any-return]
    copy = type(activation).from_config(activation.get_config())
    copy(keras.ops.zeros((1, 2)))
    return None if copy.weights else copy


def _table(function: Callable[[Any], Any], points: Vector, rank: int) -> Vector | None:
    """f of some points; None where the result has another shape, or depends on what stands beside a point.

    Along every axis the points stand in another order.
    """
    shape = (2, *(3,) * (rank - 2), len(points))
    places = sum(
        step * numpy.arange(side).reshape(-1, *(1,) * (rank - 1 - axis))
        for axis, (side, step) in enumerate(zip(shape, (5, *(7 + 4 * n for n in range(rank - 2)), 1), strict=True))
    ) % len(points)
    given = keras.ops.convert_to_tensor(points[places], dtype="float32")
    found = numpy.asarray(keras.ops.convert_to_numpy(function(given)), dtype="float64")
    if found.shape != shape:
        return None
    values = found[(0,) * (rank - 1)]
    return values if _close(found, values[places]) else None


def _close(values: Vector, expected: Vector) -> bool:
    return bool(numpy.allclose(values, expected, rtol=_TOLERANCE, atol=1e-5))


def _known(values: Vector) -> Function | None:
    if _close(values, _POINTS):
        return IDENTITY
    return _relu(values) or next((Function(name) for name, f in _KNOWN if _close(values, f(_POINTS))), None)


def _relu(values: Vector) -> Function | None:
    below = _POINTS < 0
    slope = abs(float(values[below][0] / _POINTS[below][0]))
    top = float(values.max())
    upper = None if math.isclose(top, _POINTS[-1], rel_tol=_TOLERANCE) else top
    bound = math.inf if upper is None else upper
    expected = numpy.where(below, slope * _POINTS, numpy.minimum(_POINTS, bound))
    # max(x, 1e-7) keeps roots and logarithms finite; zeros in its place would not
    alike = numpy.allclose(values, expected, rtol=_TOLERANCE, atol=0)
    # a function that is 0 everywhere, or falls below zero, is no relu
    return Function(RELU, upper, _tidy(slope)) if top > 0 and slope < 1 and alike else None


def _tidy(slope: float) -> float:
    """Without the noise of a narrow float."""
    return float(f"{slope:.4g}")


def _softmax(x: Vector) -> Vector:
    powers = numpy.exp(x - x.max())
    return numpy.asarray(powers / powers.sum())


def _sigmoid(x: Vector) -> Vector:
    return numpy.asarray(0.5 * (1 + numpy.tanh(x / 2)))


def _hard_sigmoid(x: Vector) -> Vector:
    return numpy.clip(x / 6 + 0.5, 0, 1)


def _gelu(x: Vector) -> Vector:
    return numpy.array([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in x])


def _gelu_by_tanh(x: Vector) -> Vector:
    return numpy.asarray(0.5 * x * (1 + numpy.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _elu(x: Vector) -> Vector:
    return numpy.where(x < 0, numpy.expm1(numpy.minimum(x, 0)), x)


_KNOWN: tuple[tuple[str, Callable[[Vector], Vector]], ...] = (
    (TANH, numpy.tanh),
    (SIGMOID, _sigmoid),
    (HARD_SILU, lambda x: x * _hard_sigmoid(x)),
    ("hard_sigmoid", _hard_sigmoid),
    ("silu", lambda x: x * _sigmoid(x)),
    ("gelu", _gelu),
    ("gelu", _gelu_by_tanh),
    ("elu", _elu),
    ("softplus", lambda x: numpy.logaddexp(x, 0)),
    ("softsign", lambda x: x / (1 + numpy.abs(x))),
)
"""Keras' names (keras.activations) and their formulas."""

_LAYERS: Mapping[type[Any], str] = {keras.layers.PReLU: "prelu", keras.layers.ELU: "elu", keras.layers.Softmax: SOFTMAX}


def _name(activation: Any) -> str:
    if isinstance(activation, keras.layers.ReLU):
        return f"a relu with threshold {float(activation.threshold):g}"
    named = getattr(activation, "__name__", None)
    return str(named or _LAYERS.get(type(activation), type(activation).__name__))
