"""Keras model -> `IntegerModel`: the graph's nodes in order, each as the steps that compute it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy

from qsearch.errors import ConfigError, ExportError, did_you_mean, shown
from qsearch.functions import RELU, SIGMOID, SOFTMAX
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import Node
from qsearch.graph.walk import core_of, operations_by_path
from qsearch.hardware.integer.chain import Chain
from qsearch.hardware.integer.channel_steps import channel_rule
from qsearch.hardware.integer.formats import Format, checked, dyadic
from qsearch.hardware.integer.linear import dense_steps, norm_step, scaled
from qsearch.hardware.integer.merges import concatenated, merge_steps
from qsearch.hardware.integer.model import IntegerModel, Output, Source
from qsearch.hardware.integer.moves import average_steps, move_steps
from qsearch.hardware.integer.norm_fit import fitted
from qsearch.hardware.integer.operations import Clamp, Operation, Reshape, Slice
from qsearch.hardware.integer.over_time import of_one_step, times_by_path, works_on_positions
from qsearch.hardware.integer.recurrent import recurrent_steps
from qsearch.hardware.integer.steps import rule_of
from qsearch.hardware.integer.tables import check_masks, lookup_step, token_source
from qsearch.hardware.integer.transposed import pointwise_steps, transposed_steps
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer

DEFAULT_SOURCE = "quantized_bits(8,0,1)"
"""What inputs are rounded to where nobody says: int8, as energies are priced."""
_LEVELS = 2**12
"""The most of an activation that has a grid for each channel."""
NORMS = ("scale", "thresholds")
SOFTMAXES = ("drop", "keep")
_ENDS = (SOFTMAX, SIGMOID)
"""Functions that keep the order of what they get, which no target needs behind an output."""


@dataclass(frozen=True)
class Signal:
    """What a node hands on: a step's codes, and perhaps a function that is still to be applied to them."""

    step: str
    function: Callable[[Any], Any] | None = None
    function_name: str = ""
    norm: Node | None = None
    """A batch normalization that becomes part of the thresholds of the quantizer behind it."""


def integer_model(
    model: keras.Model,
    sources: Mapping[str, str] | str | None = None,
    norms: str = NORMS[0],
    softmax: str = SOFTMAXES[0],
) -> IntegerModel:
    """The integers that a quantized model computes.

    Args:
        sources: the quantizer of the model's inputs, or of each by its name; int8 where it is left out.
        norms: what a batch normalization with a quantizer behind it becomes: "scale", a product and a sum,
            which are chosen so that the quantizer's levels, where it has up to 256, are those of Keras' float32; or
            "thresholds" of each channel, which are Keras' to the bit.
        softmax: whether files "drop" a softmax or sigmoid at an output, or "keep" it.

    Raises:
        ConfigError: norms or softmax that are none of these.
        ExportError: a layer that cannot be computed in integers exactly, named with the way out.
        ModelError: the model has no graph.
    """
    for name, value, allowed in (("norms", norms, NORMS), ("softmax", softmax, SOFTMAXES)):
        if value not in allowed:
            raise ConfigError(
                f"{name}: {shown(value)}{did_you_mean(str(value), allowed)}; allowed: {', '.join(allowed)}"
            )
    return _Builder(model, sources, norms == "thresholds", softmax == "keep").build()


class _Builder:
    def __init__(
        self, model: keras.Model, sources: Mapping[str, str] | str | None, thresholds: bool, keeps: bool
    ) -> None:
        self.model, self.given, self.thresholds, self.keeps = model, sources, thresholds, keeps
        self.graph = read_model(model)
        self.layers = operations_by_path(model)
        self.times = times_by_path(model)
        self.signals: dict[str, Signal] = {}
        self.chain = Chain()
        self.notes: list[str] = []

    def build(self) -> IntegerModel:
        check_masks(self.layers)
        for node in self.graph.nodes:
            self.signals[node.name] = self._in_time(node)
        names = list(self.model.output_names) if hasattr(self.model, "output_names") else []
        outputs = tuple(
            self._output(names[index] if index < len(names) else name, name)
            for index, name in enumerate(self.graph.outputs)
        )
        return IntegerModel(
            name=self.graph.name,
            sources=tuple(self.chain.sources),
            steps=tuple(self.chain.steps),
            outputs=outputs,
            notes=tuple(self.notes),
        )

    def _output(self, name: str, node: str) -> Output:
        signal = self.signals[node]
        logits = ""
        if signal.function is not None and self.keeps:
            logits = f"{name}_logits"
            while logits in self.model.output_names:
                logits += "_"
        elif signal.function is not None:
            self.notes.append(f"{node}: {signal.function_name} is left out; the output is what it would be applied to")
        return Output(
            name=name, step=signal.step, function=signal.function, function_name=signal.function_name, logits=logits
        )

    def _in_time(self, node: Node) -> Signal:
        """A node, by its time steps where its layer works on one at a time."""
        times = self.times.get(node.layer, 0)
        if not times or not works_on_positions(node.operation):
            return self._signal(node)
        before = dict(self.signals)
        parts = []
        for at in range(node.output_shape[0]):
            for name in set(node.inputs):
                self.signals[name] = self._time_step(node, before[name], at)
            one = of_one_step(node, at)
            self.times[node.layer] = times - 1
            parts.append(self._row(one, self._in_time(one)))
            self.times[node.layer] = times
        self.signals = before
        made = concatenated([self.chain.forms[part] for part in parts], 1)
        return Signal(self.chain.add(node.layer, node.name, made, *parts))

    def _time_step(self, node: Node, signal: Signal, at: int) -> Signal:
        """What a node is given at one time step."""
        form, shape = self.chain.forms[signal.step], self.chain.shapes[signal.step]
        name = f"{node.name}:{at}:given"
        row = self.chain.add(node.layer, f"{name}:row", (Slice(1, at, at + 1), form), signal.step)
        return replace(signal, step=self.chain.add(node.layer, name, (Reshape(shape[1:]), form), row))

    def _row(self, node: Node, signal: Signal) -> str:
        """The result of one time step, with an axis of time in front."""
        if signal.function is not None:
            raise ExportError(
                f"{node.layer}: {signal.function_name} over time gives real numbers; put a quantizer behind"
            )
        form, shape = self.chain.forms[signal.step], self.chain.shapes[signal.step]
        return self.chain.add(node.layer, f"{node.name}:row", (Reshape((1, *shape)), form), signal.step)

    def _signal(self, node: Node) -> Signal:
        layer = core_of(self.layers.get(node.layer))
        match node.operation:
            case ops.Input():
                return self._source(node)
            case ops.Idle():
                return self.signals[node.inputs[0]]
            case ops.Activation():
                return self._activated(node, self.signals[node.inputs[0]], _function(layer), node.operation)
            case ops.Dense() | ops.Convolution() | ops.DepthwiseConvolution() | ops.SeparableConvolution():
                return self._ended(node, self._made(node, dense_steps(node, layer, self._form(node))), layer)
            case ops.TransposedConvolution() | ops.DepthwiseTransposed() | ops.SeparableTransposed():
                return self._transposed(node, layer)
            case ops.BatchNormalization():
                if self._quantizer_behind(node)[0] is not None:
                    return Signal(self._codes(node, 0), norm=node)
                return self._added(node, norm_step(node.layer, layer, self._form(node)))
            case ops.Merge():
                return self._merged(node, node.operation)
            case ops.AveragePooling():
                return self._ended(node, self._made(node, average_steps(node, layer, self._form(node))), layer)
            case ops.DataMover():
                return self._made(node, move_steps(node, layer, self._form(node)))
            case ops.Affine():
                return self._added(node, scaled(node.layer, layer, self._form(node)))
            case ops.Embedding():
                return self._looked_up(node, layer)
            case ops.Recurrent():
                return Signal(recurrent_steps(self.chain, node, layer, self._codes(node, 0)))
        raise ExportError(
            f"{node.layer}: a {node.class_name} layer is not computed in integers yet; allowed: dense layers, "
            "convolutions, recurrent layers, embeddings, batch normalization, activations, merges, pooling, reshaping"
        )

    def _source(self, node: Node) -> Signal:
        tokens = token_source(node, self.graph.nodes, self.layers)
        if tokens is not None:
            return Signal(self.chain.add_source(tokens))
        given = self.given.get(node.name) if isinstance(self.given, Mapping) else self.given
        quantizer = get(given or DEFAULT_SOURCE)
        assert quantizer is not None
        reach = numpy.array([-1e30, 1e30], numpy.float32)
        levels = numpy.asarray(quantizer(numpy.concatenate([reach, numpy.linspace(-1, 1, 999, dtype="float32")])))
        codes, fraction = dyadic(levels)
        form = Format(fraction=fraction, least=int(codes.min()), greatest=int(codes.max()))
        source = Source(
            name=node.name, quantizer=str(quantizer), form=form, shape=node.output_shape, function=quantizer
        )
        return Signal(self.chain.add_source(source))

    def _codes(self, node: Node, index: int) -> str:
        """The step whose codes a node reads."""
        signal = self.signals[node.inputs[index]]
        if signal.function is not None:
            raise ExportError(
                f"{node.inputs[index]}: {signal.function_name} gives real numbers, which {node.layer} computes with; "
                "put a quantizer behind it (limit: Activation, or linear)"
            )
        return signal.step

    def _form(self, node: Node) -> Format:
        return self.chain.forms[self._codes(node, 0)]

    def _added(self, node: Node, made: tuple[Operation, Format]) -> Signal:
        """A step on what the node reads."""
        return Signal(self.chain.add(node.layer, node.name, made, self._codes(node, 0)))

    def _made(self, node: Node, made: Iterable[tuple[str, Operation, Format]], last: str | None = None) -> Signal:
        """Steps one behind the other, the first on what the node reads, or on the step `last`."""
        step = self._codes(node, 0) if last is None else last
        for suffix, operation, form in made:
            step = self.chain.add(node.layer, f"{node.name}{suffix}", (operation, form), step)
        return Signal(step)

    def _ended(self, node: Node, signal: Signal, layer: Any) -> Signal:
        """With the activation that a layer has itself."""
        return self._activated(node, signal, getattr(layer, "activation", None), None)

    def _transposed(self, node: Node, layer: Any) -> Signal:
        signal = self._made(node, transposed_steps(node, layer, self._form(node)))
        if isinstance(node.operation, ops.TransposedConvolution):
            return self._ended(node, signal, layer)
        signal = self._activated(node, signal, layer.depthwise_activation, None)
        if isinstance(node.operation, ops.DepthwiseTransposed):
            return signal
        if signal.function is not None:
            raise ExportError(f"{node.layer}: its depthwise_activation gives real numbers; give it a quantizer")
        made = pointwise_steps(node, layer, self.chain.forms[signal.step])
        return self._activated(node, self._made(node, made, signal.step), layer.pointwise_activation, None)

    def _looked_up(self, node: Node, layer: Any) -> Signal:
        """A quantizer that alone reads a table is applied to the table, which is exact and smaller."""
        reader, behind = self._quantizer_behind(node)
        function = None if reader is None else _called(behind)
        return self._added(node, lookup_step(node, layer, self._form(node), function))

    def _quantizer_behind(self, node: Node) -> tuple[Node | None, Any]:
        """The node that alone reads a node, and its quantizer; None where there is none."""
        readers = [one for one in self.graph.nodes if node.name in one.inputs]
        if len(readers) != 1 or not isinstance(readers[0].operation, ops.Activation) or node.name in self.graph.outputs:
            return None, None
        behind = _function(core_of(self.layers.get(readers[0].layer)))
        return (readers[0], behind) if _is_quantized(behind) else (None, None)

    def _normalized(self, node: Node, signal: Signal, norm: Node, activation: Any) -> Signal:
        """A batch normalization and the quantizer behind it."""
        layer, form = core_of(self.layers[norm.layer]), self.chain.forms[signal.step]
        *around, channels = norm.input_shapes[0][self.times.get(norm.layer, 0) :]  # as the layer itself is called

        def function(x: Any) -> Any:
            rows = keras.ops.reshape(x, (-1, *(1,) * len(around), channels))
            return keras.ops.reshape(_called(activation)(layer(rows, training=False)), x.shape)

        made = channel_rule(function, channels, form)
        if made is not None and self.thresholds:
            return Signal(self.chain.add(node.layer, f"{node.name}:quantized", made, signal.step))
        scale = norm_step(norm.layer, layer, form)
        if made is not None and not getattr(activation, "per_channel", False):
            called = _called(activation)
            scale = fitted(scale, lambda sums: rule_of(node.layer, called, checked(norm.layer, sums)), made, form)
        scaled = self.chain.add(norm.layer, norm.name, scale, signal.step)
        return self._activated(node, Signal(scaled), activation, None)

    def _activated(self, node: Node, signal: Signal, activation: Any, operation: ops.Activation | None) -> Signal:
        """What a function makes of a signal: a rule where it is a quantizer, else something still to be done."""
        if activation is None or activation is keras.activations.linear:
            return signal
        if signal.norm is not None:
            return self._normalized(node, signal, signal.norm, activation)
        name = operation.function.name if operation is not None else getattr(activation, "__name__", "its activation")
        before = signal.function
        function = activation if before is None else _then(before, activation)
        form = self.chain.forms[signal.step]
        if getattr(activation, "per_channel", False):
            rule = channel_rule(_called(function), self.chain.shapes[signal.step][-1], form, _LEVELS)
            if rule is None:
                raise ExportError(
                    f"{node.layer}: has more than {_LEVELS} levels in its channels; use per_channel=False"
                )
            return Signal(self.chain.add(node.layer, f"{node.name}:quantized", rule, signal.step))
        if _is_quantized(activation):
            return Signal(self.chain.rule(node.layer, f"{node.name}:quantized", _called(function), signal.step))
        if before is None and (activation is keras.activations.relu or _is_relu(operation)):
            upper = None if operation is None else operation.function.upper
            greatest = form.greatest if upper is None else min(form.greatest, _code_of(upper, form, node.layer))
            clamp = Clamp(0, max(greatest, 0))
            made = Format(fraction=form.fraction, least=0, greatest=max(greatest, 0), divisor=form.divisor)
            return Signal(self.chain.add(node.layer, f"{node.name}:relu", (clamp, made), signal.step))
        if node.name in self.graph.outputs and name not in _ENDS:
            raise ExportError(f"{node.layer}: {name} gives real numbers; put a quantizer behind it")
        return Signal(signal.step, _called(function), name)

    def _merged(self, node: Node, merge: ops.Merge) -> Signal:
        if len({len(shape) for shape in node.input_shapes}) > 1:
            raise ExportError(f"{node.layer}: merges tensors of different ranks; reshape them to the same one before")
        steps = [self._codes(node, index) for index in range(len(node.inputs))]
        if merge.kind is not ops.MergeKind.CONCATENATE:
            return Signal(merge_steps(self.chain, node.layer, node.name, merge.kind.value, steps))
        made = concatenated([self.chain.forms[step] for step in steps], merge.axis)
        return Signal(self.chain.add(node.layer, node.name, made, *steps))


def _function(layer: Any) -> Any:
    """What an activation layer, or a raw operation, applies."""
    if getattr(layer, "per_channel", False):  # its quantizer is that of the widest channel
        return layer
    quantizer = getattr(layer, "activation", None)
    return quantizer if isinstance(quantizer, Quantizer) else layer


def _is_quantized(activation: Any) -> bool:
    """Whether a function gives levels: quantizers, QActivation and QAdaptiveActivation."""
    return isinstance(activation, Quantizer) or isinstance(getattr(activation, "quantizer", None), Quantizer)


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
