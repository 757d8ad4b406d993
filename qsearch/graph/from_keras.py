"""Keras model -> `ModelGraph` and `QuantizationPlan`: calls of layers and raw operations to nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import keras

from qsearch.config.bounds import WHOLE
from qsearch.errors import ModelError, shown
from qsearch.graph import operations as ops
from qsearch.graph.call import Call, call_of, data_tensors, shape_of
from qsearch.graph.channels_first import ChannelAxes, channel_axes, is_channels_first, laid_out, with_channels_last
from qsearch.graph.layer_readers import layer_operation
from qsearch.graph.limit_classes import limit_classes
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.graph.over_time import over_time
from qsearch.graph.twins import twin_operation
from qsearch.graph.walk import core_of, inner_model, layers_by_path, operations_by_path, time_axes
from qsearch.plan import LayerPlan, QuantizationPlan


def read_model(model: keras.Model) -> ModelGraph:
    """The graph of a functional or Sequential model, quantized or not.

    Nested models are entered: their layers are named "outer/inner". A layer that is called several times gives
    one node per call, the later ones named `name:1`, `name:2`, ... Raw operations (`x + y`) are nodes as layers are.
    What Keras computes for masks alone is left out. Shapes have their channels last, also where the model has not.

    Raises:
        ModelError: the model is not built, has a size that is not known before it runs or is zero, or is a
            subclassed model, which has no layer-by-layer graph.
    """
    operations = operations_by_path(model)
    reader = _Reader({id(operation): path for path, operation in operations.items()})
    functional = reader.functional(model)
    if any(map(is_channels_first, operations.values())):
        reader.axes = channel_axes(functional, _calls_in_order, reader.inner, _operation)
    reader.read(functional, "")
    outputs = tuple(dict.fromkeys(reader.produced[id(tensor)] for tensor in functional.outputs))
    return ModelGraph(model.name, tuple(reader.nodes), outputs)


class _Reader:
    """Calls to nodes, producers first."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        self.paths = paths
        self.calls: Counter[str] = Counter()
        self.produced: dict[int, str] = {}
        self.nodes: list[Node] = []
        self.axes: ChannelAxes = {}
        self.functionals: dict[int, tuple[keras.Model, Any]] = {}
        """By nested model, which lives as long as this does, so that no other object has its identity."""

    def functional(self, model: keras.Model) -> Any:
        """The model with a graph that a model is or holds: the same for every call of it."""
        if id(model) not in self.functionals:
            self.functionals[id(model)] = model, _functional(model)
        return self.functionals[id(model)][1]

    def inner(self, operation: Any) -> Any:
        """`functional` of the model inside an operation."""
        return self.functional(inner_model(operation))

    def read(self, functional: Any, prefix: str, time: Shape = ()) -> None:
        """Args: prefix: the path of the nested model; time: sizes of the axes of time that it is run over."""
        for call in _calls_in_order(functional):
            if id(call.outputs[0]) in self.produced and not call.input_tensors:
                continue  # an input of a nested model: the tensor that it was called with
            if inner_model(call.operation) is not None:
                self._nested(call, prefix, time)
            else:
                self._called(call, prefix, time)

    def _nested(self, call: Any, prefix: str, time: Shape) -> None:
        """A model inside: its layers run over the time steps of those around it, too."""
        inner = self.inner(call.operation)
        steps = shape_of(call.input_tensors[0], call.operation.name)[: time_axes(call.operation)]
        for own, given in zip(inner.inputs, data_tensors(call), strict=True):
            self.produced[id(own)] = self._producer(given, call.operation.name)
        self.read(inner, f"{prefix}{call.operation.name}/", (*time, *steps))
        for own, given in zip(inner.outputs, call.outputs, strict=True):
            self.produced[id(given)] = self._producer(own, call.operation.name)
        for own in inner.inputs:
            self.produced.pop(id(own), None)  # a second call brings its own

    def _producer(self, tensor: Any, path: str) -> str:
        """The node that gives a tensor; a file may name calls that do not belong together."""
        if id(tensor) not in self.produced:
            raise ModelError(f"layer {shown(path)}: a tensor of it is given by none of the model's inputs and layers")
        return self.produced[id(tensor)]

    def _called(self, keras_node: Any, prefix: str, time: Shape) -> None:
        layer = keras_node.operation
        path = self.paths.get(id(layer), f"{prefix}{layer.name}")
        name = path if self.calls[path] == 0 else f"{path}:{self.calls[path]}"
        self.calls[path] += 1
        call = call_of(keras_node, path)
        for shape in (*call.shapes, call.output_shape):
            if any(side > WHOLE for side in shape):
                raise ModelError(
                    f"layer {shown(path)} has the shape {shown(shape)}, with more than {WHOLE:,} on a side"
                )
        call, read = self._read(call)
        steps = call.shapes[0][: time_axes(layer)] if call.shapes else ()
        operation = over_time(read, call.without(len(steps)), (*time, *steps))
        # a square is a product of a tensor with itself
        times = 2 if operation == ops.Merge(ops.MergeKind.MULTIPLY) and len(call.tensors) == 1 else 1
        node = Node(
            name=name,
            layer=path,
            class_name=type(layer).__name__,
            operation=operation,
            inputs=tuple(self._producer(tensor, path) for tensor in call.tensors) * times,
            input_shapes=tuple((*time, *shape) for shape in call.shapes) * times,
            output_shape=(*time, *call.output_shape),
            weights=_weights(layer, operation) | _constants(call, operation),
            classes=limit_classes(layer, operation),
            results=len(call.outputs),
            channel_axis=-1 if call.output_channel_axis == len(call.output_shape) else call.output_channel_axis - 1,
        )
        self.nodes.append(node)
        for tensor in call.outputs:
            self.produced[id(tensor)] = name

    def _read(self, call: Call) -> tuple[Call, ops.Operation]:
        """The call with channels last, and what is done in one step of it."""
        core, steps = core_of(call.operation), time_axes(call.operation)
        operation = _operation(core, call.without(steps))
        last = with_channels_last(call, self.axes, operation)
        if last is call:
            return call, operation
        return last, laid_out(_operation(core, last.without(steps)), last.without(steps))


def _operation(layer: Any, call: Call) -> ops.Operation:
    return layer_operation(layer, call) if isinstance(layer, keras.layers.Layer) else twin_operation(call)


def _weights(layer: Any, operation: ops.Operation) -> dict[str, Shape]:
    """Shapes by name; by a longer name where layers inside have weights of one name each."""
    variables = getattr(layer, "weights", ())
    parts = 2 if isinstance(operation, ops.Attention | ops.Unknown) else 1
    return {"/".join(str(weight.path).split("/")[-parts:]): tuple(weight.shape) for weight in variables}


def _constants(call: Call, operation: ops.Operation) -> dict[str, Shape]:
    """Matrices that an operation without a rule is given as constants: it stores and multiplies them."""
    if not isinstance(operation, ops.Unknown):
        return {}
    given = keras.tree.flatten((call.args, dict(call.kwargs)))
    arrays = [one for one in given if hasattr(one, "shape") and not isinstance(one, keras.KerasTensor)]
    return {f"constant_{index}": tuple(one.shape) for index, one in enumerate(arrays) if len(one.shape) > 1}


def read_plan(model: keras.Model) -> QuantizationPlan:
    """The quantizers of a model's Q layers; empty for a float model. Layers of nested models as "outer/inner"."""
    plans = {path: getattr(core_of(layer), "plan", None) for path, layer in layers_by_path(model).items()}
    return QuantizationPlan({name: plan for name, plan in plans.items() if isinstance(plan, LayerPlan)})


def _functional(model: keras.Model) -> Any:
    if isinstance(model, keras.Sequential):
        if not model.built:
            raise ModelError(f"{model.name}: has no input shape; add keras.Input(...) first, or call model.build(...)")
        # A Sequential model holds its layers' graph in a functional model of its own.
        return keras.models.Model(model.inputs, model.outputs, name=model.name)
    if not hasattr(model, "_nodes_by_depth"):
        raise ModelError(f"{model.name}: is a subclassed model, whose layers are not known; use the functional API")
    return model


def _calls_in_order(functional: Any) -> list[Any]:
    """The calls that the outputs need: the inputs in the model's order, then producers before consumers."""
    order = {id(operation): index for index, operation in enumerate(functional.operations)}
    nodes: list[Any] = []
    for depth in sorted(functional._nodes_by_depth, reverse=True):
        nodes += sorted(functional._nodes_by_depth[depth], key=lambda node: order.get(id(node.operation), -1))
    # Formats of inputs are given in the order of model.inputs, which is not always that of the layers.
    inputs = {id(tensor): index for index, tensor in enumerate(functional.inputs)}
    nodes.sort(key=lambda node: inputs.get(id(node.outputs[0]), len(inputs)))
    needed = {id(tensor) for tensor in (*functional.outputs, *functional.inputs)}
    kept: list[Any] = []
    for node in reversed(nodes):
        if any(id(tensor) in needed for tensor in node.outputs):
            needed |= {id(tensor) for tensor in data_tensors(node)}
            kept.append(node)
    return kept[::-1]
