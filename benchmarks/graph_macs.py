"""Multiply-accumulates of a Keras model as TensorFlow's graph does them: a count that is not ours."""

from __future__ import annotations

import math
import re
from typing import Any

import keras

_EINSUM = re.compile(r"([A-Za-z]+),([A-Za-z]+)->[A-Za-z]*")


def graph_macs(model: keras.Model) -> int | None:
    """Multiply-accumulates of one sample in TensorFlow's graph; None where a loop hides how often they are done.

    Zeros of padding count; so do the products of a transposed convolution, one for each input, weight and filter.
    """
    import tensorflow

    one_sample = [tensorflow.TensorSpec((1, *tensor.shape[1:]), tensor.dtype) for tensor in model.inputs]
    call = tensorflow.function(lambda *x: model(x[0] if len(x) == 1 else list(x), training=False))
    graph = call.get_concrete_function(*one_sample).graph
    graphs, total = [graph], 0
    functions = {str(name): found for name, found in graph._functions.items()}
    while graphs:
        for operation in graphs.pop().get_operations():
            if operation.type in ("While", "StatelessWhile", "CudnnRNN", "CudnnRNNV3"):
                return None
            if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
                graphs.append(functions[operation.get_attr("f").name].graph)
            total += _operation_macs(operation)
    return total


def _operation_macs(operation: Any) -> int:
    shapes = [tuple(side or 1 for side in tensor.shape) if tensor.shape.rank else () for tensor in operation.inputs]
    given = math.prod(side or 1 for side in operation.outputs[0].shape) if operation.outputs else 0
    match operation.type:
        case "MatMul" | "BatchMatMulV2" | "BatchMatMul":
            flag = "transpose_a" if operation.type == "MatMul" else "adj_x"
            return int(given * shapes[0][-2 if operation.get_attr(flag) else -1])
        case "Conv2D" | "Conv3D":
            return int(given * math.prod(shapes[1][:-1]))
        case "DepthwiseConv2dNative":
            return int(given * math.prod(shapes[1][:-2]))
        case "Conv2DBackpropInput" | "Conv3DBackpropInputV2":
            return int(math.prod(shapes[2]) * math.prod(shapes[1][:-1]))
        case "Einsum":
            found = _EINSUM.fullmatch(operation.get_attr("equation").decode())
            letters = zip("".join(found.groups()), (*shapes[0], *shapes[1]), strict=True) if found else ()
            return int(math.prod(dict(letters).values())) if found else 0
    return 0
