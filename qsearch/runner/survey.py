"""A model, looked at for a first configuration: what can be searched in it, and what its outputs are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import keras

from qsearch.datasets.layout import Shape
from qsearch.errors import ModelError
from qsearch.functions import SIGMOID, SOFTMAX
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.walk import head_names
from qsearch.layers.table import QUANTIZED_CLASSES
from qsearch.runner.probabilities import last_function
from qsearch.search.bottlenecks import linear_outputs
from qsearch.search.limits import deciding_class

Answer = Literal["classes", "yes_or_no", "reconstruction", "numbers", "unbounded"]
"""What an output is: probabilities of classes; of one or several questions; the input again; numbers in some range;
any numbers, which may be logits."""


@dataclass(frozen=True)
class SurveyedHead:
    """An output of a model: its shape without the samples' axis, and what it answers."""

    name: str
    shape: Shape
    answer: Answer

    @property
    def units(self) -> int:
        return (self.shape[-1] or 0) if self.shape else 1


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What a first configuration has to know of a model.

    Attributes:
        inputs: shapes without the samples' axis, by name.
        classes: layer classes that can be searched, with the number of their layers, in the model's order.
        linear: layers whose sums no activation follows.
        parameters: numbers that it stores.
    """

    name: str
    inputs: Mapping[str, Shape]
    heads: tuple[SurveyedHead, ...]
    classes: Mapping[str, int]
    linear: tuple[str, ...]
    parameters: int


def survey(model: keras.Model) -> Survey:
    """Look at a model.

    Raises:
        ModelError: its layers are not known, or none of them can be quantized.
    """
    graph = read_model(model)
    classes: dict[str, int] = {}
    seen: set[str] = set()
    for node in graph.nodes:
        name = deciding_class(node)
        if node.layer not in seen and name in QUANTIZED_CLASSES and _has_something(node):
            classes[name] = classes.get(name, 0) + 1
        seen.add(node.layer)
    if not {*classes} - {"BatchNormalization"}:
        found = ", ".join(dict.fromkeys(node.class_name for node in graph.nodes)) or "none"
        raise ModelError(f"{graph.name}: has no layer that can be quantized; its layers are: {found}")
    inputs: dict[str, Shape] = {tensor.name: tuple(tensor.shape[1:]) for tensor in model.inputs}
    return Survey(
        name=graph.name,
        inputs=inputs,
        heads=_heads(model, graph, inputs),
        classes=classes,
        linear=linear_outputs(graph),
        parameters=model.count_params(),
    )


def _has_something(node: Node) -> bool:
    """An activation layer that computes what nobody quantizes has no use for a limit."""
    operation = node.operation
    return not (isinstance(operation, ops.Activation) and operation.function.name == SOFTMAX)


def _heads(model: keras.Model, graph: ModelGraph, inputs: Mapping[str, Shape]) -> tuple[SurveyedHead, ...]:
    heads = []
    for place, (name, tensor) in enumerate(zip(head_names(model), model.outputs, strict=True)):
        shape: Shape = tuple(tensor.shape[1:])
        node = graph.outputs[place] if len(graph.outputs) == len(model.outputs) else ""
        heads.append(SurveyedHead(name, shape, _answer(model, graph, node, shape, inputs)))
    return tuple(heads)


def _answer(model: keras.Model, graph: ModelGraph, node: str, shape: Shape, inputs: Mapping[str, Shape]) -> Answer:
    if shape in inputs.values() and len(inputs) == 1:
        return "reconstruction"
    last = last_function(model, graph, node)
    if last is None:
        return "numbers"
    if last.name == SOFTMAX:
        return "classes"
    if last.name == SIGMOID:
        return "yes_or_no"
    return "unbounded" if last.is_linear else "numbers"
