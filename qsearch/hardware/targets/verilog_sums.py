"""Products of elements with constant matrices, by alkaid's solver: adders and shifts instead of multipliers."""

from __future__ import annotations

from typing import Any

import numpy

from qsearch.hardware.integer.formats import FLOAT32_BITS, Codes
from qsearch.hardware.targets.verilog_numbers import Element, Elements, add, atom, plain, plus

_LIMB = 20


class Sums:
    """Solves a matrix once for inputs of the same ranges, as a convolution has it at every position.

    Args:
        extra_depth: levels of adders beyond the fewest that a sum can have, in exchange for fewer adders.
    """

    def __init__(self, extra_depth: int) -> None:
        self.extra_depth = extra_depth
        self.solved: dict[Any, Any] = {}

    def product(self, given: list[Element], matrix: Codes, bias: Codes | None) -> Elements:
        """given · matrix + bias: an element for each column."""
        constants = [0] * matrix.shape[1] if bias is None else [int(code) for code in bias]
        found = numpy.empty(matrix.shape[1], object)
        found[:] = 0
        rows: dict[int, tuple[Element, Codes]] = {}
        for element, row in zip(given, matrix, strict=True):
            if isinstance(element, int):
                for column in numpy.flatnonzero(row).tolist():
                    constants[column] += element * int(row[column])
            else:  # an element that is there twice is one with both weights
                known = rows.get(id(element))
                rows[id(element)] = (element, row if known is None else known[1] + row)
        used = [(element, row) for element, row in rows.values() if row.any()]
        if used:
            kernel = numpy.stack([row for _, row in used])
            columns = numpy.flatnonzero(kernel.any(axis=0))
            found[columns] = self._solved([atom(element) for element, _ in used], kernel[:, columns])
        for column, constant in enumerate(constants):
            found[column] = plus(found[column], constant)
        return found

    def _solved(self, given: list[Element], kernel: Codes) -> list[Element]:
        """The product with a matrix that has no column of zeros; in two limbs where it is long."""
        bits = int(numpy.bitwise_or.reduce(numpy.abs(kernel), axis=None))
        if bits // (bits & -bits) >= 1 << FLOAT32_BITS:
            low = kernel % (1 << _LIMB)
            halves = [self.product(given, part, None) for part in (kernel - low, low)]
            return [add(one, other) for one, other in zip(*halves, strict=True)]
        made = _vector(given)
        first, second = self._solution(made, kernel)
        return [plain(value) for value in second(first(made, quantize=False), quantize=False)]

    def _solution(self, given: Elements, kernel: Codes) -> tuple[Any, Any]:
        from alkaid.cmvm import cmvm_solve

        earliest = min(element.latency for element in given)
        latencies = tuple(float(element.latency - earliest) for element in given)
        ranges = tuple(tuple(float(part) for part in element.qint) for element in given)
        key = (kernel.shape, kernel.tobytes(), ranges, latencies)
        if key not in self.solved:
            from alkaid.types import QInterval

            self.solved[key] = cmvm_solve(
                numpy.ascontiguousarray(kernel.astype(numpy.float32)),
                qintervals=[QInterval(*part) for part in ranges],
                latencies=list(latencies),
                hard_dc=self.extra_depth,
            )
        found: tuple[Any, Any] = self.solved[key]
        return found


def _vector(elements: list[Element]) -> Elements:
    made = numpy.empty(len(elements), object)
    made[:] = elements
    return made
