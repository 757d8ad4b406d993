"""What makes one tensor of several, on codes that are brought to one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy

from qsearch.errors import ExportError, shown
from qsearch.hardware.integer.chain import Chain, Made
from qsearch.hardware.integer.formats import Format, aligned
from qsearch.hardware.integer.operations import Concatenate, Merge, Scale

_SUMS = ("Add", "Subtract", "Maximum", "Minimum")


def merged(layer: str, kind: str, forms: Sequence[Format]) -> Made:
    """The operation on tensors of these formats, and the format of its result.

    Raises:
        ExportError: a kind that is not computed in integers.
    """
    fraction, divisor, factors = aligned(tuple(forms))
    if kind in _SUMS:
        least, greatest = _range_of(kind, _ends(forms, factors))
        return Merge(kind, factors), Format(fraction=fraction, least=least, greatest=greatest, divisor=divisor)
    if kind == "Multiply" and len(forms) == 2:
        one, other = forms
        corners = [a * b for a in (one.least, one.greatest) for b in (other.least, other.greatest)]
        return Merge(kind, (1, 1)), Format(
            fraction=one.fraction + other.fraction,
            least=min(corners),
            greatest=max(corners),
            divisor=one.divisor * other.divisor,
        )
    raise ExportError(f"{layer}: {shown(kind)} of {len(forms)} tensors is not computed in integers yet")


def merge_steps(chain: Chain, layer: str, name: str, kind: str, steps: Sequence[str]) -> str:
    """The last step of a merge; an average is a sum, then a factor, which its format says.

    Raises:
        ExportError: a kind that is not computed in integers.
    """
    forms = [chain.forms[step] for step in steps]
    if kind != "Average":
        return chain.add(layer, name, merged(layer, kind, forms), *steps)
    total = chain.add(layer, f"{name}:sum", merged(layer, "Add", forms), *steps)
    form, odd = chain.forms[total], len(steps)
    while odd % 2 == 0:
        odd //= 2
    more = (len(steps) // odd).bit_length() - 1
    made = replace(form, fraction=form.fraction + more, divisor=form.divisor * odd)
    return chain.add(layer, name, (Scale(numpy.array([1]), None), made), total)


def concatenated(forms: Sequence[Format], axis: int) -> Made:
    """Side by side along an axis, the batch axis counted."""
    fraction, divisor, factors = aligned(tuple(forms))
    ends = _ends(forms, factors)
    least, greatest = min(low for low, _ in ends), max(high for _, high in ends)
    return Concatenate(axis, factors), Format(fraction=fraction, least=least, greatest=greatest, divisor=divisor)


def _ends(forms: Sequence[Format], factors: Sequence[int]) -> list[tuple[int, int]]:
    return [(form.least * factor, form.greatest * factor) for form, factor in zip(forms, factors, strict=True)]


def _range_of(kind: str, ends: list[tuple[int, int]]) -> tuple[int, int]:
    if kind == "Add":
        return sum(low for low, _ in ends), sum(high for _, high in ends)
    if kind == "Subtract":
        return ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
    choose = max if kind == "Maximum" else min
    return choose(low for low, _ in ends), choose(high for _, high in ends)
