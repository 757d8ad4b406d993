"""What one value of a configuration says about another."""

from __future__ import annotations

from collections.abc import Iterator

from qsearch.config.limits import (
    DEFAULT,
    GROUPS,
    LINEAR,
    RESERVED,
    Group,
    Limits,
    QuantizationConfig,
    is_class,
    within,
)
from qsearch.config.names import LIMIT_CLASSES
from qsearch.config.patterns import problem_of
from qsearch.config.yaml_source import Path
from qsearch.errors import did_you_mean

_ACTIVATIONS = ("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU", "Softmax")
_POSITION_GROUPS: tuple[tuple[Group, ...], ...] = (("kernel",), ("bias",), ("activation",))


def check_limits(limits: Limits, quantizers: QuantizationConfig) -> Iterator[tuple[Path, str]]:
    """Limits that no quantizer meets, keys that are no pattern, lists without a quantizer."""
    for key, entry in limits.items():
        if key not in RESERVED and not is_class(key):
            problem = problem_of(key)
            if problem is not None:
                near = did_you_mean(key, (*LIMIT_CLASSES, *RESERVED))
                yield ("limit", key), f"is neither a layer class nor a regular expression: {problem}{near}"
        for index, limit in enumerate(entry):
            path: Path = ("limit", key, index)
            groups = _groups(key, index, len(entry))
            if limit == ():
                yield path, "found an empty list, expected quantizers or the greatest number of bits"
            elif isinstance(limit, int) and not any(within(quantizers.group(g), limit) for g in groups):
                yield path, unmet(quantizers, groups[0], limit)


def unmet(quantizers: QuantizationConfig, group: Group, limit: int) -> str:
    """The message for a limit below the smallest quantizer of its group."""
    bits = quantizers.group(group)
    smallest = min(bits, key=lambda spec: bits[spec])
    size = f"{bits[smallest]} bit{'s' if bits[smallest] != 1 else ''}"
    return f"no {group} quantizer with <= {limit} bits; the smallest is '{smallest}' ({size})"


def _groups(key: str, index: int, length: int) -> tuple[Group, ...]:
    """The groups that an element of a limit may stand for; a pattern may match layers of several kinds."""
    if key == LINEAR:
        return ("linear",)
    if key in _ACTIVATIONS:
        return ("activation", "linear")
    if is_class(key) or key == DEFAULT:
        return _POSITION_GROUPS[index]
    return GROUPS if index == length - 1 else _POSITION_GROUPS[index]
