"""Trials and the front as CSV, for people's own figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from qsearch.errors import LONGEST_LINE, one_line
from qsearch.report.shown_run import ShownRun
from qsearch.runs.directory import FRONT_TABLE, TRIALS_TABLE
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial

_FIRST = ("trial", "status", "block", "score", "metric", "energy_pj", "cost", "delta")
_LAST = ("epochs", "best_epoch", "seconds", "parent", "accepted", "front", "best", "reason")


def tables_of(run: ShownRun) -> Mapping[str, str]:
    """trials.csv and front.csv by name. Energies in pJ, costs in the goal's unit, memory in bytes."""
    front = [trial for trial in run.completed if trial.number in run.front_numbers]
    front.sort(key=lambda trial: trial.price.cost)
    return {TRIALS_TABLE: _csv(run, run.record.trials), FRONT_TABLE: _csv(run, front)}


def _csv(run: ShownRun, trials: Sequence[AnyTrial]) -> str:
    further = [axis for axis in run.axes if axis.key not in ("energy", "cost")]
    metrics = sorted({name for trial in run.record.completed for name in trial.metrics})
    heads = [*_FIRST, *(axis.key for axis in further), *metrics, *_LAST]
    costs = None if run.record.costs is None else run.record.costs.trials
    lines: list[dict[str, object]] = []
    for trial in trials:
        line: dict[str, object] = {"trial": trial.number, "status": trial.status, "block": trial.block}
        line |= {"seconds": round(trial.seconds, 3), "parent": trial.proposal.parent}
        match trial:
            case Trial():
                line |= _figures(run, trial, metrics)
                if costs is not None and trial.number in costs:
                    line |= {axis.key: axis.costs.get(trial.number) for axis in further}
            case SkippedTrial():
                line |= {"energy_pj": trial.energy, "reason": trial.reason}
            case FailedTrial():
                line["reason"] = trial.reason
        lines.append(line)
    return _text(heads, lines)


def _figures(run: ShownRun, trial: Trial, metrics: Iterable[str]) -> dict[str, object]:
    return {
        "score": trial.score,
        "metric": trial.metric,
        "energy_pj": round(trial.price.energy, 2),
        "cost": round(trial.price.cost, 2),
        "delta": trial.price.delta,
        **{name: trial.metrics.get(name) for name in metrics},
        "epochs": trial.trained.epochs,
        "best_epoch": trial.trained.best_epoch,
        "accepted": "yes" if trial.accepted else "no",
        "front": "yes" if trial.number in run.front_numbers else "no",
        "best": "yes" if run.best is not None and trial.number == run.best.number else "no",
    }


def _text(heads: Sequence[str], lines: Iterable[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([one_line(head) for head in heads])
    for line in lines:
        found = [line.get(head) for head in heads]
        writer.writerow(["" if cell is None else _cell(cell) for cell in found])
    return text.getvalue()


def _cell(cell: object) -> str:
    """A text that spreadsheets would take for a formula is quoted as they do."""
    if not isinstance(cell, str):
        return str(cell)
    shown = one_line(cell, LONGEST_LINE)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown
