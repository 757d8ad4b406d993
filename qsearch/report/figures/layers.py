"""Energy per layer: the reference's and the best model's, in their parts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from qsearch.report.figures.frame import legend
from qsearch.report.figures.marks import Box, Figure, Label, Layer, Mark, Path, Rect, clipped
from qsearch.report.units import energy
from qsearch.runs.figures import Energies, LayerEnergy

WIDTH = 860.0
ROWS = 60
"""Layers that are drawn one by one, those of the most energy."""
PARTS = ("inputs", "parameters", "op_cost", "outputs")
_WORDS = {"inputs": "reading inputs", "parameters": "parameters", "op_cost": "operations", "outputs": "writing outputs"}
_ROW = 22.0
_NAMES = 22


@dataclass(frozen=True)
class LayerRow:
    """A layer of either model, pJ; None where a model has no such layer."""

    name: str
    class_name: str
    reference: LayerEnergy | None
    best: LayerEnergy | None

    @property
    def total(self) -> float:
        """Of both, for sorting."""
        return sum(layer.total for layer in (self.reference, self.best) if layer is not None)


def layer_rows(energies: Energies) -> list[LayerRow]:
    """The layers of both models in the order of the network."""
    best = {} if energies.best is None else energies.best.layers
    names = list(energies.reference.layers)
    for place, name in enumerate(best):
        if name not in names:  # an output's quantizer, which stands behind its layer
            before = list(best)[place - 1] if place else None
            names.insert(names.index(before) + 1 if before in names else 0, name)
    rows = []
    for name in names:
        reference, own = energies.reference.layers.get(name), best.get(name)
        known = reference or own
        assert known is not None
        rows.append(LayerRow(name, known.class_name, reference, own))
    return rows


def counted(layer: LayerEnergy) -> dict[str, float]:
    """The parts of a layer that its total is made of; the others are charged to its neighbours.

    Files of versions that did not tell which ones these are have them found out by their sums.
    """
    parts = {name: float(getattr(layer, name)) for name in PARTS}
    if layer.counted is not None:
        return {name: parts[name] for name in PARTS if name in layer.counted}
    for size in range(len(PARTS), 0, -1):
        for chosen in combinations(PARTS, size):
            if abs(sum(parts[name] for name in chosen) - layer.total) < 0.006 * (1 + size):
                return {name: parts[name] for name in chosen}
    return {"op_cost": layer.total}


def energy_per_layer(energies: Energies) -> Figure:
    """Two columns of stacked bars, each with a scale of its own; switched between network order and sorted."""
    rows = layer_rows(energies)
    left_out = sorted(rows, key=lambda row: -row.total)[ROWS:]
    shown = [row for row in rows if row not in left_out]
    entries = [("box", f"part-{part}", _WORDS[part]) for part in PARTS]
    keys, height = legend(entries, 2, 14, WIDTH - 4)
    top = 34.0 + height
    columns = (Box(176, top, 380, 0), Box(480, top, 684, 0))
    bottom = top + len(shown) * _ROW
    most = [_most(row.reference for row in shown), _most(row.best for row in shown)]
    heads: list[Mark] = [*keys]
    best = energies.best
    titles = (
        f"reference, {energy(energies.reference.total)}",
        "best" if best is None else f"best, {energy(best.total)}",
        "times less",
    )
    for x, title in ((columns[0].left, titles[0]), (columns[1].left, titles[1])):
        heads.append(Label(x=x, y=top - 12, text=title, kind="axis-title"))
        heads.append(Path(d=f"M{x:.1f} {top - 4:.1f}V{bottom:.1f}", kind="axis"))
    heads.append(Label(x=WIDTH - 4, y=top - 12, text=titles[2], kind="axis-title", anchor="end"))
    if left_out:
        rest = energy(sum(row.reference.total for row in left_out if row.reference is not None))
        told = f"and {len(left_out)} layers of less energy, together {rest} of the reference"
        heads.append(Label(x=2, y=bottom + 18, text=told, kind="tick"))
    orders = (shown, sorted(shown, key=lambda row: -row.total))
    layers = [Layer(marks=tuple(heads))]
    layers += [Layer(marks=tuple(_bars(order, columns, most, top)), axis=index) for index, order in enumerate(orders)]
    return Figure(
        name="energy_per_layer",
        title="Energy per layer",
        description="For each layer, the energy of reading inputs, of parameters, operations and outputs, "
        "of the reference and of the best model, each with a scale of its own.",
        width=WIDTH,
        height=bottom + (28 if left_out else 8),
        layers=tuple(layers),
        axes=("in the order of the network", "most energy first"),
        least_width=700,
    )


def _most(layers: Iterable[LayerEnergy | None]) -> float:
    return max((layer.total for layer in layers if layer is not None), default=0.0) or 1.0


def _bars(rows: Sequence[LayerRow], columns: tuple[Box, Box], most: Sequence[float], top: float) -> list[Mark]:
    marks: list[Mark] = []
    for index, row in enumerate(rows):
        y = top + index * _ROW
        middle = y + _ROW / 2 + 4
        marks.append(Label(x=columns[0].left - 10, y=middle, text=clipped(row.name, _NAMES), kind="name", anchor="end"))
        for box, layer, limit in zip(columns, (row.reference, row.best), most, strict=True):
            x = box.left
            for part, value in ({} if layer is None else counted(layer)).items():
                width = value / limit * (box.right - box.left)
                if width >= 0.2:
                    told = f"{row.name}, {_WORDS[part]}: {energy(value)}"
                    marks.append(Rect(x=x, y=y + 3, width=width, height=_ROW - 6, kind=f"part-{part}", tip=told))
                x += width
            shown = "–" if layer is None else energy(layer.total)
            marks.append(Label(x=x + 6, y=middle, text=shown, kind="value"))
        if row.reference is not None and row.best is not None and row.best.total > 0 and row.reference.total > 0:
            times = f"{row.reference.total / row.best.total:.3g}×"
            marks.append(Label(x=WIDTH - 4, y=middle, text=times, kind="value", anchor="end"))
    return marks
