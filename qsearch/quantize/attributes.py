"""What a user set on a model of a class of their own, set on its copy: parts of the graph as the copy's own parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from qsearch.errors import ModelError
from qsearch.graph.walk import calls_of, variable_name
from qsearch.models.custom import is_custom
from qsearch.quantize.model_class import same_class

_OF_TRAINING = ("history", "stop_training", "stop_evaluating", "stop_predicting")
"""What Keras sets on a model that is trained."""


class Attributes:
    """Sets on copies what their originals were given after they were made.

    Layers, nested models, variables and tensors of the graph become the copy's, so that a train_step that reads them
    trains the copy; anything else (a teacher, say) stays the object that it is.

    Args:
        pairs: every original and its copy, nested models too.
        copies: by identity of the original, the copy of a layer or nested model.
        tensors: by identity of the original, the copy's tensor.
        folded: by identity, the paths of batch normalizations that the copy lacks.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[keras.Model, keras.Model]],
        copies: Mapping[int, Any],
        tensors: Mapping[int, Any],
        folded: Mapping[int, str],
    ) -> None:
        self.pairs = pairs
        self.tensors = tensors
        self.folded = folded
        self.parts: dict[int, Any] = {}
        self.owners: dict[int, tuple[Any, Any]] = {}
        """By identity of a variable, the original layer that has it, and that layer's copy."""
        for model, _ in pairs:
            for layer in _layers(model):
                self._add(layer, copies.get(id(layer)))
        self.parts |= {id(model): copy for model, copy in pairs}

    def _add(self, layer: Any, copy: Any) -> None:
        parts = list(layer._flatten_layers())
        others = list(copy._flatten_layers()) if isinstance(copy, keras.layers.Layer) else []
        alike = [part.name for part in parts] == [other.name for other in others]
        for index, part in enumerate(parts):
            self.parts.setdefault(id(part), others[index] if alike else None)
        self.parts[id(layer)] = copy
        for weight in layer.weights:
            self.owners.setdefault(id(weight), (layer, copy))

    def carry(self) -> None:
        """Set them.

        Raises:
            ModelError: a part of the graph that the copy lacks.
        """
        for model, copy in self.pairs:
            if not is_custom(type(model)):
                continue
            for name, value in list(vars(model).items()):
                training = name in _OF_TRAINING or isinstance(value, keras.optimizers.Optimizer)
                if not (training or name.startswith("_") or name in vars(copy)):
                    setattr(copy, name, self._mapped(value, f"{model.name}: its attribute {name!r}"))

    def _mapped(self, value: Any, what: str) -> Any:
        if isinstance(value, keras.layers.Layer):
            return self._layer(value, what)
        if isinstance(value, keras.Variable):
            return self._variable(value, what)
        if isinstance(value, keras.KerasTensor):
            return self.tensors.get(id(value), value)
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*(self._mapped(entry, what) for entry in value))
        if isinstance(value, list | tuple | set):
            mapped = [self._mapped(entry, what) for entry in value]
            same = all(new is old for new, old in zip(mapped, value, strict=True))
            # Keras keeps lists and dicts of its own, which note what is put into them.
            return value if same else _plain(value)(mapped)
        if isinstance(value, dict):
            entries = {key: self._mapped(entry, what) for key, entry in value.items()}
            return value if all(entries[key] is value[key] for key in value) else entries
        return value

    def _layer(self, layer: Any, what: str) -> Any:
        if id(layer) in self.folded:
            raise ModelError(
                f"{what} is the batch normalization {self.folded[id(layer)]!r}, which is folded into the layer before "
                "it; do not fold it, or do not set it on the model"
            )
        if id(layer) in self.parts:
            copy = self.parts[id(layer)]
            if copy is None:
                raise ModelError(
                    f"{what} is layer {layer.name!r}, which a quantized copy lacks; read it from the model"
                )
            return copy
        if not any(id(part) in self.parts for part in layer._flatten_layers()):
            return layer  # nothing to do with the graph
        if hasattr(layer, "_nodes_by_depth"):
            tensors = [*layer.inputs, *layer.outputs]
            if all(id(tensor) in self.tensors for tensor in tensors):  # another view of the same graph
                return same_class(layer, *self._mapped((layer.input, layer.output), what))
        raise ModelError(
            f"{what} shares layers with the model, but is no part of it; build it of the model's own inputs and outputs"
        )

    def _variable(self, variable: Any, what: str) -> Any:
        if id(variable) not in self.owners:
            return variable
        layer, copy = self.owners[id(variable)]
        names = [variable_name(weight) for weight in layer.weights]
        others = [] if copy is None else list(copy.weights)
        if [variable_name(weight) for weight in others] == names:
            return others[next(index for index, weight in enumerate(layer.weights) if weight is variable)]
        same = [weight for weight in others if variable_name(weight) == variable_name(variable)]
        if len(same) != 1 or names.count(variable_name(variable)) != 1:
            raise ModelError(f"{what} is {variable.path}, which a quantized copy lacks; read it from its layer")
        return same[0]


def _layers(model: keras.Model) -> list[Any]:
    """The layers of its graph: what is set on a model is none of them."""
    if isinstance(model, keras.Sequential):
        inputs = [call.operation for call in calls_of(model) if not call.input_tensors] if model.built else []
        return [*inputs, *model.layers]
    return [operation for operation in model.operations if isinstance(operation, keras.layers.Layer)]


def _plain(value: Any) -> type[Any]:
    return next(kind for kind in (list, tuple, set) if isinstance(value, kind))
