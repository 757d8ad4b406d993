"""A run in a notebook: a bar that is drawn again in its place, without widgets."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from qsearch.errors import LONGEST_LINE, one_line
from qsearch.observers.observer import Observer, RunStart
from qsearch.observers.time_left import TimeLeft
from qsearch.report.units import cost, duration, energy
from qsearch.runs.figures import Evaluation
from qsearch.runs.record import RunRecord
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial

_SECONDS = 0.5
"""Between two drawings, at least; a trial that ends is always drawn."""
_PLAIN_BAR = 30


def notebook_observer() -> NotebookObserver | None:
    """A bar, where this process is the kernel of a notebook; else None. IPython is not imported for that."""
    loaded = sys.modules.get("IPython")
    shell_of = getattr(loaded, "get_ipython", None)
    shell = shell_of() if callable(shell_of) else None
    if shell is None or getattr(shell, "kernel", None) is None:  # a terminal's shell has no kernel
        return None
    return NotebookObserver(import_module("IPython.display").display)


class NotebookObserver(Observer):
    """Shows a bar of the trials, the stage, the best trial and the time left."""

    def __init__(self, display: Callable[..., Any], clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            display: IPython's, or one like it: called with `display_id=True`, it gives a handle with `update`.
        """
        self._clock, self._time_left = clock, TimeLeft(clock)
        self._display = display
        self._handle: Any = None
        self._shown = -_SECONDS
        self._stage = self._epoch = ""
        self._trained = self._total = self._failed = self._skipped = 0
        self._best: Trial | None = None
        self._reference_energy, self._unit = 0.0, "pJ"

    def run_started(self, start: RunStart) -> None:
        self._total, self._reference_energy, self._unit = start.trials, start.reference_energy, start.unit
        self._time_left.run_started(start)
        self._draw()

    def reference_evaluated(self, figures: Evaluation) -> None:
        self._time_left.reference_evaluated()

    def stage(self, title: str) -> None:
        self._time_left.stage()
        self._stage, self._epoch = one_line(title, LONGEST_LINE), ""
        self._draw()

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        self._time_left.trial_started(number)
        self._total, self._epoch = total, f"trial {number}"
        self._draw()

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        self._time_left.epoch_ended(epoch, trial)
        what = "" if trial is None else f"trial {trial}, "
        self._epoch = f"{what}epoch {epoch} of {epochs}"
        self._draw()

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        self._time_left.trial_ended(trial)
        self._trained, self._total, self._best = trained, total, best
        self._failed += isinstance(trial, FailedTrial)
        self._skipped += isinstance(trial, SkippedTrial)
        self._draw(at_once=not isinstance(trial, SkippedTrial))

    def run_ended(self, record: RunRecord | None) -> None:
        self._epoch = ""
        ended = None if record is None or record.result is None else record.result.ended
        self._stage = "ended by an error" if record is None else one_line(f"{ended}; {record.folder}", LONGEST_LINE)
        self._time_left.end()
        self._draw(at_once=True)

    def _draw(self, at_once: bool = False) -> None:
        now = self._clock()
        if not at_once and now - self._shown < _SECONDS:
            return
        self._shown = now
        shown = _Bar(self._trained, self._total, [line for line in (self._stage, self._counts(), self._epoch) if line])
        if self._handle is None:
            self._handle = self._display(shown, display_id=True)
        else:
            self._handle.update(shown)

    def _counts(self) -> str:
        parts = [f"{self._trained} of {self._total} trials"]
        parts += [f"{count} {name}" for count, name in ((self._failed, "failed"), (self._skipped, "skipped")) if count]
        best = self._best
        if best is not None:
            less = f", {self._reference_energy / best.price.energy:.3g} times less" if best.price.energy else ""
            name = one_line(best.target.removeprefix("val_"))
            own = "" if self._unit == "pJ" else f"{cost(best.price.cost, self._unit)}, "
            parts.append(f"best: {name} {best.metric:.4f}, {own}{energy(best.price.energy)}{less}")
        epochs, left = self._time_left.epochs(), self._time_left.left()
        if epochs is not None:
            parts.append(epochs)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        return "; ".join(parts)


class _Bar:
    """What a front end draws: HTML, or plain text where it knows no other."""

    def __init__(self, done: int, total: int, lines: list[str]) -> None:
        self.done, self.total, self.lines = done, total, lines

    def __repr__(self) -> str:
        filled = round(_PLAIN_BAR * min(self.done / self.total, 1.0)) if self.total else 0
        return "\n".join([f"[{'#' * filled}{'.' * (_PLAIN_BAR - filled)}]", *self.lines])

    def _repr_html_(self) -> str:
        lines = "<br>".join(map(html.escape, self.lines))
        bar = f'<progress value="{self.done}" max="{max(self.total, 1)}" style="width: 20em"></progress>'
        return f"<div>{bar}<br>{lines}</div>"
