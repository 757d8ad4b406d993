"""What of Keras a model file may name: layers, operations, and the small objects that they are made with.

A file says which module each of its objects is from, and Keras imports it. Many of Keras' own modules are no part of a
model (`keras.utils`, `keras.distribution`, `keras.config`): what they hold is never called here.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import keras
from keras import optimizers

_KINDS = (
    keras.layers.Layer,
    keras.Operation,
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.losses.Loss,
    keras.metrics.Metric,
    keras.optimizers.Optimizer,
    optimizers.schedules.LearningRateSchedule,
    keras.quantizers.Quantizer,
    keras.random.SeedGenerator,
    keras.dtype_policies.DTypePolicy,
    keras.dtype_policies.DTypePolicyMap,
)

_MODULES: Mapping[str, Any] = {
    "keras": keras,
    "keras.activations": keras.activations,
    "keras.constraints": keras.constraints,
    "keras.dtype_policies": keras.dtype_policies,
    "keras.initializers": keras.initializers,
    "keras.layers": keras.layers,
    "keras.losses": keras.losses,
    "keras.metrics": keras.metrics,
    "keras.models": keras.models,
    "keras.optimizers": optimizers,
    "keras.optimizers.schedules": optimizers.schedules,
    "keras.quantizers": keras.quantizers,
    "keras.random": keras.random,
    "keras.regularizers": keras.regularizers,
}

_FUNCTIONS = (keras.activations, keras.losses, keras.metrics)
_NO_FUNCTIONS = ("get", "serialize", "deserialize")
_INSIDE = "keras.src."
"""Operations and functional models are written with the modules that they are in."""


def is_importable(module: str, name: str, function: bool) -> bool:
    """Whether a file may name this object of Keras.

    Args:
        module: as the file has it; "builtins" for functions of Keras.
        function: whether it is named as a function, not as a class.
    """
    if function:
        homes = _FUNCTIONS if module == "builtins" else (_MODULES.get(module),)
        return name in _function_names() and any(hasattr(home, name) for home in homes)
    home = _MODULES.get(module)
    if home is None and module.startswith(_INSIDE):
        home = sys.modules.get(module)  # nothing is imported because a file says so
    member = getattr(home, name, None)
    return isinstance(member, type) and issubclass(member, _KINDS)


@lru_cache(maxsize=1)
def _function_names() -> frozenset[str]:
    names = (name for home in _FUNCTIONS for name, member in vars(home).items() if inspect.isfunction(member))
    return frozenset(names) - frozenset(_NO_FUNCTIONS)
