"""Number formats through a layer: what comes in, what the operators are, what goes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from qsearch.energy.operators import Operator, accumulate, add, divide, merge_common, merge_sum, multiply
from qsearch.graph.model_graph import (
    Activation,
    AveragePooling,
    BatchNormalization,
    Convolution,
    DataMover,
    Dense,
    DepthwiseConvolution,
    Merge,
    MergeKind,
    Node,
)
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.formats import DEFAULT_FORMAT, Kind, NumberFormat, number_format


@dataclass(frozen=True)
class Unquantized:
    """What numbers without a quantizer are.

    Attributes:
        internal: weights, biases and batch-norm constants of layers without quantizers.
        accumulator: their products and sums.
        activations: what an activation without a quantizer hands on: the internal format (the seed's rule),
            or the accumulator's (QKeras since May 2021).
    """

    internal: NumberFormat
    accumulator: NumberFormat
    activations: Literal["internal", "accumulator"] = "internal"

    @property
    def activation(self) -> NumberFormat:
        return self.internal if self.activations == "internal" else self.accumulator


@dataclass(frozen=True)
class LayerTypes:
    """Formats of one layer.

    Attributes:
        output: what its consumers read.
        operators: the circuits that its operation count is charged for, each with the format that its result is
            carried in: the multiplier of a convolution; divider and multiplier of a batch norm.
        accumulator: of sums of products, bias included.
        constants: formats of batch norm's gamma, beta, mean and variance, in this order.
    """

    inputs: tuple[NumberFormat, ...]
    output: NumberFormat
    operators: tuple[tuple[Operator, NumberFormat], ...] = ()
    accumulator: NumberFormat | None = None
    weight: NumberFormat | None = None
    bias: NumberFormat | None = None
    constants: tuple[NumberFormat, ...] = ()


def layer_types(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized, reference: bool
) -> LayerTypes:
    """The formats of a layer.

    Args:
        inputs: formats of what it reads, in the order of `node.inputs`.
        plan: its quantizers; None for a layer without quantizers.
        rest: what numbers without a quantizer are.
        reference: whether the model is priced without any quantizer; `plan` is None then.
    """
    match node.operation:
        case Dense() | Convolution() | DepthwiseConvolution():
            return _weights(node, inputs, plan, rest)
        case BatchNormalization(scale=scale, center=center):
            return _batch_norm(inputs, scale, center, plan, rest)
        case Activation():
            own = None if plan is None else plan.quantizers.get(Role.ACTIVATION)
            return LayerTypes(inputs, rest.activation if own is None else number_format(own))
        case Merge():
            return _merge(node.operation, inputs, rest, reference)
        case AveragePooling():
            total = accumulate(pooling_area(node), inputs[0])
            carried = rest.accumulator if reference else total
            return LayerTypes(inputs, carried, accumulator=carried)
        case DataMover():
            return LayerTypes(inputs, inputs[0])
        case _:
            return LayerTypes(inputs, rest.activation if reference else inputs[0])


def pooling_area(node: Node) -> int:
    """Values averaged per output value."""
    assert isinstance(node.operation, AveragePooling)
    window = node.operation.pool_size or node.input_shapes[0][:-1]
    return math.prod(window)


def terms(node: Node) -> int:
    """Products per accumulation: the kernel's size without its output axis (depthwise: without its last two)."""
    kernel = node.weights["kernel"]
    return math.prod(kernel[:-2] if isinstance(node.operation, DepthwiseConvolution) else kernel[:-1])


def _weights(node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized) -> LayerTypes:
    x = inputs[0]
    operation = node.operation
    assert isinstance(operation, Dense | Convolution | DepthwiseConvolution)
    weight = _format(plan, Role.KERNEL, rest.internal)
    bias = _format(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    product = multiply(weight, x)
    if plan is None:
        carried = rest.accumulator
        return LayerTypes(inputs, carried, ((product, carried),), carried, weight, bias)
    total = accumulate(terms(node), product.output)
    if bias is not None:
        total = add(total, bias)
    own = plan.quantizers.get(Role.ACTIVATION)
    output = total if own is None else number_format(own)
    return LayerTypes(inputs, output, ((product, product.output),), total, weight, bias)


def _format(plan: LayerPlan | None, role: Role, without_plan: NumberFormat) -> NumberFormat:
    """A quantized layer's missing quantizer counts as 8 bits, as in QTools."""
    if plan is None:
        return without_plan
    spec = plan.quantizers.get(role)
    return DEFAULT_FORMAT if spec is None else number_format(spec)


def _batch_norm(
    inputs: tuple[NumberFormat, ...], scale: bool, center: bool, plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """gamma / sd · (x − mean) + beta, with sd the square root of the variance."""
    x = inputs[0]
    gamma = _format(plan, Role.GAMMA, rest.internal)
    variance = _format(plan, Role.VARIANCE, rest.internal)
    # Without quantizers of their own, beta and mean are stored as what they are added to.
    beta = _format(plan, Role.BETA, rest.internal) if plan is None or Role.BETA in plan.quantizers else x
    mean = _format(plan, Role.MEAN, rest.internal) if plan is None or Role.MEAN in plan.quantizers else x
    deviation = _square_root(variance)
    operators: tuple[Operator, ...]
    if scale:
        division = divide(gamma, deviation)
        product = multiply(division.output, x)
        operators, result = (division, product), product.output
    else:
        division = divide(x, deviation)
        operators, result = (division,), division.output
    if center:
        result = add(result, beta)
    if plan is None:
        carried = tuple((operator, rest.accumulator) for operator in operators)
        output = rest.accumulator
    else:
        carried = tuple((operator, operator.output) for operator in operators)
        output = result
    return LayerTypes(inputs, output, carried, output, constants=(gamma, beta, mean, variance))


def _square_root(variance: NumberFormat) -> NumberFormat:
    if variance.kind is not Kind.POWER_OF_TWO:
        return variance
    limit = None if variance.max_value is None else float(round(math.sqrt(variance.max_value)))
    bits = variance.bits - 1
    return NumberFormat(Kind.POWER_OF_TWO, bits, bits, variance.signed, limit, variance.name)


def _merge(merge: Merge, inputs: tuple[NumberFormat, ...], rest: Unquantized, reference: bool) -> LayerTypes:
    match merge.kind:
        case MergeKind.ADD | MergeKind.SUBTRACT:
            output = merge_sum(inputs)
            operator = Operator("add", output, 1.0, output.bits)
        case MergeKind.MULTIPLY:
            output, operator = inputs[0], Operator("add", inputs[0], 0.0, 0)
            for x in inputs[1:]:
                operator = multiply(output, x)
                output = operator.output
        case _:
            output = merge_common(inputs)
            return LayerTypes(inputs, rest.accumulator if reference else output)
    carried = rest.accumulator if reference else output
    return LayerTypes(inputs, carried, ((operator, carried),))
