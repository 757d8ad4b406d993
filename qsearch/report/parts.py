"""The tables and lists of a page, as text."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from qsearch.config.load import to_yaml
from qsearch.report.block_rows import RANKED, block_heads, block_rows, blocks_note, layer_choices
from qsearch.report.figures.layers import layer_rows
from qsearch.report.shown_run import ShownRun
from qsearch.report.units import duration, energy
from qsearch.runs.directory import BEST, CONFIG, MODEL
from qsearch.runs.figures import LayerEnergy

SHOWN = 15
"""Trials that are printed; a screen has all of them."""
MOST_ROWS = 2000


@dataclass(frozen=True)
class Cell:
    """Of a table that can be sorted; value: what by, None where that is its text; kind: "t" of words."""

    text: str
    value: float | None = None
    kind: str = ""


@dataclass(frozen=True)
class TrialRow:
    """A trial in the table of all; marks: "best", "rest"."""

    marks: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class TrialTable:
    """All completed trials, the best first; of blocks, those of the last one first. note: how they are ranked."""

    heads: tuple[str, ...]
    rows: tuple[TrialRow, ...]
    note: str
    printed: int = SHOWN


def trial_rows(run: ShownRun) -> TrialTable:
    """Score, metric, costs and time of each completed trial."""
    further = [axis for axis in run.axes if axis.key != "energy"]
    heads = ("trial", "", "score", run.metric, "energy", *(axis.short for axis in further), "epochs", "time")
    rows = []
    for place, trial in enumerate(run.every_ranked[:MOST_ROWS]):
        is_best = run.best is not None and trial.number == run.best.number
        mark = "best" if is_best else "front" if trial.number in run.front_numbers else ""
        if trial.block is not None:
            mark = f"block {trial.block} {mark}".strip()
        cells = [
            Cell(str(trial.number)),
            Cell(mark, kind="t"),
            Cell(f"{trial.score:.4f}"),
            Cell(f"{trial.metric:.4f}", None if math.isfinite(trial.metric) else -1e300),
            Cell(run.energy_text(trial), trial.price.energy),
        ]
        for axis in further:
            known = axis.costs.get(trial.number)
            cells.append(Cell("–", -1.0) if known is None else Cell(axis.text(known), known))
        cells += [Cell(str(trial.trained.epochs)), Cell(duration(trial.seconds), trial.seconds)]
        marks = " ".join(name for name, is_so in (("best", is_best), ("rest", place >= SHOWN)) if is_so)
        rows.append(TrialRow(marks, tuple(cells)))
    return TrialTable(heads, tuple(rows), RANKED if any(trial.block for trial in run.every_ranked) else "")


def layers_of(run: ShownRun) -> list[tuple[str, str, str, str, str]]:
    """(layer, class, what is chosen, the reference's energy, the best one's)."""
    plan, energies = run.best_plan, run.energies
    chosen = {} if plan is None else plan.to_dict()
    if energies is None:
        return [(name, "", _chosen(layer), "–", "–") for name, layer in chosen.items()]
    return [
        (row.name, row.class_name, _chosen(chosen.get(row.name, {})), _total(row.reference), _total(row.best))
        for row in layer_rows(energies)
    ]


def _chosen(layer: Mapping[str, object]) -> str:
    return layer_choices(layer, str) or "–"


def _total(layer: LayerEnergy | None) -> str:
    return "–" if layer is None else energy(layer.total)


@dataclass(frozen=True)
class BlockTable:
    """Before and after each block."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    note: str


def blocks_of(run: ShownRun) -> BlockTable | None:
    """None of a search of the whole network at once, and while it goes on."""
    result = run.result
    if result is None or not result.blocks:
        return None
    return BlockTable(block_heads(result), block_rows(result, str, str), blocks_note(result))


def failed_of(run: ShownRun) -> list[tuple[str, str]]:
    """(trials, reason), of the same reason together."""
    reasons: dict[str, list[int]] = {}
    for trial in run.failed:
        reasons.setdefault(trial.reason, []).append(trial.number)
    return [
        (", ".join(map(str, numbers[:12])) + (" …" if len(numbers) > 12 else ""), why)
        for why, numbers in reasons.items()
    ]


@dataclass(frozen=True)
class Notes:
    """Lines of a run: what came of exports, and all else."""

    exports: tuple[str, ...]
    others: tuple[str, ...]


def notes_of(run: ShownRun) -> Notes:
    """Of a finished run, and of its energy."""
    result, energies = run.record.result, run.record.energies
    lines = () if result is None else result.notes
    of_energy = () if energies is None or energies.best is None else energies.best.notes
    exports = tuple(line for line in lines if line.startswith("export "))
    return Notes(exports, tuple(dict.fromkeys((*(line for line in lines if line not in exports), *of_energy))))


def plan_yaml(run: ShownRun) -> str:
    """The best plan as best/plan.yaml has it."""
    plan = run.best_plan
    return "" if plan is None else yaml.safe_dump(plan.to_dict(), sort_keys=False, allow_unicode=True)


def configuration(run: ShownRun) -> str:
    """config.yaml as it was resolved."""
    return to_yaml(run.record.config)


def commands(run: ShownRun) -> list[tuple[str, str]]:
    """(what for, command line)."""
    folder, given = str(run.record.folder), run.record.environment.get("command")
    found = []
    if isinstance(given, Sequence) and not isinstance(given, str) and given:
        found.append(("as it was begun", shlex.join(map(str, given))))
    found.append(("the same again", shlex.join(("qsearch", "run", f"{folder}/{CONFIG}"))))
    found.append(("go on, or more trials", shlex.join(("qsearch", "resume", folder))))
    found.append(("this page anew", shlex.join(("qsearch", "report", folder))))
    if run.best is not None:
        found.append(("check the best model", shlex.join(("qsearch", "verify", f"{folder}/{BEST}/{MODEL}"))))
        found.append(("write it for hardware", shlex.join(("qsearch", "export", folder, "--to", "c"))))
    return found


def machine(run: ShownRun) -> list[tuple[str, str]]:
    """(what, version) of what the run was begun on."""
    environment = run.record.environment
    found = [
        (name, str(environment[name]))
        for name in ("qsearch", "python", "platform", "processors")
        if name in environment
    ]
    packages = environment.get("packages")
    if isinstance(packages, dict):
        found += [(str(name), str(version or "not installed")) for name, version in packages.items()]
    return found
