"""Operations of a model that TimeDistributed applies: shapes get axes of time in front, which some rules depend on."""

from __future__ import annotations

from dataclasses import replace

from qsearch.graph import operations as ops
from qsearch.graph.call import Call
from qsearch.graph.model_graph import Shape


def over_time(operation: ops.Operation, call: Call, time: Shape) -> ops.Operation:
    """The operation as it is with these axes of time in front of its tensors' shapes; itself where there are none."""
    if not time:
        return operation
    match operation:
        case ops.AveragePooling(pool_size=None):
            return replace(operation, pool_size=call.shapes[0][:-1])
        case ops.DataMover(move=ops.Move.FLATTEN):
            return replace(operation, move=ops.Move.RESHAPE)
        case ops.Merge(kind=ops.MergeKind.CONCATENATE, axis=axis) if axis > 0:
            return replace(operation, axis=axis - call.rank)  # from the end, where nothing was put in front
    return operation
