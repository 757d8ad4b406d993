"""The walk through a model's calls that makes its copy: every layer once, then every call again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
from keras.src.ops.numpy import Reshape  # what `keras.ops.reshape` leaves in a graph, under no public name

from qsearch.errors import ModelError, QsearchError, reason_of
from qsearch.graph.model_graph import Shape
from qsearch.graph.walk import calls_of, inner_model, operations_by_path, time_axes
from qsearch.layers import QActivation, QAdaptiveActivation
from qsearch.plan import LayerPlan, output_layer
from qsearch.quantize.attributes import Attributes
from qsearch.quantize.copies import base_config, copied
from qsearch.quantize.model_class import same_class

MakeLayer = Callable[[Any, LayerPlan | None, keras.Model], Any]
"""(layer or raw operation, its plan, the model that it is in) -> what takes its place, unbuilt."""


class CallError(Exception):
    """A copied layer does not take what the layers before it give."""

    def __init__(self, path: str, cause: Exception) -> None:
        super().__init__(f"layer {path!r}: {reason_of(cause)}")


class Rebuild:
    """One copy of every layer and nested model, so that what is shared stays shared.

    Args:
        plans: by identity of the original.
        make: makes the copy of a layer, or what takes the place of a raw operation; None keeps the operation.
        absorbed: names of the layers of a model that disappear.
        shapes: by path, the new target shape of layers and operations that reshape.
    """

    def __init__(
        self,
        model: keras.Model,
        plans: Mapping[int, LayerPlan],
        make: MakeLayer,
        absorbed: Callable[[keras.Model], set[str]],
        shapes: Mapping[str, Shape],
    ) -> None:
        self.paths = {id(operation): path for path, operation in operations_by_path(model).items()}
        self.plans = plans
        self.make = make
        self.absorbed = absorbed
        self.shapes = shapes
        self.copies: dict[int, Any] = {}
        self.outputs: dict[int, Any] = {}
        self.pairs: list[tuple[keras.Model, keras.Model]] = []
        self.tensors: dict[int, Any] = {}
        self.folded: dict[int, str] = {}

    def whole(self, model: keras.Model) -> keras.Model:
        """The copy, with what was set on the original and on models in it."""
        copy = self.model(model)
        Attributes(self.pairs, self.copies, self.tensors, self.folded).carry()
        return copy

    def model(self, model: keras.Model, tensors: list[Any] | None = None) -> keras.Model:
        """The copy; `tensors`: what it is called with, where it is nested and widths before it may have changed."""
        if isinstance(model, keras.Sequential):
            copy = self._sequential(model, tensors)
        elif hasattr(model, "_nodes_by_depth"):
            copy = self._functional(model, tensors)
        else:
            raise ModelError(f"{model.name}: is a subclassed model, whose layers are not known; use the functional API")
        self.copies[id(model)] = copy
        self.pairs.append((model, copy))
        return copy

    def _absorbed(self, model: keras.Model) -> set[str]:
        absorbed = self.absorbed(model)
        self.folded |= {id(layer): self._path(layer) for layer in model.layers if layer.name in absorbed}
        return absorbed

    def _functional(self, model: keras.Model, tensors: list[Any] | None) -> keras.Model:
        absorbed = self._absorbed(model)
        fresh: dict[int, Any] = {}
        known: dict[int, Any] = {}
        given = tensors if tensors is not None and len(tensors) == len(model.inputs) else [None] * len(model.inputs)
        for own, tensor in zip(model.inputs, given, strict=True):
            layer = own._keras_history.operation
            fresh[id(own)] = self._input(layer, tensor).output
            known[id(own)] = self._handed_on(layer, fresh[id(own)])
        for call in calls_of(model):
            if call.input_tensors and all(id(tensor) in known for tensor in call.input_tensors):
                outputs = self._call(call, known, model, absorbed)
                for own, tensor in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
                    known[id(own)] = tensor
        self.tensors |= {**known, **fresh}
        inputs = keras.tree.map_structure(lambda tensor: fresh[id(tensor)], model.input)
        outputs = keras.tree.map_structure(lambda tensor: known[id(tensor)], model.output)
        return same_class(model, inputs, outputs)

    def _call(self, call: Any, known: Mapping[int, Any], model: keras.Model, absorbed: set[str]) -> Any:
        def filled(value: Any) -> Any:
            return known[id(value)] if isinstance(value, keras.KerasTensor) else value

        operation = call.operation
        args = keras.tree.map_structure(filled, call.arguments.args)
        kwargs = keras.tree.map_structure(filled, call.arguments.kwargs)
        tensors = [known[id(tensor)] for tensor in call.input_tensors]
        if isinstance(operation, keras.layers.Layer) and operation.name in absorbed:
            return tensors[0]
        if isinstance(operation, keras.Model):
            copy = self._nested(operation, keras.tree.flatten(args))
        else:
            copy = self._copy(operation, model, tensors)
        with _errors_of(self._path(operation)):
            # One that stands for an activation is called with no more than its tensor: masks pass through it.
            activates = isinstance(copy, QActivation | QAdaptiveActivation) and type(copy) is not type(operation)
            outputs = copy(tensors[0]) if activates else copy(*args, **kwargs)
            return self._handed_on(operation, outputs)

    def _sequential(self, model: keras.Sequential, tensors: list[Any] | None) -> keras.Sequential:
        absorbed = self._absorbed(model)
        layers: list[Any] = []
        tensor: Any = None
        if getattr(model, "_functional", None) is not None:
            own = model.inputs[0]
            layers.append(self._input(own._keras_history.operation, tensors[0] if tensors else None))
            tensor = layers[0].output
        nests = any(inner_model(layer) is not None for layer in model.layers)
        for layer in model.layers:
            if layer.name in absorbed:
                continue
            if isinstance(layer, keras.Model):
                copy = self._nested(layer, None if tensor is None else [tensor])
            else:
                copy = self._copy(layer, model, [] if tensor is None else [tensor])
            layers.append(copy)
            quantizer = self._output(layer)
            layers += [] if quantizer is None else [quantizer]
            if nests and tensor is not None:  # only nested models need to know what they are called with
                with _errors_of(self._path(layer)):
                    tensor = self._handed_on(layer, copy(tensor))
        return same_class(model, layers)

    def _nested(self, model: keras.Model, tensors: list[Any] | None) -> keras.Model:
        if id(model) not in self.copies:
            self.model(model, tensors)
        return self.copies[id(model)]

    def _copy(self, operation: Any, model: keras.Model, tensors: list[Any]) -> Any:
        if id(operation) not in self.copies:
            inner = inner_model(operation)
            if inner is not None:  # applied to every time step
                self.copies[id(operation)] = self._over_time(operation, inner, tensors)
                return self.copies[id(operation)]
            copy = self.make(operation, self._plan(operation), model)
            if copy is None:
                copy = self._layer(operation) if isinstance(operation, keras.layers.Layer) else self._raw(operation)
            self.copies[id(operation)] = copy
        return self.copies[id(operation)]

    def _over_time(self, wrapper: Any, inner: keras.Model, tensors: list[Any]) -> Any:
        """TimeDistributed around the copy of a model."""
        axes = time_axes(wrapper)
        steps = [
            keras.KerasTensor((tensor.shape[0], *tensor.shape[1 + axes :]), dtype=tensor.dtype)
            for tensor in tensors[:1]
        ]
        copy: Any = self._nested(inner, steps or None)
        wrappers = [wrapper]
        while wrappers[-1].layer is not inner:
            wrappers.append(wrappers[-1].layer)
        for one in reversed(wrappers):
            copy = keras.layers.TimeDistributed(copy, **base_config(one))
        return copy

    def _layer(self, layer: Any) -> Any:
        shape = self.shapes.get(self._path(layer))
        return copied(layer, {} if shape is None else {"target_shape": shape})

    def _raw(self, operation: Any) -> Any:
        """A twin of the same name: a call of the operation itself would tie the copy to the original for ever."""
        shape = self.shapes.get(self._path(operation))
        if shape is not None:
            # Made anew, as files are written from the arguments that Keras noted when it was made.
            return type(operation)((-1, *shape), name=operation.name)
        twin = object.__new__(type(operation))
        vars(twin).update(vars(operation))
        twin._inbound_nodes, twin._outbound_nodes = [], []
        return twin

    def _input(self, layer: Any, tensor: Any) -> Any:
        """A new input layer; sizes that the original leaves open stay open, the others are the tensor's."""
        config = layer.get_config()
        if tensor is not None:
            sizes = zip(layer.batch_shape, tensor.shape, strict=True)
            config["batch_shape"] = tuple(own if own is None else given for own, given in sizes)
        self.copies[id(layer)] = copy = type(layer).from_config(config)
        return copy

    def _plan(self, operation: Any) -> LayerPlan | None:
        return self.plans.get(id(operation))

    def _path(self, operation: Any) -> str:
        return self.paths.get(id(operation), str(operation.name))

    def _output(self, operation: Any) -> Any:
        """The one activation layer behind every call of the operation; None where its output is not quantized."""
        plan = self._plan(operation)
        if plan is None or plan.output is None:
            return None
        if id(operation) not in self.outputs:
            dtype = getattr(operation, "dtype_policy", None)
            name = output_layer(operation.name)
            self.outputs[id(operation)] = QActivation(str(plan.output), name=name, dtype=dtype)
        return self.outputs[id(operation)]

    def _handed_on(self, operation: Any, outputs: Any) -> Any:
        quantizer = self._output(operation)
        return outputs if quantizer is None else keras.tree.map_structure(quantizer, outputs)


def reshapes(operation: Any) -> bool:
    """Whether it gives its tensor a shape that it was told when it was made."""
    return type(operation) in (keras.layers.Reshape, Reshape)


@contextmanager
def _errors_of(path: str) -> Iterator[None]:
    """Errors inside name the layer; warnings were the original's, and have been given."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except (QsearchError, CallError):
            raise
        except Exception as error:  # of Keras, TensorFlow, or a layer of the user's own
            raise CallError(path, error) from error
