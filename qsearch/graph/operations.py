"""What a layer does, one small frozen class per kind of layer. Import it as `ops`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import ClassVar, Self

from qsearch.functions import IDENTITY, SIGMOID, TANH, Function

_TANH, _SIGMOID = Function(TANH), Function(SIGMOID)


@dataclass(frozen=True)
class Input:
    """A model input."""


@dataclass(frozen=True, kw_only=True)
class Weighted:
    """A layer with trained weights that it multiplies with.

    Attributes:
        use_bias: whether a bias is added to the sums.
        activation: what is applied to them.
    """

    use_bias: bool
    activation: Function = IDENTITY
    ends_in_activation: ClassVar[bool] = True
    """Whether the activation is the last that it does; that of a recurrent layer is inside its loop."""

    @property
    def width(self) -> int | None:
        """The output channels that it makes itself, where there may be more or fewer of them; else None."""
        return None

    def with_width(self, width: int | None) -> Self:
        """The same with so many channels; itself where it has no width to change, or None is asked for."""
        return self


@dataclass(frozen=True, kw_only=True)
class OneKernel(Weighted):
    """A layer whose output values are sums of products with one kernel."""


@dataclass(frozen=True, kw_only=True)
class Foldable(OneKernel):
    """A layer that a batch normalization behind it can become part of; `folded`: one is."""

    folded: bool = False


class _Units:
    """A width that is called units, as in Keras."""

    units: int

    @property
    def width(self) -> int:
        return self.units

    def with_width(self, width: int | None) -> Self:
        return self if width is None else replace(self, units=width)  # type: ignore[type-var]


class _Filters:
    """A width that is called filters, as in Keras."""

    filters: int

    @property
    def width(self) -> int:
        return self.filters

    def with_width(self, width: int | None) -> Self:
        return self if width is None else replace(self, filters=width)  # type: ignore[type-var]


@dataclass(frozen=True, kw_only=True)
class Dense(_Units, Foldable):
    """Dense on the last axis."""

    units: int


@dataclass(frozen=True, kw_only=True)
class Convolution(_Filters, Foldable):
    """Conv1D to Conv3D, told apart by `kernel_size`; kernel shape (*kernel_size, in // groups, filters)."""

    filters: int
    kernel_size: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True, kw_only=True)
class DepthwiseConvolution(Foldable):
    """DepthwiseConv1D and DepthwiseConv2D; kernel shape (*kernel_size, in, depth_multiplier)."""

    kernel_size: tuple[int, ...]
    depth_multiplier: int = 1


@dataclass(frozen=True, kw_only=True)
class TransposedConvolution(_Filters, OneKernel):
    """Conv1DTranspose to Conv3DTranspose; kernel shape (*kernel_size, filters, in)."""

    filters: int
    kernel_size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SeparableConvolution(_Filters, Weighted):
    """SeparableConv1D and SeparableConv2D: a depthwise convolution, then one of size 1."""

    filters: int
    kernel_size: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class DepthwiseTransposed(OneKernel):
    """QDepthwiseConv2DTranspose: as many channels as it gets, each from `group_size` of them; kernel shape
    (*kernel_size, in, group_size). It adds no bias."""

    use_bias: bool = False
    kernel_size: tuple[int, ...]
    group_size: int = 1


@dataclass(frozen=True, kw_only=True)
class SeparableTransposed(Weighted):
    """QSeparableConv2DTranspose: a depthwise transposed convolution, then one of size 1.

    Kernel shapes (*kernel_size, 1, in) and (1, 1, filters, in).
    """

    filters: int
    kernel_size: tuple[int, ...]
    depthwise_activation: Function = IDENTITY


@dataclass(frozen=True, kw_only=True)
class ScaleShift(Weighted):
    """QScaleShift: one trained number to multiply all values with, one to add."""


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


@dataclass(frozen=True, kw_only=True)
class Recurrent(_Units, Weighted):
    """SimpleRNN, LSTM, GRU, or two of one kind in a Bidirectional (`directions` 2)."""

    ends_in_activation: ClassVar[bool] = False
    cell: Cell
    units: int
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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class EinsumDense(OneKernel):
    """A contraction with a kernel of its own; `terms`: how many products one output value sums."""

    terms: int


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


def width_of(operation: Operation) -> int | None:
    """The output channels that a layer makes itself, where there may be more or fewer of them; else None."""
    return operation.width if isinstance(operation, Weighted) else None


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
