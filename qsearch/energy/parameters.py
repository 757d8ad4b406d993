"""What a layer stores."""

from __future__ import annotations

import math

from qsearch.graph import operations as ops
from qsearch.graph.model_graph import Node
from qsearch.plan import Role

ROLES: dict[str, Role | None] = {
    "kernel": Role.KERNEL,
    "depthwise_kernel": Role.KERNEL,
    "pointwise_kernel": Role.POINTWISE,
    "recurrent_kernel": Role.RECURRENT,
    "weight": Role.KERNEL,
    "bias": Role.BIAS,
    "embeddings": None,
}
"""By the name of a layer's variable, the role of its quantizer."""


def stored_parameters(node: Node) -> list[tuple[int, Role | None]]:
    """(elements, the role of their quantizer) of everything that a design keeps for a layer.

    Of batch normalization that is gamma and beta, as mean and variance fold into them; a folded layer keeps its
    kernel and one bias per channel. Layers without a rule keep all they have, unquantized.
    """
    operation = node.operation
    if isinstance(operation, ops.BatchNormalization):
        roles: dict[str, Role | None] = {"gamma": Role.GAMMA, "beta": Role.BETA}
        return [(math.prod(shape), roles[name]) for name, shape in node.weights.items() if name in roles]
    if isinstance(operation, ops.Foldable) and operation.folded:
        return [(math.prod(node.weights["kernel"]), Role.KERNEL), (node.output_shape[-1], Role.BIAS)]
    if isinstance(operation, ops.DepthwiseTransposed):
        return [(math.prod(node.weights["kernel"]), Role.KERNEL)]  # its bias is never used
    sides = operation.directions if isinstance(operation, ops.Recurrent) else 1
    return [(sides * math.prod(shape), ROLES.get(name)) for name, shape in node.weights.items()]
