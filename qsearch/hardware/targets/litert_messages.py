"""What litert refuses, and what to change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy

from qsearch.errors import ExportError
from qsearch.hardware.integer import operations as ops
from qsearch.hardware.integer.formats import FLOAT32_BITS
from qsearch.hardware.integer.model import Step
from qsearch.hardware.targets.litert_rounding import DEFAULT

_BITS = "litert: activations have at most 8 bits; give its quantizer at most 8"


def refused(step: Step, reason: str, kernels: Sequence[str]) -> ExportError:
    """The message for a step that is not exact."""
    return ExportError(f"{step.layer}: {_told(step, reason, kernels)}")


def _told(step: Step, reason: str, kernels: Sequence[str]) -> str:
    match reason:
        case "kernel":
            return f"{_kernel(step)}; litert: weights of at most 8 bits, from -127 to 127 (8 bits: symmetric=1)"
        case "int32":
            return "its sums need more than the 32 bits of a TFLite accumulator; give its kernel or inputs fewer bits"
        case "float32":
            return (
                f"no quantizer rounds its result, of up to {step.form.bits} bits, and its sums may need more than the "
                f"{FLOAT32_BITS} of float32; put a quantizer of at most 8 bits behind it, fold its batch normalization "
                "(run.fold_batch_norm), or give its kernel scales that are powers of two (alpha='auto_po2')"
            )
        case "bits":
            return f"its result has {step.form.bits} bits; {_BITS}"
        case "table":
            return (
                "its activation has levels that are not evenly spaced, over more sums than a table of 4,096 entries "
                "has; give it a quantizer with evenly spaced levels, such as quantized_bits or quantized_relu, or its "
                "layer's kernel fewer bits"
            )
        case "tokens":
            return "reads numbers of tokens that are no input of the model; give its Embedding the model's input itself"
        case "padding":
            return "pads in a way that TFLite has no pooling for; allowed: padding 'valid' or 'same'"
    return _rule(step, kernels)


def _kernel(step: Step) -> str:
    kernel = getattr(step.operation, "kernel", None)
    if kernel is None:
        return "its sums need weights of more than 8 bits"
    return f"its kernel has whole numbers from {int(numpy.min(kernel))} to {int(numpy.max(kernel))}"


def _rule(step: Step, kernels: Sequence[str]) -> str:
    """An activation that no scale and bias give."""
    rule = step.operation
    if isinstance(rule, ops.Uniform) and not rule.half_away and DEFAULT not in kernels:
        return (
            "its quantizer rounds halves to even, and the reference kernels and TFLite Micro away from zero; set "
            "rounding='half_away' on it, or export with kernels: default"
        )
    return (
        "no int32 bias and float32 scale give its levels exactly; fold its batch normalization (run.fold_batch_norm), "
        "give its kernel fewer bits or scales that are powers of two (alpha='auto_po2'), or give its activation fewer "
        "bits"
    )
