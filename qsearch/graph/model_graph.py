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
    """Dense on the last axis; `folded`: a batch normalization is part of it."""

    units: int
    use_bias: bool
    activation: str = "linear"
    folded: bool = False


@dataclass(frozen=True)
class Convolution:
    """Conv1D and Conv2D, told apart by `kernel_size`; kernel shape (*kernel_size, in // groups, filters)."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"
    groups: int = 1
    folded: bool = False


@dataclass(frozen=True)
class DepthwiseConvolution:
    """DepthwiseConv2D; kernel shape (*kernel_size, in, depth_multiplier)."""

    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"
    depth_multiplier: int = 1
    folded: bool = False


@dataclass(frozen=True)
class TransposedConvolution:
    """Conv1DTranspose and Conv2DTranspose; kernel shape (*kernel_size, filters, in)."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"


@dataclass(frozen=True)
class SeparableConvolution:
    """SeparableConv1D and SeparableConv2D: a depthwise convolution, then one of size 1."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: str = "linear"


class Cell(Enum):
    """Kinds of recurrent layers: (gates, element-wise products of one step and unit)."""

    SIMPLE = (1, 0)
    LSTM = (4, 3)
    GRU = (3, 3)

    @property
    def gates(self) -> int:
        return self.value[0]

    @property
    def products(self) -> int:
        """LSTM: f · c, i · g, o · A(c); GRU: r · h, z · h, (1 − z) · h'."""
        return self.value[1]


@dataclass(frozen=True)
class Recurrent:
    """SimpleRNN, LSTM, GRU, or two of one kind in a Bidirectional (`directions` 2)."""

    cell: Cell
    units: int
    use_bias: bool
    activation: str = "tanh"
    directions: int = 1


@dataclass(frozen=True)
class Embedding:
    """A table of rows, one read for each index."""


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
    """A layer that makes one tensor of several.

    `axis` is that of Concatenate, the batch axis counted; `terms` is how many products Dot sums for one value.
    """

    kind: MergeKind
    axis: int = -1
    terms: int = 1


@dataclass(frozen=True)
class AveragePooling:
    """Average pooling over windows (pool_size) or over everything but the channels (pool_size None)."""

    pool_size: tuple[int, ...] | None


class Move(Enum):
    MAX_POOLING = "MaxPooling2D"
    MAX_POOLING_1D = "MaxPooling1D"
    GLOBAL_MAX_POOLING = "GlobalMaxPooling2D"
    FLATTEN = "Flatten"
    RESHAPE = "Reshape"
    UP_SAMPLING = "UpSampling2D"
    REORDER = "Permute"


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
    | TransposedConvolution
    | SeparableConvolution
    | Recurrent
    | Embedding
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
