"""A model as plain data: nodes, shapes, layer facts. No Keras object gets past this room.

Shapes leave out the batch axis. One node stands for one *call* of a layer, in
topological order; names are the layers' names. What a layer does is told by
the type of its `operation`, one small frozen class per kind of layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from qsearch.functions import IDENTITY, SIGMOID, TANH, Function

Shape = tuple[int, ...]
_TANH, _SIGMOID = Function(TANH), Function(SIGMOID)


@dataclass(frozen=True)
class Input:
    """A model input."""


@dataclass(frozen=True)
class Dense:
    """Dense on the last axis; `folded`: a batch normalization is part of it."""

    units: int
    use_bias: bool
    activation: Function = IDENTITY
    folded: bool = False


@dataclass(frozen=True)
class Convolution:
    """Conv1D to Conv3D, told apart by `kernel_size`; kernel shape (*kernel_size, in // groups, filters)."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: Function = IDENTITY
    groups: int = 1
    folded: bool = False


@dataclass(frozen=True)
class DepthwiseConvolution:
    """DepthwiseConv1D and DepthwiseConv2D; kernel shape (*kernel_size, in, depth_multiplier)."""

    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: Function = IDENTITY
    depth_multiplier: int = 1
    folded: bool = False


@dataclass(frozen=True)
class TransposedConvolution:
    """Conv1DTranspose to Conv3DTranspose; kernel shape (*kernel_size, filters, in)."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: Function = IDENTITY


@dataclass(frozen=True)
class SeparableConvolution:
    """SeparableConv1D and SeparableConv2D: a depthwise convolution, then one of size 1."""

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: Function = IDENTITY


@dataclass(frozen=True)
class DepthwiseTransposed:
    """QDepthwiseConv2DTranspose: as many channels as it gets, each from `group_size` of them; kernel shape
    (*kernel_size, in, group_size). It adds no bias."""

    kernel_size: tuple[int, ...]
    group_size: int = 1
    activation: Function = IDENTITY


@dataclass(frozen=True)
class SeparableTransposed:
    """QSeparableConv2DTranspose: a depthwise transposed convolution, then one of size 1.

    Kernel shapes (*kernel_size, 1, in) and (1, 1, filters, in).
    """

    filters: int
    kernel_size: tuple[int, ...]
    use_bias: bool
    activation: Function = IDENTITY
    depthwise_activation: Function = IDENTITY


@dataclass(frozen=True)
class ScaleShift:
    """QScaleShift: one trained number to multiply all values with, one to add."""

    use_bias: bool
    activation: Function = IDENTITY


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
    activation: Function = _TANH
    recurrent_activation: Function = _SIGMOID
    directions: int = 1


@dataclass(frozen=True)
class Embedding:
    """A table of rows, one read for each index."""


@dataclass(frozen=True)
class BatchNormalization:
    """gamma and beta as far as they are there; `by_channel`: along the last axis, as in nearly every network."""

    scale: bool = True
    center: bool = True
    by_channel: bool = True


@dataclass(frozen=True)
class Affine:
    """y = scale · x + offset with constants, one for all values or one for each channel.

    Rescaling, an adapted Normalization, sums and products of a tensor and a number.

    Attributes:
        scales, shifts: which of the two it does.
        constants: how many numbers there are for each; what is read of them is not counted where it is one.
    """

    scales: bool
    shifts: bool
    constants: int = 1


@dataclass(frozen=True)
class Normalization:
    """LayerNormalization, RMSNormalization, GroupNormalization, UnitNormalization: statistics of the values themselves.

    Attributes:
        centers: whether the mean is subtracted; scale, shift: whether gamma and beta follow.
        groups: of channels with statistics of their own; None where there are none.
    """

    centers: bool
    scale: bool
    shift: bool
    groups: int | None = None


@dataclass(frozen=True)
class Attention:
    """softmax(Q · K^T) · V of every head (Vaswani et al. 2017, arXiv:1706.03762).

    Attributes:
        heads: of the queries; key_heads: of keys and values, fewer in grouped attention.
        key_dim, value_dim: of one head.
        places: which of the node's inputs are query, key and value.
        attended: how many keys one query is compared with.
        projected: whether queries, keys, values and the result pass dense layers of its own.
    """

    heads: int
    key_heads: int
    key_dim: int
    value_dim: int
    places: tuple[int, int, int]
    attended: int
    projected: bool


@dataclass(frozen=True)
class EinsumDense:
    """A contraction with a kernel of its own; `terms`: how many products one output value sums."""

    terms: int
    use_bias: bool
    activation: Function = IDENTITY


@dataclass(frozen=True)
class Activation:
    """A layer or operation that applies one function to every value."""

    function: Function


class MergeKind(Enum):
    ADD = "Add"
    SUBTRACT = "Subtract"
    MULTIPLY = "Multiply"
    AVERAGE = "Average"
    MAXIMUM = "Maximum"
    MINIMUM = "Minimum"
    CONCATENATE = "Concatenate"
    STACK = "Stack"
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
    """Average pooling over windows (pool_size) or over everything but the channels (pool_size None).

    `keeps_channels` is False where the channels themselves are averaged.
    """

    pool_size: tuple[int, ...] | None
    keeps_channels: bool = True


class Move(Enum):
    MAX_POOLING = "MaxPooling2D"
    MAX_POOLING_1D = "MaxPooling1D"
    GLOBAL_MAX_POOLING = "GlobalMaxPooling2D"
    FLATTEN = "Flatten"
    RESHAPE = "Reshape"
    UP_SAMPLING = "UpSampling2D"
    REORDER = "Permute"
    PADDING = "ZeroPadding2D"
    CROPPING = "Cropping2D"


@dataclass(frozen=True)
class DataMover:
    """A layer that hands on the numbers it gets.

    `keeps_channels`: its output has its input's last axis; where it lays out several axes as one, this varies fastest.
    """

    move: Move
    keeps_channels: bool = True


@dataclass(frozen=True)
class Idle:
    """Nothing at inference: dropout, noise, augmentation, masks, casts."""


@dataclass(frozen=True)
class Unknown:
    """A layer without a rule of its own: it pays for reading its inputs, and the report names it."""

    kind: str


Operation = (
    Input
    | Dense
    | Convolution
    | DepthwiseConvolution
    | TransposedConvolution
    | SeparableConvolution
    | DepthwiseTransposed
    | SeparableTransposed
    | ScaleShift
    | Recurrent
    | Embedding
    | BatchNormalization
    | Affine
    | Normalization
    | Attention
    | EinsumDense
    | Activation
    | Merge
    | AveragePooling
    | DataMover
    | Idle
    | Unknown
)


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes:
        name: unique; the layer's name, with `:1`, `:2` appended for a layer's later calls.
        layer: the layer's name.
        class_name: the Keras class, for people: Conv2D, Dense, MaxPooling2D, ...
        classes: the layer classes that it counts as in `limit`, the nearest first: (TimeDistributed, Dense),
            (ReLU, Activation), (Conv2D,) of a QConv2D.
        operation: what it does.
        inputs: names of the nodes whose outputs it reads, in call order.
        input_shapes: their shapes, in the same order.
        output_shape: shape of its (first) output.
        weights: shapes of its variables by name (kernel, bias, gamma, ...).
        results: how many tensors it gives; `output_shape` is that of the first.
        channel_axis: of the first result in Keras, the batch axis not counted; in `output_shape` channels are last.
    """

    name: str
    layer: str
    class_name: str
    operation: Operation
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    output_shape: Shape
    weights: Mapping[str, Shape] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    results: int = 1
    channel_axis: int = -1


@dataclass(frozen=True)
class ModelGraph:
    """Nodes in topological order, and the names of those whose output is an output of the model."""

    name: str
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
