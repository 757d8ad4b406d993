"""Energy reports as rows and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from qsearch.errors import one_line
from qsearch.report.units import bits, energy

if TYPE_CHECKING:
    from qsearch.energy.metrics import ModelMetrics
    from qsearch.energy.report import EnergyReport

COLUMNS = ("inputs", "parameters", "op_cost", "outputs", "total")
SORTS = ("model", "name", *COLUMNS)
HEADINGS = ("layer", "class", "inputs", "parameters", "operations", "outputs", "counted", "share")


def sorted_layers(report: EnergyReport, by: str) -> list[str]:
    """Names in the model's order, by name, or by an energy, the greatest first."""
    names = list(report.layers)
    if by == "name":
        return sorted(names)
    return names if by == "model" else sorted(names, key=lambda name: -getattr(report.layers[name], by))


def rows(report: EnergyReport, by: str = "model") -> list[tuple[str, ...]]:
    """Cells under `HEADINGS`, pJ."""
    cells = []
    for name in sorted_layers(report, by):
        layer = report.layers[name]
        share = layer.total / report.total if report.total else 0.0
        values = [f"{getattr(layer, column):,.2f}" for column in COLUMNS]
        cells.append((name, layer.class_name, *values, f"{share:.1%}"))
    return cells


def comparison_rows(first: EnergyReport, second: EnergyReport) -> list[tuple[str, ...]]:
    """(layer, first, second, second / first) of the layers of both, in the order of the first."""
    names = [*first.layers, *(name for name in second.layers if name not in first.layers)]
    cells = []
    for name in names:
        parts = [report.layers[name].total if name in report.layers else None for report in (first, second)]
        cells.append((name, *("-" if part is None else f"{part:,.2f}" for part in parts), _ratio(*parts)))
    return [*cells, ("total", f"{first.total:,.2f}", f"{second.total:,.2f}", _ratio(first.total, second.total))]


def _ratio(first: float | None, second: float | None) -> str:
    return "-" if not first or second is None else f"{second / first:.3g}"


def as_csv(report: EnergyReport, by: str = "model") -> str:
    """One line a layer, energies in pJ, and a last line `total`."""
    lines: list[Sequence[str]] = [("layer", "class", *(f"{column}_pj" for column in COLUMNS))]
    for name in sorted_layers(report, by):
        layer = report.layers[name]
        lines.append((name, layer.class_name, *(f"{getattr(layer, column):.2f}" for column in COLUMNS)))
    lines.append(("total", "", "", "", "", "", f"{report.total:.2f}"))
    return csv_text(lines)


def csv_text(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as CSV; thousands' commas are left out, and names are escaped as in tables."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([[_csv_cell(cell) for cell in line] for line in lines])
    return text.getvalue()


_NUMBER = re.compile(r"-?[0-9,]+(?:\.[0-9]+)?%?")


def _csv_cell(cell: str) -> str:
    return cell.replace(",", "") if _NUMBER.fullmatch(cell) else one_line(cell)


def _priced(report: EnergyReport) -> str:
    share = report.priced_share
    return "" if share >= 1 else f" ({share:.0%} of all; layers without a rule do the rest)"


def figures(report: EnergyReport, metrics: ModelMetrics, ebops: int | None) -> Mapping[str, str]:
    """The totals in sensible units."""
    footprint = metrics.footprint
    shown = {
        "energy": f"{energy(report.total)} ({report.total:,.2f} pJ) per inference",
        "MACs": f"{metrics.macs:,}{_priced(report)}",
        "BOPs": f"{metrics.bops:,}",
        "parameters": f"{bits(metrics.parameter_bits)} ({metrics.weight_bytes:,} bytes)",
        "activations": f"{bits(metrics.activation_bits)}, at most {metrics.peak_activation_bytes:,} bytes at once",
        "in whole bytes": f"{footprint.weights:,} bytes of parameters, {footprint.activations:,} of activations",
        "intensity": f"{metrics.intensity:.3g} operations per byte",
    }
    if ebops is not None:
        shown["EBOPs"] = f"{ebops:,}"
    return shown
