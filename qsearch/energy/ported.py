"""Layers that only QKeras has: separable transposed convolutions, one scale and one shift for all values.

QTools has no rules for them. A sum of n products costs n multiplications and n additions in the accumulator's
format, as elsewhere; zeros that strides put in are not multiplied.
"""

from __future__ import annotations

import math

from qsearch.energy.charges import Charge, LayerTypes, Unquantized, format_of, handed_on
from qsearch.energy.operators import accumulate, add, multiply
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import NumberFormat


def separable_transposed_types(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """Depthwise products for every input position, an activation in between, then sums over the channels."""
    operation = node.operation
    assert isinstance(operation, ops.SeparableTransposed)
    window, points = node.weights["depthwise_kernel"], node.weights["pointwise_kernel"]
    first, second = (format_of(plan, role, rest.internal) for role in (Role.KERNEL, Role.POINTWISE))
    bias = format_of(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    channels, area = window[-1], math.prod(operation.kernel_size)
    before = multiply(first, inputs[0])
    between = rest.accumulator if plan is None else accumulate(area, before.output)
    given = between
    inner = None if plan is None else plan.quantizers.get(Role.DEPTHWISE_ACTIVATION)
    if inner is not None:
        given = number_format(inner)
    elif not operation.depthwise_activation.is_linear and rest.fused != "inline":
        given = rest.activation
    after = multiply(second, given)
    total = rest.accumulator if plan is None else accumulate(channels, after.output)
    if plan is not None and bias is not None:
        total = add(total, bias)
    carried = (rest.accumulator, rest.accumulator) if plan is None else (before.output, after.output)
    charges = (
        Charge(math.prod(node.input_shapes[0]) * area, (before, carried[0]), between),
        Charge(math.prod(node.output_shape) * channels, (after, carried[1]), total),
    )
    stored = [(math.prod(window), first), (math.prod(points), second)]
    if bias is not None:
        stored.append((operation.filters, bias))
    output = handed_on(operation.activation, plan, total, rest)
    return LayerTypes(
        inputs=inputs, output=output, accumulator=total, weight=first, bias=bias, charges=charges, stored=tuple(stored)
    )


def scale_shift_types(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """One product and one sum for each value; each constant is one number."""
    operation = node.operation
    assert isinstance(operation, ops.ScaleShift)
    weight = format_of(plan, Role.KERNEL, rest.internal)
    bias = format_of(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    product = multiply(weight, inputs[0])
    carried = rest.accumulator if plan is None else product.output
    total = carried if plan is None or bias is None else add(carried, bias)
    charge = Charge(math.prod(node.output_shape), (product, carried), None if bias is None else total)
    stored = ((1, weight),) if bias is None else ((1, weight), (1, bias))
    output = handed_on(operation.activation, plan, total, rest)
    return LayerTypes(
        inputs=inputs, output=output, accumulator=total, weight=weight, bias=bias, charges=(charge,), stored=stored
    )
