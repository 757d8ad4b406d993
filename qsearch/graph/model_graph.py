"""A model as plain data: nodes, shapes, layer facts. No Keras object gets past this room.

Shapes leave out the batch axis. One node stands for one *call* of a layer, in
topological order; names are the layers' names. What a layer does is told by
the type of its `operation`, one small frozen class per kind of layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Input:
    """A model input."""


@dataclass(frozen=True)
class Dense:
    units: int
    use_bias: bool
    activation: str = "linear"


@dataclass(frozen=True)
class Convolution:
    """Conv1D and Conv2D, told apart by `kernel_size`; kernel shape (*kernel_size, in // groups, filters)."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"
    groups: int = 1


@dataclass(frozen=True)
class DepthwiseConvolution:
    """DepthwiseConv2D; kernel shape (*kernel_size, in, depth_multiplier)."""

    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"
    depth_multiplier: int = 1


@dataclass(frozen=True)
class BatchNormalization:
    scale: bool = True
    center: bool = True


@dataclass(frozen=True)
class Activation:
    """An activation layer; `function` is the Keras name of what it computes."""

    function: str


class MergeKind(Enum):
    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    AVERAGE = "Average"
    MAXIMUM = "Maximum"
    MINIMUM = "Minimum"
    CONCATENATE = "Concatenate"
    DOT = "Dot"


@dataclass(frozen=True)
class Merge:
    """A layer that makes one tensor of several; `axis` is that of Concatenate, the batch axis counted."""

    kind: MergeKind
    axis: int = -1


@dataclass(frozen=True)
class AveragePooling:
    """AveragePooling2D (pool_size) or GlobalAveragePooling2D (pool_size None: the whole image)."""

    pool_size: tuple[int, ...] | None


class Move(Enum):
    MAX_POOLING = "MaxPooling2D"
    MAX_POOLING_1D = "MaxPooling1D"
    GLOBAL_MAX_POOLING = "GlobalMaxPooling2D"
    FLATTEN = "Flatten"
    RESHAPE = "Reshape"
    UP_SAMPLING = "UpSampling2D"


@dataclass(frozen=True)
class DataMover:
    """A layer that hands on the numbers it gets."""

    move: Move


@dataclass(frozen=True)
class Dropout:
    """Noise in training only; nothing at inference."""


@dataclass(frozen=True)
class Unknown:
    """A layer without a rule of its own: it pays for reading its inputs, and the report names it.

    `keeps_channels` tells that its output has its input's last axis, as with ReLU() and ZeroPadding2D.
    """

    kind: str
    keeps_channels: bool = False


Operation = (
    Input
    | Dense
    | Convolution
    | DepthwiseConvolution
    | BatchNormalization
    | Activation
    | Merge
    | AveragePooling
    | DataMover
    | Dropout
    | Unknown
)


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        name: unique; the layer's name, with `:1`, `:2` appended for a layer's later calls.
        layer: the layer's name.
        class_name: the Keras class, for people: Conv2D, Dense, MaxPooling2D, ...
        operation: what it does.
        inputs: names of the nodes whose outputs it reads, in call order.
        input_shapes: their shapes, in the same order.
        output_shape: shape of its (first) output.
        weights: shapes of its variables by name (kernel, bias, gamma, ...).
    """

    name: str
    layer: str
    class_name: str
    operation: Operation
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelGraph:
    """Nodes in topological order, and the names of those whose output is an output of the model."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
