"""Models with `data_format="channels_first"`: which tensors have their channels where.

A graph has channels last everywhere, whatever the model has, so that prices, widths and blocks need one rule each. The
layers with a data format say where the channels of a tensor are; what works on single values (activations, sums,
batch normalizations) has them where its neighbours do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import keras

from qsearch.graph import operations as ops
from qsearch.graph.call import Call, call_of, data_tensors
from qsearch.graph.model_graph import Shape
from qsearch.graph.walk import core_of, inner_model, time_axes

ChannelAxes = Mapping[int, int]
"""By the identity of a tensor, the axis of its channels, batch and time counted. Absent: the last."""

_Link = tuple[int, int, int]
"""Two tensors that have their channels at the same place, and how many axes the second has more in front."""

_LAYOUTS = (ops.Move.FLATTEN, ops.Move.RESHAPE)


def is_channels_first(operation: Any) -> bool:
    """Whether a layer or a raw operation has channels first."""
    return getattr(core_of(operation), "data_format", None) == "channels_first"


def channel_axes(
    model: Any,
    calls: Callable[[Any], list[Any]],
    inner: Callable[[Any], Any],
    operation_of: Callable[[Any, Call], ops.Operation],
) -> ChannelAxes:
    """Where the tensors of a functional model have their channels, if not last.

    Args:
        calls: the Keras nodes of a functional model, in order.
        inner: the functional model that an operation is, or applies to every time step.
        operation_of: what a layer or a raw operation does in a call.
    """
    found: dict[int, int] = {}
    fixed: set[int] = set()
    links: list[_Link] = []
    entered: dict[int, Any] = {}
    waiting = [model]
    while waiting:
        functional = waiting.pop()
        if id(functional) in entered:
            continue
        entered[id(functional)] = functional
        for node in calls(functional):
            given, axes = data_tensors(node), time_axes(node.operation)
            if inner_model(node.operation) is not None:
                nested = inner(node.operation)
                waiting.append(nested)
                pairs = [*zip(nested.inputs, given, strict=True), *zip(nested.outputs, node.outputs, strict=True)]
                links += [(id(own), id(outside), axes) for own, outside in pairs]
            elif is_channels_first(node.operation):
                found |= {id(one): 1 + axes for one in (*given, *node.outputs) if len(one.shape) > 2 + axes}
            elif _needs_channels_last(node.operation):
                fixed |= {id(one) for one in (*given, *node.outputs)}
            elif given and _keeps_places(operation_of(core_of(node.operation), call_of(node, node.operation.name))):
                rank = len(node.outputs[0].shape)
                alike = [id(one) for one in (*given, *node.outputs) if len(one.shape) == rank]
                links += [(alike[0], other, 0) for other in alike[1:]]
    return _spread(found, fixed, links)


def _spread(found: Mapping[int, int], fixed: set[int], links: Iterable[_Link]) -> ChannelAxes:
    neighbours: dict[int, list[tuple[int, int]]] = {}
    for first, second, axes in links:
        neighbours.setdefault(first, []).append((second, axes))
        neighbours.setdefault(second, []).append((first, -axes))
    spread = dict(found)
    waiting = list(found)
    while waiting:
        tensor = waiting.pop()
        for other, axes in neighbours.get(tensor, ()):
            if other not in spread and other not in fixed and spread[tensor] + axes > 0:
                spread[other] = spread[tensor] + axes
                waiting.append(other)
    return spread


def _needs_channels_last(operation: Any) -> bool:
    """A Flatten takes what it is given."""
    core = core_of(operation)
    return getattr(core, "data_format", None) == "channels_last" and not isinstance(core, keras.layers.Flatten)


def _keeps_places(operation: ops.Operation) -> bool:
    """Whether all its tensors of one rank have their channels at one place."""
    match operation:
        case (
            ops.Merge(kind=ops.MergeKind.DOT | ops.MergeKind.STACK)
            | ops.DataMover(move=ops.Move.FLATTEN | ops.Move.RESHAPE | ops.Move.REORDER)
        ):
            return False
        case _:
            return _follows(operation)


def _follows(operation: ops.Operation) -> bool:
    """Whether it is read with the channels of its tensors last; others work on the last axis, whatever it is."""
    if isinstance(operation, ops.Merge):
        return operation.kind not in (ops.MergeKind.DOT, ops.MergeKind.STACK)
    return isinstance(operation, _FOLLOWING)


_FOLLOWING = (
    ops.Input,
    ops.Activation,
    ops.Affine,
    ops.ScaleShift,
    ops.Idle,
    ops.BatchNormalization,
    ops.Normalization,
    ops.AveragePooling,
    ops.DataMover,
)


def with_channels_last(call: Call, axes: ChannelAxes, operation: ops.Operation) -> Call:
    """The call with its shapes in the order of channels last, where what it does is read in that order."""
    tensors = (*call.tensors, *call.outputs[:1])
    if not any(id(one) in axes for one in tensors):
        return call
    if not is_channels_first(call.operation) and (_needs_channels_last(call.operation) or not _follows(operation)):
        return call
    places = [axes.get(id(one), len(one.shape) - 1) for one in tensors]
    shapes = tuple(_last(shape, place) for shape, place in zip(call.shapes, places, strict=False))
    return replace(
        call,
        shapes=shapes,
        output_shape=_last(call.output_shape, places[-1]),
        channel_axis=places[0],
        output_channel_axis=places[-1],
    )


def _last(shape: Shape, place: int) -> Shape:
    """Args: place: of the channels, the batch axis counted."""
    return (*shape[: place - 1], *shape[place:], shape[place - 1])


def laid_out(operation: ops.Operation, call: Call) -> ops.Operation:
    """What joins the axes of a tensor with channels first lays its channels out one after the other."""
    if not isinstance(operation, ops.DataMover) or operation.move not in _LAYOUTS or is_channels_first(call.operation):
        return operation
    moved = [
        (call.channel_axis, call.rank, call.shapes[0]),
        (call.output_channel_axis, len(call.output_shape) + 1, call.output_shape),
    ]
    if any(axis != rank - 1 and set(shape[axis - 1 : -1]) - {1} for axis, rank, shape in moved):
        return replace(operation, keeps_channels=False)
    return operation
