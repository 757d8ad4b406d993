"""Does a quantizer fit a tensor? Known from its arguments and the tensor's shape, without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

from qsearch.quantizers.parameters import Value
from qsearch.quantizers.spec import QuantizerSpec

Axes = Sequence[int | None]
"""The shape of a tensor; None for an axis of any length, as that of the samples."""


def misfit(spec: QuantizerSpec, shape: Axes, scales_itself: bool = False) -> str | None:
    """Why a quantizer can never work on tensors of a shape, and what would; None where it can.

    Args:
        scales_itself: whether alpha None stands for an automatic scale, as it does for kernels.
    """
    given = spec.arguments
    for name in ("alpha", "post_training_scale"):
        if (problem := _array_misfit(name, given.get(name), shape)) is not None:
            return problem
    axes = _listed(given.get("scale_axis"))
    for axis in axes:
        if (problem := axis_misfit(axis, len(shape))) is not None:
            return problem
    alpha = given.get("alpha")
    if not isinstance(alpha, str) and not (alpha is None and scales_itself):
        return None  # nothing is computed along axes
    kept = [axis % len(shape) for axis in axes] if len(shape) > 1 else []
    if len({*kept}) < len(kept):
        return f"scale_axis: found {list(axes)}, which names an axis twice"
    sizes = _listed(given.get("elements_per_scale"))
    sizes = sizes * len(kept) if len(sizes) == 1 else sizes
    if kept and sizes and shape[0] is None:
        return "elements_per_scale is for weights: it needs axes whose lengths are known; leave it out"
    for axis, size in zip(kept, sizes, strict=False):
        length = shape[axis]
        if length is not None and length % size:
            allowed = ", ".join(str(each) for each in range(1, min(length, _MOST) + 1) if length % each == 0)
            return f"elements_per_scale: axis {axis} has {length} entries, no multiple of {size}, allowed: {allowed}"
    return None


_MOST = 1_000
"""Up to which divisors are told."""


def axis_misfit(axis: int, rank: int) -> str | None:
    """Why a tensor of this rank has no such axis."""
    if rank and not -rank <= axis < rank:
        return f"scale_axis: found {axis}, of {rank} axes: {-rank} to {rank - 1} are allowed"
    return None


def has_a_say(spec: QuantizerSpec) -> bool:
    """Whether some of the arguments are for tensors of some shapes alone."""
    arrays = any(isinstance(spec.arguments.get(name), tuple) for name in ("alpha", "post_training_scale"))
    return arrays or spec.arguments.get("scale_axis") is not None


def _array_misfit(name: str, value: Value, shape: Axes) -> str | None:
    """A list must broadcast to the tensor without making it larger."""
    found = _shape(value)
    if len(found) > len(shape):
        return f"{name} has {len(found)} axes, more than the {len(shape)} of the tensor"
    for index in range(1, len(found) + 1):
        length, expected = found[-index], shape[-index]
        if length not in (1, expected):
            axis = len(shape) - index
            if expected is None:
                return f"{name} has {length} values along axis {axis}, which has no fixed length; allowed: 1"
            allowed = "1" if expected == 1 else f"1 or {expected}"
            return f"{name} has {length} values along axis {axis}, which has {expected} entries; allowed: {allowed}"
    return None


def _shape(value: Value) -> tuple[int, ...]:
    return (len(value), *_shape(value[0])) if isinstance(value, tuple) else ()


def _listed(value: Value) -> tuple[int, ...]:
    """Axes, or sizes: one, several, or none."""
    if isinstance(value, tuple):
        return tuple(one for one in value if isinstance(one, int))
    return (value,) if isinstance(value, int) else ()
