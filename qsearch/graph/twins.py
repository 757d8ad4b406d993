"""What each raw Keras operation (`x + y`, `keras.ops`) does: operation class -> the `Operation` of the layer that does
the same. What has no twin is `Unknown`, and the report names it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras.src.ops import core, nn, numpy  # the classes behind keras.ops, which Keras exports as functions only

from qsearch.graph import operations as ops
from qsearch.graph.activations import recognised
from qsearch.graph.call import Call

Twin = Callable[[Call], ops.Operation]


def twin_operation(call: Call) -> ops.Operation:
    """The operation of the layer that does the same as a raw operation."""
    reader = _TWINS.get(type(call.operation))
    return _unknown(call) if reader is None else reader(call)


def _unknown(call: Call) -> ops.Operation:
    return ops.Unknown(type(call.operation).__name__)


def _elementwise(call: Call) -> ops.Operation:
    """A function of single values, with constants as they stand in the call."""
    function = None
    if len(call.tensors) == 1 and call.shapes[0] == call.output_shape:
        function = recognised(_of_tensor(call), call.rank)
    return _unknown(call) if function is None else ops.Activation(function)


def _of_tensor(call: Call) -> Callable[[Any], Any]:
    """The call as a function of its only tensor."""
    tensor = call.tensors[0]

    def run(x: Any) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda given: x if given is tensor else given, (call.args, dict(call.kwargs))
        )
        return call.operation.call(*args, **kwargs)

    run.__name__ = type(call.operation).__name__.lower()  # what people read where nothing computes the same
    return run


def _arithmetic(kind: ops.MergeKind, scales: bool) -> Twin:
    """+, − and · of two tensors, or of a tensor and constants."""

    def read(call: Call) -> ops.Operation:
        if len(call.tensors) == 2:
            return ops.Merge(kind)
        return ops.Affine(scales, not scales, _constants(call))

    return read


def _constants(call: Call) -> int:
    sizes = [
        math.prod(given.shape)
        for given in keras.tree.flatten((call.args, dict(call.kwargs)))
        if hasattr(given, "shape") and not isinstance(given, keras.KerasTensor)
    ]
    return max(sizes, default=1)


def _division(call: Call) -> ops.Operation:
    """By a constant: a product with its inverse."""
    by_constant = len(call.tensors) == 1 and call.argument(0, "x1") is call.tensors[0]
    return ops.Affine(True, False, _constants(call)) if by_constant else _unknown(call)


def _extreme(kind: ops.MergeKind) -> Twin:
    return lambda call: ops.Merge(kind) if len(call.tensors) == 2 else _elementwise(call)


def _power(call: Call) -> ops.Operation:
    """A square is a product with itself."""
    return ops.Merge(ops.MergeKind.MULTIPLY) if call.argument(1, "x2") == 2 else _unknown(call)


def _item(call: Call) -> ops.Operation:
    """x[...]: the channels stay what they are where nothing, or a whole slice, is asked of them."""
    key = call.argument(1, "key")
    keys = [part for part in (key if isinstance(key, tuple | list) else (key,)) if part is not None]
    open_at = next((index for index, part in enumerate(keys) if part is Ellipsis), len(keys))
    open_axes = call.rank - len([part for part in keys if part is not Ellipsis])
    asked = [*keys[:open_at], *[slice(None)] * open_axes, *keys[open_at + 1 :]]
    of_channels = asked[call.channel_axis]
    return ops.DataMover(ops.Move.CROPPING, isinstance(of_channels, slice) and of_channels == slice(None))


def _along(move: ops.Move) -> Twin:
    """Operations along one axis, or along all."""

    def read(call: Call) -> ops.Operation:
        keeps = bool(call.output_shape) and call.shapes[0][-1:] == call.output_shape[-1:]
        return ops.DataMover(move, keeps and not call.on_channels(getattr(call.operation, "axis", None)))

    return read


def _joined(call: Call) -> ops.Operation:
    return ops.Merge(ops.MergeKind.CONCATENATE, call.in_order(call.operation.axis))


def _stacked(call: Call) -> ops.Operation:
    return ops.Merge(ops.MergeKind.STACK)


def _mover(move: ops.Move) -> Twin:
    def read(call: Call) -> ops.Operation:
        keeps = bool(call.output_shape) and call.shapes[0][-1:] == call.output_shape[-1:]
        return ops.DataMover(move, keeps)

    return read


def _moved_axes(call: Call) -> ops.Operation:
    """Permutations: the channels stay where the operation leaves them."""
    axes = getattr(call.operation, "axes", None)
    stays = axes is not None and axes[call.output_channel_axis] % call.rank == call.channel_axis
    return ops.DataMover(ops.Move.REORDER, stays)


def _reduced(call: Call) -> ops.Operation:
    """Means and sums: additions, as in average pooling."""
    area = math.ceil(math.prod(call.shapes[0]) / math.prod(call.output_shape))
    return ops.AveragePooling((area,), not call.on_channels(call.operation.axis))


def _greatest(call: Call) -> ops.Operation:
    return ops.DataMover(ops.Move.GLOBAL_MAX_POOLING, not call.on_channels(call.operation.axis))


def _window(call: Call) -> ops.Operation:
    size = call.operation.pool_size
    rank = call.rank - 2
    return ops.AveragePooling(tuple(size) if isinstance(size, list | tuple) else (size,) * rank)


def _product(call: Call) -> ops.Operation:
    """Matrix product of two tensors."""
    return (
        ops.Merge(ops.MergeKind.DOT, terms=call.shapes[0][-1])
        if len(call.tensors) == 2 and call.shapes[0]
        else _unknown(call)
    )


def _einsum(call: Call) -> ops.Operation:
    given, _, output = call.operation.subscripts.replace(" ", "").partition("->")
    names = given.split(",")
    if len(call.tensors) != 2 or len(names) != 2 or "." in given or not output:
        return _unknown(call)
    sides: dict[str, int] = {}
    for axes, shape in zip(names, call.shapes, strict=True):
        sides |= zip(axes[1:], shape, strict=True)  # the batch axis comes first
    return ops.Merge(ops.MergeKind.DOT, terms=math.prod(side for axis, side in sides.items() if axis not in output))


def _attention(call: Call) -> ops.Operation:
    """keras.ops.dot_product_attention(query, key, value) of (batch, time, heads, size)."""
    query, key, value = call.shapes[:3]
    return ops.Attention(
        heads=query[-2],
        key_heads=key[-2],
        key_dim=query[-1],
        value_dim=value[-1],
        places=(0, 1, 2),
        attended=key[0],
        projected=False,
    )


def _idle(call: Call) -> ops.Operation:
    return ops.Idle()


_FUNCTIONS = (
    nn.Relu,
    nn.Relu6,
    nn.LeakyRelu,
    nn.Sigmoid,
    nn.Silu,
    nn.HardSigmoid,
    nn.HardSilu,
    nn.HardTanh,
    nn.Elu,
    nn.Selu,
    nn.Celu,
    nn.Gelu,
    nn.Softmax,
    nn.LogSoftmax,
    nn.LogSigmoid,
    nn.Softplus,
    nn.Softsign,
    nn.SparseSigmoid,
    nn.SparsePlus,
    nn.Squareplus,
    nn.TanhShrink,
    nn.SoftShrink,
    nn.HardShrink,
    nn.Threshold,
    numpy.Tanh,
    numpy.Clip,
    numpy.Exp,
    numpy.Abs,
    numpy.Absolute,
)
_TWINS: Mapping[type[Any], Twin] = {
    **dict.fromkeys(_FUNCTIONS, _elementwise),
    numpy.Add: _arithmetic(ops.MergeKind.ADD, scales=False),
    numpy.Subtract: _arithmetic(ops.MergeKind.SUBTRACT, scales=False),
    numpy.Multiply: _arithmetic(ops.MergeKind.MULTIPLY, scales=True),
    numpy.Negative: lambda call: ops.Affine(False, True),
    numpy.Square: lambda call: ops.Merge(ops.MergeKind.MULTIPLY),
    numpy.Power: _power,
    numpy.Divide: _division,
    numpy.TrueDivide: _division,
    numpy.Maximum: _extreme(ops.MergeKind.MAXIMUM),
    numpy.Minimum: _extreme(ops.MergeKind.MINIMUM),
    numpy.Concatenate: _joined,
    **dict.fromkeys((numpy.Stack, numpy.Hstack, numpy.Vstack, numpy.Dstack), _stacked),
    **dict.fromkeys((numpy.Reshape, numpy.Ravel, numpy.ExpandDims, numpy.Squeeze), _mover(ops.Move.RESHAPE)),
    **dict.fromkeys((numpy.Transpose, numpy.Swapaxes, numpy.Moveaxis), _moved_axes),
    **dict.fromkeys(
        (numpy.Tile, numpy.BroadcastTo, nn.DepthToSpace, nn.SpaceToDepth),
        _mover(ops.Move.REORDER),
    ),
    **dict.fromkeys((numpy.Flip, numpy.Roll, numpy.Repeat), _along(ops.Move.REORDER)),
    numpy.Pad: _mover(ops.Move.PADDING),
    numpy.GetItem: _item,
    **dict.fromkeys((numpy.Take, numpy.Split, core.Unstack), _along(ops.Move.CROPPING)),
    core.Slice: lambda call: ops.DataMover(ops.Move.CROPPING, keeps_channels=False),
    numpy.Mean: _reduced,
    numpy.Sum: _reduced,
    **dict.fromkeys((numpy.Max, numpy.Min, numpy.Amax, numpy.Amin), _greatest),
    nn.MaxPool: _mover(ops.Move.MAX_POOLING),
    nn.AveragePool: _window,
    numpy.Matmul: _product,
    numpy.Dot: _product,
    numpy.Einsum: _einsum,
    nn.DotProductAttention: _attention,
    nn.Normalize: lambda call: ops.Normalization(False, False, False),
    **dict.fromkeys((core.Cast, core.SaturateCast, core.StopGradient, core.ConvertToTensor, numpy.Copy), _idle),
}
"""By operation class."""
