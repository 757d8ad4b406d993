"""Activation functions as data: what is computed, however it is spelt."""

from __future__ import annotations

from dataclasses import dataclass

RELU, TANH, SIGMOID, HARD_SILU, LINEAR, SOFTMAX = "relu", "tanh", "sigmoid", "hard_silu", "linear", "softmax"


@dataclass(frozen=True)
class Function:
    """What an activation computes.

    relu is the whole family y = min(x, upper) for x >= 0 and slope · x below.

    Attributes:
        name: Keras' name of it, or that of the user's own function.
        upper: the greatest value of a relu; None where there is none.
        slope: of a relu, below zero.
    """

    name: str = LINEAR
    upper: float | None = None
    slope: float = 0.0

    def __str__(self) -> str:
        if self.name != RELU:
            return self.name
        kind = f"leaky relu with slope {self.slope:g}" if self.slope else RELU
        return kind if self.upper is None else f"{kind} up to {self.upper:g}"

    @property
    def is_linear(self) -> bool:
        return self.name == LINEAR


IDENTITY = Function()
