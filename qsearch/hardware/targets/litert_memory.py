"""What a LiteRT file needs: bytes of flash, of weights, and of activations at the worst moment."""

from __future__ import annotations

from typing import Any

import numpy

from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.litert_network import Written

_WEIGHTED = ("FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE")
"""Operations that read kernels."""


def memory_of(model: IntegerModel, written: Written) -> dict[str, Any]:
    """The figures of `memory.json`."""
    peak, at = _peak(written)
    file = written.network.file
    tensors = file.tensors
    read = {index for one in file.operators if one.kind in _WEIGHTED for index in one.inputs}
    kernels = [tensors[index] for index in read if tensors[index].data is not None and tensors[index].kind == "int8"]
    return {
        "operators": sorted({one.kind for one in file.operators}),
        "flash_bytes": len(written.content),
        "weight_bytes": sum(kernel.bytes for kernel in kernels),
        "weight_bytes_at_their_bits": -(-sum(_kernel_bits(model).values()) // 8),
        "constant_bytes": sum(tensor.bytes for tensor in tensors if tensor.data is not None),
        "activation_bytes": peak,
        "activation_bytes_at": at,
    }


def _kernel_bits(model: IntegerModel) -> dict[bytes, int]:
    """Of every kernel once, although each time step of a recurrent layer has it."""
    kernels = [step.operation for step in model.steps if isinstance(step.operation, ops.Dense | ops.Convolution)]
    return {operation.kernel.tobytes(): _bits(operation) for operation in kernels}


def _bits(operation: ops.Dense | ops.Convolution) -> int:
    """Of a kernel, as packed codes would be."""
    kernel: Codes = operation.kernel // max(int(numpy.gcd.reduce(operation.kernel, axis=None)), 1)
    if (numpy.abs(kernel) == 1).all():
        return int(kernel.size)
    low, high = int(numpy.min(kernel)), int(numpy.max(kernel))
    bits = max(high.bit_length(), (-low - 1).bit_length()) + 1 if low < 0 else max(high.bit_length(), 1)
    return int(kernel.size) * bits


def _peak(written: Written) -> tuple[int, str]:
    """The most bytes of tensors that are needed at once, and the operation that needs them."""
    file = written.network.file
    last: dict[int, int] = {}
    for place, operator in enumerate(file.operators):
        last |= dict.fromkeys((*operator.inputs, *operator.outputs), place)
    last |= dict.fromkeys((tensor.index for tensor in written.outputs), len(file.operators))
    alive = {tensor.index for tensor in written.inputs}
    peak, at = sum(file.tensors[index].bytes for index in alive), ""
    for place, operator in enumerate(file.operators):
        alive |= set(operator.outputs)
        bytes_ = sum(file.tensors[index].bytes for index in alive)
        if bytes_ > peak:
            peak, at = bytes_, f"{operator.kind} {file.tensors[operator.outputs[0]].name}"
        alive = {index for index in alive if last.get(index, -1) > place}
    return peak, at
