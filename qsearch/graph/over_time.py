"""Operations of a model that TimeDistributed applies: shapes get axes of time in front, which some rules depend on."""

from __future__ import annotations

from dataclasses import replace

from qsearch.graph.call import Call
from qsearch.graph.model_graph import AveragePooling, DataMover, Merge, MergeKind, Move, Operation, Shape


def over_time(operation: Operation, call: Call, time: Shape) -> Operation:
    """The operation as it is with these axes of time in front of its tensors' shapes; itself where there are none."""
    if not time:
        return operation
    match operation:
        case AveragePooling(pool_size=None):
            return replace(operation, pool_size=call.shapes[0][:-1])
        case DataMover(move=Move.FLATTEN):
            return replace(operation, move=Move.RESHAPE)
        case Merge(kind=MergeKind.CONCATENATE, axis=axis) if axis > 0:
            return replace(operation, axis=axis - call.rank)  # from the end, where nothing was put in front
    return operation
