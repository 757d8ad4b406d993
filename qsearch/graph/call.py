"""One call of a layer or of a raw Keras operation, as the readers of this room see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras

from qsearch.errors import ModelError
from qsearch.graph.model_graph import Shape


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call.

    Attributes:
        operation: the layer or operation.
        tensors: what it computes with, in the order of its arguments; masks are left out.
        shapes: theirs, without the batch axis.
        outputs: its results; output_shape: of the first.
        args, kwargs: all arguments, tensors and constants.
        channel_axis: of the first tensor, the batch axis counted, as Keras has it; in `shapes` channels are last.
        output_channel_axis: of the first result.
    """

    operation: Any
    tensors: tuple[Any, ...]
    shapes: tuple[Shape, ...]
    outputs: tuple[Any, ...]
    output_shape: Shape
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    channel_axis: int
    output_channel_axis: int

    @property
    def rank(self) -> int:
        """Of the first tensor, the batch axis included."""
        return len(self.shapes[0]) + 1 if self.shapes else 0

    def without(self, axes: int) -> Call:
        """The call of what is applied along so many axes of time: that of one step."""
        if not axes:
            return self
        return replace(
            self,
            shapes=tuple(shape[axes:] for shape in self.shapes),
            output_shape=self.output_shape[axes:],
            channel_axis=self.channel_axis - axes,
            output_channel_axis=self.output_channel_axis - axes,
        )

    def on_channels(self, axis: Any) -> bool:
        """Whether an axis of the first tensor, or one of several, is that of the channels."""
        given = axis if isinstance(axis, list | tuple) else (axis,)
        return any(one is None or one % self.rank == self.channel_axis for one in given)

    def in_order(self, axis: int) -> int:
        """An axis of the first tensor where channels are last: -1 for theirs, others as in Keras, batch counted."""
        place = axis % self.rank
        if place == self.channel_axis:
            return -1
        return place - (self.channel_axis < place) if self.channel_axis < self.rank - 1 else axis

    def argument(self, place: int, name: str) -> Any:
        """An argument by its position or its name; None where it is left out."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name)


def data_tensors(node: Any) -> tuple[Any, ...]:
    """The tensors that a Keras node computes with.

    Masks say which time steps count; they are no data of the model, whatever Keras computes them with.
    """
    given = {name: value for name, value in node.arguments.kwargs.items() if not _is_mask(name)}
    return tuple(x for x in keras.tree.flatten((node.arguments.args, given)) if isinstance(x, keras.KerasTensor))


def _is_mask(argument: str) -> bool:
    return argument == "mask" or argument.endswith("_mask")


def call_of(node: Any, path: str) -> Call:
    """The call that a Keras node stands for.

    Raises:
        ModelError: a size that is not known before the model runs, or is zero.
    """
    tensors = data_tensors(node)
    shapes, output_shape = tuple(shape_of(tensor, path) for tensor in tensors), shape_of(node.outputs[0], path)
    return Call(
        operation=node.operation,
        tensors=tensors,
        shapes=shapes,
        outputs=tuple(node.outputs),
        output_shape=output_shape,
        channel_axis=len(shapes[0]) if shapes else 0,
        output_channel_axis=len(output_shape),
        args=tuple(node.arguments.args),
        kwargs=dict(node.arguments.kwargs),
    )


def shape_of(tensor: Any, layer: str) -> Shape:
    """A tensor's shape without the batch axis.

    Raises:
        ModelError: as `call_of`.
    """
    shape = tuple(tensor.shape)[1:]
    if any(side is None for side in shape):
        raise ModelError(
            f"layer {layer!r}: has shape {tuple(tensor.shape)}, but every size except the batch must be known; "
            "give the model's input a fixed shape"
        )
    if 0 in shape:
        raise ModelError(f"layer {layer!r}: has shape {tuple(tensor.shape)}, with a size of zero; check its strides")
    return tuple(int(side) for side in shape)
