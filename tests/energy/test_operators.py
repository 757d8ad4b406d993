"""Every operator of the golden tables (11,000 evaluations of QTools)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from golden_models import format_of, golden, row_of, shown

from qsearch.energy.operators import (
    Operator,
    accumulate,
    add,
    divide,
    merge_common,
    merge_sum,
    multiply,
    operation_energy,
)
from qsearch.energy.process import PROCESSES
from qsearch.quantizers.formats import source_format
from qsearch.quantizers.number_types import NumberFormat

OPS = golden("golden_ops.json")
FORMATS = [format_of(row) for row in OPS["rows"]]
PAIRS = list(itertools.product(range(len(FORMATS)), repeat=2))
HOROWITZ = PROCESSES["horowitz"]


def _full(item: NumberFormat) -> tuple[Any, ...]:
    return (*row_of(item), item.max_value)


def _expected(row: list[Any]) -> tuple[Any, ...]:
    return (*shown(row), None if row[5] in (None, -1) else pytest.approx(row[5]))


@pytest.mark.parametrize("index", range(len(FORMATS)), ids=OPS["types"])
def test_formats(index: int) -> None:
    assert source_format(OPS["types"][index]) == FORMATS[index]


@pytest.mark.parametrize(("table", "function"), [("multiply", multiply), ("divide", divide)])
def test_products_and_quotients(table: str, function: Callable[[NumberFormat, NumberFormat], Operator]) -> None:
    compared = 0
    for i, j in PAIRS:
        expected = OPS[table][i][j]
        if expected is None:
            continue  # oddity: QTools raises where a denominator is binary, ternary or 0/1
        found = function(FORMATS[i], FORMATS[j])
        case = (table, OPS["types"][i], OPS["types"][j])
        assert found.circuit == expected["op"], case
        assert found.factor == pytest.approx(expected["factor"]), case
        assert found.gate_bits == pytest.approx(expected["gate_bits"], rel=1e-12), case
        assert _full(found.output) == _expected(expected["out"]), case
        assert operation_energy(found, found.output, HOROWITZ) == pytest.approx(expected["pj"], rel=1e-12), case
        compared += 1
    assert compared == {"multiply": 1024, "divide": 800}[table]


def test_sums() -> None:
    for i, j in PAIRS:
        assert row_of(add(FORMATS[i], FORMATS[j])) == shown(OPS["add"][i][j]), (OPS["types"][i], OPS["types"][j])


def test_accumulators() -> None:
    for i, j in PAIRS:
        product = multiply(FORMATS[i], FORMATS[j]).output
        found = [row_of(accumulate(terms, product)) for terms in OPS["fan_in"]]
        assert found == [shown(row) for row in OPS["accumulate"][i][j]], (OPS["types"][i], OPS["types"][j])


@pytest.mark.parametrize(("table", "function"), [("merge_Add", merge_sum), ("merge_Maximum", merge_common)])
def test_merges(table: str, function: Callable[[tuple[NumberFormat, ...]], NumberFormat]) -> None:
    for i, j in PAIRS:
        found = function((FORMATS[i], FORMATS[j]))
        assert row_of(found) == shown(OPS[table][i][j]["out"]), (table, OPS["types"][i], OPS["types"][j])
