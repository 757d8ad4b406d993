"""Layers without a quantized form: constants applied to values, normalizations, attention.

They are priced alike in the reference and in a trial: weights and constants in the internal format, sums in the
accumulator's, which is what they hand on. The rules are made of the parts of the simple layers.
"""

from __future__ import annotations

import math

from qsearch.energy.charges import Charge, LayerTypes, Unquantized
from qsearch.energy.counts import attention_macs, projection_macs, score_count
from qsearch.energy.operators import Operator, multiply
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.quantizers.number_types import NumberFormat


def affine_types(node: Node, inputs: tuple[NumberFormat, ...], rest: Unquantized) -> LayerTypes:
    """One product and one sum for each value. Only constants that differ by channel are read."""
    operation = node.operation
    assert isinstance(operation, ops.Affine)
    total = rest.accumulator
    operators: list[tuple[Operator, NumberFormat]] = []
    if operation.scales:
        operators.append((multiply(rest.internal, inputs[0]), total))
    if operation.shifts:
        operators.append((Operator("add", total, 1.0, total.bits), total))
    count = operation.constants if operation.constants > 1 else 0
    stored = tuple((count, rest.internal) for _ in operators if count)
    return LayerTypes(inputs=inputs, output=total, operators=tuple(operators), accumulator=total, stored=stored)


def normalization_types(node: Node, inputs: tuple[NumberFormat, ...], rest: Unquantized) -> LayerTypes:
    """A sum (mean), a sum of squares (variance), a product with 1/deviation, and gamma and beta, for each value.

    Roots and divisions, one for each mean, are not charged.
    """
    operation = node.operation
    assert isinstance(operation, ops.Normalization)
    x, total, values = inputs[0], rest.accumulator, math.prod(node.output_shape)
    square, scaled = multiply(x, x), multiply(rest.internal, x)
    charges = [Charge(values, (square, total), total), Charge(values, (scaled, total))]
    if operation.centers:  # summed up, and subtracted
        charges += [Charge(values, None, total)] * 2
    if operation.scale:
        charges.append(Charge(values, (scaled, total)))
    if operation.shift:
        charges.append(Charge(values, None, total))
    stored = tuple((math.prod(shape), rest.internal) for shape in node.weights.values())
    return LayerTypes(inputs=inputs, output=total, accumulator=total, charges=tuple(charges), stored=stored)


def attention_types(node: Node, inputs: tuple[NumberFormat, ...], rest: Unquantized) -> LayerTypes:
    """Dense layers for queries, keys and values, scores, their softmax, weighted sums, a dense layer.

    Dense layers hand on the accumulator's format, softmax an activation's, as the layers that do the same.
    """
    operation = node.operation
    assert isinstance(operation, ops.Attention)
    total, weight = rest.accumulator, rest.internal
    query, key, value = (inputs[place] for place in operation.places)
    charges: list[Charge] = []
    if operation.projected:
        *given, result = projection_macs(node)
        for count, x in zip(given, (query, key, value), strict=True):
            charges.append(Charge(count, (multiply(weight, x), total), total))
        charges.append(Charge(result, (multiply(weight, total), total), total))
        query = key = value = total
    scores, sums = attention_macs(node)
    charges.append(Charge(scores, (multiply(query, key), total), total))
    charges.append(Charge(sums, (multiply(rest.activation, value), total), total))
    charges.append(Charge(score_count(node), (multiply(weight, total), total)))  # 1/sqrt(size)
    stored = tuple((math.prod(shape), weight) for shape in node.weights.values())
    return LayerTypes(
        inputs=inputs,
        output=total,
        accumulator=total,
        weight=weight if stored else None,
        charges=tuple(charges),
        stored=stored,
    )
