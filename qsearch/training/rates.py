"""Learning rates of single layers: one optimizer, each variable's step by a factor of its own.

A factor on the gradient would do nothing where steps do not depend on its size (Adam), so it is on the learning rate.
Factors are constants of the compiled training step, which costs them one multiplication a variable.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from qsearch.graph.walk import layers_by_path


def variable_factors(model: keras.Model, rates: Mapping[str, float]) -> tuple[float, ...]:
    """For each trainable variable of a model the factor of its layer; 1 for layers that are not named.

    Args:
        rates: by layer, those of nested models as "outer/inner".
    """
    factors: dict[int, float] = {}
    for path, layer in layers_by_path(model).items():
        for variable in layer.trainable_variables:
            factors[id(variable)] = rates.get(path, 1.0)
    return tuple(factors.get(id(variable), 1.0) for variable in model.trainable_variables)


def with_factors(optimizer: keras.optimizers.Optimizer, factors: Sequence[float]) -> keras.optimizers.Optimizer:
    """An optimizer like the given one, whose learning rate is multiplied by a factor for each variable.

    The step of variable i is that of the plain optimizer at the rate factors[i] · learning_rate, its weight decay
    included.

    Args:
        factors: in the order of the model's trainable variables.
    """
    kind: Any = type(optimizer)
    if all(factor == 1.0 for factor in factors):
        return optimizer

    class Factored(kind):  # type: ignore[misc]
        """An optimizer of Keras; it is never saved, as it is known to nobody else."""

        weight_decay: float | None

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            factor = factors[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor)

        def _apply_weight_decay(self, variables: Any) -> None:
            if self.weight_decay is None:
                return
            whole = self.weight_decay
            for variable in variables:
                self.weight_decay = whole * factors[self._get_variable_index(variable)]
                super()._apply_weight_decay([variable])
            self.weight_decay = whole

    return Factored.from_config(optimizer.get_config())
