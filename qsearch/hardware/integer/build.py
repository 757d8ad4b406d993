"""Keras model -> `IntegerModel`: the graph's nodes in order, each as the steps that compute it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy

from qsearch.errors import ExportError, shown
from qsearch.functions import RELU, SIGMOID, SOFTMAX
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import Node
from qsearch.graph.walk import core_of, operations_by_path
from qsearch.hardware.integer.formats import Format, aligned, checked, dyadic
from qsearch.hardware.integer.linear import dense_steps, norm_step, scaled
from qsearch.hardware.integer.model import IntegerModel, Output, Source, Step, fits_float32
from qsearch.hardware.integer.moves import average_step, move_step
from qsearch.hardware.integer.operations import (
    Clamp,
    Concatenate,
    Convolution,
    Merge,
    Operation,
    Scale,
    Thresholds,
    Uniform,
)
from qsearch.hardware.integer.steps import rule_of
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

DEFAULT_SOURCE = "quantized_bits(8,0,1)"
"""What inputs are rounded to where nobody says: int8, as energies are priced."""
_ENDS = (SOFTMAX, SIGMOID)
"""Functions that keep the order of what they get, which no target needs behind an output."""
_SUMS = {kind.value for kind in (ops.MergeKind.ADD, ops.MergeKind.SUBTRACT, ops.MergeKind.MAXIMUM)} | {"Minimum"}


@dataclass(frozen=True)
class Signal:
    """What a node hands on: a step's codes, and perhaps a function that is still to be applied to them."""

    step: str
    function: Callable[[Any], Any] | None = None
    function_name: str = ""


def integer_model(model: keras.Model, sources: Mapping[str, str] | str | None = None) -> IntegerModel:
    """The integers that a quantized model computes.

    Args:
        sources: the quantizer of the model's inputs, or of each by its name; int8 where it is left out.

    Raises:
        ExportError: a layer that cannot be computed in integers exactly, named with the way out.
        ModelError: the model has no graph.
    """
    return _Builder(model, sources).build()


class _Builder:
    def __init__(self, model: keras.Model, sources: Mapping[str, str] | str | None) -> None:
        self.model, self.given = model, sources
        self.graph = read_model(model)
        self.layers = operations_by_path(model)
        self.signals: dict[str, Signal] = {}
        self.sources: list[Source] = []
        self.steps: list[Step] = []
        self.forms: dict[str, Format] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.notes: list[str] = []

    def build(self) -> IntegerModel:
        for node in self.graph.nodes:
            self.signals[node.name] = self._signal(node)
        names = list(self.model.output_names) if hasattr(self.model, "output_names") else []
        outputs = tuple(
            self._output(names[index] if index < len(names) else name, name)
            for index, name in enumerate(self.graph.outputs)
        )
        return IntegerModel(
            name=self.graph.name,
            sources=tuple(self.sources),
            steps=tuple(self.steps),
            outputs=outputs,
            notes=tuple(self.notes),
        )

    def _output(self, name: str, node: str) -> Output:
        signal = self.signals[node]
        if signal.function is not None:
            self.notes.append(f"{node}: {signal.function_name} is left out; the output is what it would be applied to")
        return Output(name=name, step=signal.step, function=signal.function, function_name=signal.function_name)

    def _signal(self, node: Node) -> Signal:
        layer = self.layers.get(node.layer)
        match node.operation:
            case ops.Input():
                return self._source(node)
            case ops.Idle():
                return self.signals[node.inputs[0]]
            case ops.Activation():
                return self._activated(node, self.signals[node.inputs[0]], _function(layer), node.operation)
            case ops.Dense() | ops.Convolution() | ops.DepthwiseConvolution() | ops.SeparableConvolution():
                return self._weighted(node, layer)
            case ops.BatchNormalization():
                return self._added(node, norm_step(node.layer, core_of(layer), self._form(node, 0)))
            case ops.Merge():
                return self._merged(node, node.operation)
            case ops.AveragePooling():
                signal = self._added(node, average_step(node, core_of(layer), self._form(node, 0)))
                return self._activated(node, signal, getattr(layer, "activation", None), None)
            case ops.DataMover():
                return self._added(node, move_step(node, layer, self._form(node, 0)))
            case ops.Affine():
                return self._added(node, scaled(node.layer, layer, self._form(node, 0)))
        raise ExportError(
            f"{node.layer}: a {node.class_name} layer is not computed in integers yet; allowed: dense layers, "
            "convolutions, batch normalization, activations, merges, pooling and reshaping"
        )

    def _source(self, node: Node) -> Signal:
        given = self.given.get(node.name) if isinstance(self.given, Mapping) else self.given
        quantizer = get(given or DEFAULT_SOURCE)
        assert quantizer is not None
        reach = numpy.array([-1e30, 1e30], numpy.float32)
        levels = numpy.asarray(quantizer(numpy.concatenate([reach, numpy.linspace(-1, 1, 999, dtype="float32")])))
        codes, fraction = dyadic(levels)
        form = Format(fraction=fraction, least=int(codes.min()), greatest=int(codes.max()))
        self.sources.append(
            Source(name=node.name, quantizer=str(quantizer), form=form, shape=node.output_shape, function=quantizer)
        )
        self.forms[node.name], self.shapes[node.name] = form, node.output_shape
        return Signal(node.name)

    def _codes(self, node: Node, index: int) -> str:
        """The step whose codes a node reads."""
        signal = self.signals[node.inputs[index]]
        if signal.function is not None:
            raise ExportError(
                f"{node.inputs[index]}: {signal.function_name} gives real numbers, which {node.layer} computes with; "
                "put a quantizer behind it (limit: Activation, or linear)"
            )
        return signal.step

    def _form(self, node: Node, index: int) -> Format:
        return self.forms[self._codes(node, index)]

    def _added(self, node: Node, made: tuple[Operation, Format], suffix: str = "", last: str | None = None) -> Signal:
        """A step behind what the node reads, or behind the step `last`."""
        operation, form = made
        inputs = tuple(self._codes(node, index) for index in range(len(node.inputs))) if last is None else (last,)
        return self._step(node, f"{node.name}{suffix}", operation, form, inputs)

    def _step(self, node: Node, name: str, operation: Operation, form: Format, inputs: tuple[str, ...]) -> Signal:
        while name in self.forms:
            name += "_"
        self.forms[name] = checked(node.layer, form)
        self.shapes[name] = self._shape(node, operation, inputs)
        self.steps.append(
            Step(
                name=name,
                layer=node.layer,
                inputs=inputs,
                operation=operation,
                form=form,
                shape=self.shapes[name],
                exact=form.divisor == 1 and fits_float32(form),
            )
        )
        return Signal(name)

    def _shape(self, node: Node, operation: Operation, inputs: tuple[str, ...]) -> tuple[int, ...]:
        """Of a step's result: those inside a layer may have other channels than the layer."""
        match operation:
            case Convolution(depthwise=True, kernel=kernel):
                return (*node.output_shape[:-1], kernel.shape[2] * kernel.shape[3])
            case Scale() | Uniform() | Thresholds() | Clamp():
                return self.shapes[inputs[0]]
        return node.output_shape

    def _weighted(self, node: Node, layer: Any) -> Signal:
        last = self._codes(node, 0)
        for suffix, operation, form in dense_steps(node, layer, self.forms[last]):
            last = self._added(node, (operation, form), suffix, last).step
        return self._activated(node, Signal(last), getattr(core_of(layer), "activation", None), None)

    def _activated(self, node: Node, signal: Signal, activation: Any, operation: ops.Activation | None) -> Signal:
        """What a function makes of a signal: a rule where it is a quantizer, else something still to be done."""
        if activation is None or activation is keras.activations.linear:
            return signal
        name = operation.function.name if operation is not None else getattr(activation, "__name__", "its activation")
        before = signal.function
        function = activation if before is None else _then(before, activation)
        form = self.forms[signal.step]
        if isinstance(activation, Quantizer) or _is_quantized(activation):
            rule, made = rule_of(node.layer, _called(function), form)
            return self._step(node, f"{node.name}:quantized", rule, made, (signal.step,))
        if before is None and (activation is keras.activations.relu or _is_relu(operation)):
            upper = None if operation is None else operation.function.upper
            greatest = form.greatest if upper is None else min(form.greatest, _code_of(upper, form, node.layer))
            clamp = Clamp(0, max(greatest, 0))
            made = Format(fraction=form.fraction, least=0, greatest=max(greatest, 0), divisor=form.divisor)
            return self._step(node, f"{node.name}:relu", clamp, made, (signal.step,))
        if node.name in self.graph.outputs and name not in _ENDS:
            raise ExportError(f"{node.layer}: {name} gives real numbers; put a quantizer behind it")
        return Signal(signal.step, _called(function), name)

    def _merged(self, node: Node, merge: ops.Merge) -> Signal:
        if len({len(shape) for shape in node.input_shapes}) > 1:
            raise ExportError(f"{node.layer}: merges tensors of different ranks; reshape them to the same one before")
        steps = tuple(self._codes(node, index) for index in range(len(node.inputs)))
        forms = tuple(self.forms[step] for step in steps)
        fraction, divisor, factors = aligned(forms)
        ends = [(form.least * factor, form.greatest * factor) for form, factor in zip(forms, factors, strict=True)]
        kind = merge.kind.value
        operation: Operation
        if kind == "Concatenate":
            least, greatest = min(low for low, _ in ends), max(high for _, high in ends)
            operation = Concatenate(merge.axis, factors)
        elif kind in _SUMS:
            least, greatest = _range_of(kind, ends)
            operation = Merge(kind, factors)
        elif kind == "Multiply" and len(forms) == 2:
            fraction, divisor = sum(form.fraction for form in forms), forms[0].divisor * forms[1].divisor
            corners = [a * b for a in (forms[0].least, forms[0].greatest) for b in (forms[1].least, forms[1].greatest)]
            least, greatest = min(corners), max(corners)
            operation = Merge(kind, (1, 1))
        else:
            raise ExportError(f"{node.layer}: {shown(kind)} of {len(forms)} tensors is not computed in integers yet")
        made = Format(fraction=fraction, least=least, greatest=greatest, divisor=divisor)
        return self._step(node, node.name, operation, made, steps)


def _range_of(kind: str, ends: list[tuple[int, int]]) -> tuple[int, int]:
    if kind == "Add":
        return sum(low for low, _ in ends), sum(high for _, high in ends)
    if kind == "Subtract":
        return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
    choose = max if kind == "Maximum" else min
    return choose(low for low, _ in ends), choose(high for _, high in ends)


def _function(layer: Any) -> Any:
    """What an activation layer, or a raw operation, applies."""
    quantizer = getattr(layer, "activation", None)
    return quantizer if isinstance(quantizer, Quantizer) else layer


def _is_quantized(activation: Any) -> bool:
    """Whether a layer gives levels: QActivation and QAdaptiveActivation."""
    return isinstance(getattr(activation, "quantizer", None), Quantizer)


def _is_relu(operation: ops.Activation | None) -> bool:
    return operation is not None and operation.function.name == RELU and not operation.function.slope


def _code_of(value: float, form: Format, layer: str) -> int:
    codes, fraction = dyadic([value])
    shift = form.fraction - fraction
    if shift < 0 or form.divisor != 1:
        raise ExportError(f"{layer}: {value} is no multiple of the step that it is compared with")
    return int(codes[0]) << shift


def _then(first: Callable[[Any], Any], second: Any) -> Callable[[Any], Any]:
    return lambda x: _called(second)(first(x))


def _called(function: Any) -> Callable[[Any], Any]:
    """A layer, a quantizer or a function as a function of tensors at inference."""
    if isinstance(function, Quantizer):
        return lambda x: function(keras.ops.convert_to_tensor(x), training=False)
    return lambda x: function(keras.ops.convert_to_tensor(x))
