"""Layers that do several things: folded batch norm, separable convolutions, recurrent layers.

QTools prices these at zero. Their rules are made of the same parts as those of the simple layers: a sum of n
products costs n multiplications and n additions in the accumulator's format.
"""

from __future__ import annotations

import math
from dataclasses import replace

from qsearch.energy.charges import Charge, LayerTypes, Unquantized, format_of, handed_on, terms
from qsearch.energy.operators import accumulate, add, multiply
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.plan import LayerPlan, Role
from qsearch.quantizers.formats import number_format
from qsearch.quantizers.number_types import Kind, NumberFormat


def folded_types(node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized) -> LayerTypes:
    """A layer with a batch norm inside: the folded kernel and bias are what is stored and computed with."""
    operation = node.operation
    assert isinstance(operation, ops.Foldable)
    kernel = node.weights["kernel"]
    channels = node.output_shape[-1]
    weight = format_of(plan, Role.KERNEL, rest.internal)
    product = multiply(weight, inputs[0])
    if plan is None:
        carried, bias = rest.accumulator, rest.internal
        total, result = carried, carried
    else:
        spec = plan.quantizers.get(Role.BIAS)
        summed = math.prod(kernel[:-1]) if isinstance(operation, ops.DepthwiseConvolution) else terms(node)
        total = accumulate(summed + (spec is not None), product.output)
        if spec is None:
            bias = total
            if total.kind is not Kind.FLOAT:
                total = replace(total, bits=total.bits + 1, int_bits=total.int_bits + 1)
        else:
            bias = number_format(spec)
        result = product.output
    output = handed_on(operation.activation, plan, total, rest)
    stored = ((math.prod(kernel), weight), (channels, bias))
    return LayerTypes(
        inputs=inputs,
        output=output,
        operators=((product, result),),
        accumulator=total,
        weight=weight,
        bias=bias,
        stored=stored,
    )


def separable_types(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """Depthwise sums, which are not quantized in between, then sums over the channels."""
    operation = node.operation
    assert isinstance(operation, ops.SeparableConvolution)
    window, points = node.weights["depthwise_kernel"], node.weights["pointwise_kernel"]
    first, second = (format_of(plan, role, rest.internal) for role in (Role.KERNEL, Role.POINTWISE))
    bias = format_of(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    before = multiply(first, inputs[0])
    area = math.prod(window[:-2])
    between = rest.accumulator if plan is None else accumulate(area, before.output)
    after = multiply(second, between)
    channels = points[-2]
    total = rest.accumulator if plan is None else accumulate(channels, after.output)
    if plan is not None and bias is not None:
        total = add(total, bias)
    positions = math.prod(node.output_shape[:-1])
    carried = (rest.accumulator, rest.accumulator) if plan is None else (before.output, after.output)
    charges = (
        Charge(positions * channels * area, (before, carried[0]), between),
        Charge(math.prod(node.output_shape) * channels, (after, carried[1]), total),
    )
    stored = [(math.prod(window), first), (math.prod(points), second)]
    if bias is not None:
        stored.append((node.output_shape[-1], bias))
    output = handed_on(operation.activation, plan, total, rest)
    return LayerTypes(
        inputs=inputs, output=output, accumulator=total, weight=first, bias=bias, charges=charges, stored=tuple(stored)
    )


def recurrent_types(
    node: Node, inputs: tuple[NumberFormat, ...], plan: LayerPlan | None, rest: Unquantized
) -> LayerTypes:
    """Over all time steps and directions: x · W and h · U of every gate, and the element-wise products.

    Joining both sums, adding the bias and adding up element-wise products are not charged, as QTools does not
    charge a bias. Parameters are read once.
    """
    operation = node.operation
    assert isinstance(operation, ops.Recurrent)
    x, cell, units = inputs[0], operation.cell, operation.units
    *sequence, features = node.input_shapes[0]
    steps = math.prod(sequence)
    kernel, recurrent = (format_of(plan, role, rest.internal) for role in (Role.KERNEL, Role.RECURRENT))
    bias = format_of(plan, Role.BIAS, rest.internal) if operation.use_bias else None
    inner = _activation(plan, Role.ACTIVATION, rest)
    gate = _activation(plan, Role.RECURRENT_ACTIVATION, rest)
    state = inner if plan is None else _state(plan, inner)
    from_input, from_state = multiply(kernel, x), multiply(recurrent, state)
    product = multiply(gate, inner)
    if plan is None:
        total = rest.accumulator
        sums = (total, total)
        carried = (total, total, total)
    else:
        sums = (accumulate(features, from_input.output), accumulate(units, from_state.output))
        total = add(*sums) if bias is None else add(add(*sums), bias)
        carried = (from_input.output, from_state.output, product.output)
    calls = steps * operation.directions
    charges = [
        Charge(calls * cell.gates * units * features, (from_input, carried[0]), sums[0]),
        Charge(calls * cell.gates * units * units, (from_state, carried[1]), sums[1]),
    ]
    if cell.products:
        charges.append(Charge(calls * cell.products * units, (product, carried[2])))
    sides = operation.directions
    stored = [
        (sides * math.prod(node.weights["kernel"]), kernel),
        (sides * math.prod(node.weights["recurrent_kernel"]), recurrent),
    ]
    if bias is not None:
        stored.append((sides * math.prod(node.weights["bias"]), bias))
    return LayerTypes(
        inputs=inputs,
        output=inner,
        accumulator=total,
        weight=kernel,
        bias=bias,
        charges=tuple(charges),
        stored=tuple(stored),
    )


def _activation(plan: LayerPlan | None, role: Role, rest: Unquantized) -> NumberFormat:
    """What an activation inside the layer gives."""
    if plan is None:
        return rest.activation
    return format_of(plan, role, rest.internal)


def _state(plan: LayerPlan, output: NumberFormat) -> NumberFormat:
    spec = plan.quantizers.get(Role.STATE)
    return output if spec is None else number_format(spec)
