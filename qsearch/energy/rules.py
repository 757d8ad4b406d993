"""Number formats through a layer: what comes in, what the operators are, what goes out."""

from __future__ import annotations

import math

from qsearch.energy.charges import Charge, LayerTypes, Unquantized, format_of, handed_on, terms
from qsearch.energy.composite import folded_types, recurrent_types, separable_types
from qsearch.energy.counts import pooling_area
from qsearch.energy.operators import Operator, accumulate, add, divide, merge_common, merge_sum, multiply
from qsearch.energy.ported import scale_shift_types, separable_transposed_types
from qsearch.energy.unquantized import affine_types, attention_types, normalization_types
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.formats import DEFAULT_FORMAT, number_format
from qsearch.quantizers.number_types import Kind, NumberFormat


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
        case ops.Foldable(folded=True):
            return folded_types(node, inputs, plan, rest)
        case ops.OneKernel():
            return _weights(node, node.operation, inputs, plan, rest)
        case ops.SeparableConvolution():
            return separable_types(node, inputs, plan, rest)
        case ops.SeparableTransposed():
            return separable_transposed_types(node, inputs, plan, rest)
        case ops.ScaleShift():
            return scale_shift_types(node, inputs, plan, rest)
        case ops.Recurrent():
            return recurrent_types(node, inputs, plan, rest)
        case ops.Embedding():
            row = format_of(plan, Role.KERNEL, rest.internal) if reference else DEFAULT_FORMAT
            return LayerTypes(inputs=inputs, output=row, weight=row, stored=((math.prod(node.output_shape), row),))
        case ops.BatchNormalization(scale=scale, center=center):
            return _batch_norm(inputs, scale, center, plan, rest)
        case ops.Affine():
            return affine_types(node, inputs, rest)
        case ops.Normalization():
            return normalization_types(node, inputs, rest)
        case ops.Attention():
            return attention_types(node, inputs, rest)
        case ops.Activation(function=function):
            own = None if plan is None else plan.quantizers.get(Role.ACTIVATION)
            if own is not None:
                return LayerTypes(inputs=inputs, output=number_format(own))
            return LayerTypes(inputs=inputs, output=inputs[0] if function.is_linear else rest.activation)
        case ops.Merge():
            return _merge(node, node.operation, inputs, rest, reference)
        case ops.AveragePooling():
            return _average(node, inputs, plan, rest, reference)
        case ops.DataMover():
            return LayerTypes(inputs=inputs, output=inputs[0])
        case _:
            return LayerTypes(inputs=inputs, output=rest.activation)


def _average(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized, reference: bool
) -> LayerTypes:
    """Sums of an area; with a plan, times a quantized 1/area."""
    total = accumulate(pooling_area(node), inputs[0])
    if plan is None:
        carried = rest.accumulator if reference else total
        return LayerTypes(inputs=inputs, output=carried, accumulator=carried)
    share = format_of(plan, Role.AVERAGE, rest.internal)
    product = multiply(total, share)
    own = plan.quantizers.get(Role.ACTIVATION)
    output = product.output if own is None else number_format(own)
    charge = Charge(math.prod(node.output_shape), (product, product.output))
    return LayerTypes(inputs=inputs, output=output, accumulator=total, charges=(charge,))


def _weights(
    node: Node, operation: ops.OneKernel, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    x = inputs[0]
    weight = format_of(plan, Role.KERNEL, rest.internal)
    bias = format_of(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    product = multiply(weight, x)
    if plan is None:
        carried = rest.accumulator
        output = handed_on(operation.activation, plan, carried, rest)
        return LayerTypes(
            inputs=inputs, output=output, operators=((product, carried),), accumulator=carried, weight=weight, bias=bias
        )
    total = accumulate(terms(node), product.output)
    if bias is not None:
        total = add(total, bias)
    output = handed_on(operation.activation, plan, total, rest)
    return LayerTypes(
        inputs=inputs,
        output=output,
        operators=((product, product.output),),
        accumulator=total,
        weight=weight,
        bias=bias,
    )


def _batch_norm(
    inputs: tuple[NumberFormat, ...], scale: bool, center: bool, plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """gamma / sd · (x − mean) + beta, with sd the square root of the variance.

    Without any quantizer it is affine arithmetic on what it gets, and hands on the accumulator's format.
    """
    x = inputs[0]
    gamma = format_of(plan, Role.GAMMA, rest.internal)
    variance = format_of(plan, Role.VARIANCE, rest.internal)
    # Without quantizers of their own, beta and mean are stored as what they are added to.
    beta = format_of(plan, Role.BETA, rest.internal) if plan is None or Role.BETA in plan.quantizers else x
    mean = format_of(plan, Role.MEAN, rest.internal) if plan is None or Role.MEAN in plan.quantizers else x
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
    if plan is None or (not plan.quantizers and rest.norm == "accumulator"):
        carried = tuple((operator, rest.accumulator) for operator in operators)
        output = rest.accumulator
    else:
        carried = tuple((operator, operator.output) for operator in operators)
        output = result
    return LayerTypes(
        inputs=inputs, output=output, operators=carried, accumulator=output, constants=(gamma, beta, mean, variance)
    )


def _square_root(variance: NumberFormat) -> NumberFormat:
    if variance.kind is not Kind.POWER_OF_TWO:
        return variance
    limit = None if variance.max_value is None else float(round(math.sqrt(variance.max_value)))
    bits = variance.bits - 1
    return NumberFormat(
        kind=Kind.POWER_OF_TWO, bits=bits, int_bits=bits, signed=variance.signed, max_value=limit, name=variance.name
    )


def _merge(
    node: Node, merge: ops.Merge, inputs: tuple[NumberFormat, ...], rest: Unquantized, reference: bool
) -> LayerTypes:
    match merge.kind:
        case ops.MergeKind.DOT:
            product = multiply(inputs[0], inputs[1])
            total = rest.accumulator if reference else accumulate(merge.terms, product.output)
            carried = rest.accumulator if reference else product.output
            charge = Charge(math.prod(node.output_shape) * merge.terms, (product, carried), total)
            return LayerTypes(inputs=inputs, output=total, accumulator=total, charges=(charge,))
        case ops.MergeKind.ADD | ops.MergeKind.SUBTRACT:
            output = merge_sum(inputs)
            operator = Operator("add", output, 1.0, output.bits)
        case ops.MergeKind.MULTIPLY:
            output, operator = inputs[0], Operator("add", inputs[0], 0.0, 0)
            for x in inputs[1:]:
                operator = multiply(output, x)
                output = operator.output
        case _:
            output = merge_common(inputs)
            return LayerTypes(inputs=inputs, output=rest.accumulator if reference else output)
    carried = rest.accumulator if reference else output
    return LayerTypes(inputs=inputs, output=carried, operators=((operator, carried),))
