"""What a terminal shows below the lines while a run goes on: clocks, bars, the best and the last trials, the front."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from qsearch.cli.front_chart import ASCII, UNICODE, Dots, chart
from qsearch.cli.plain_progress import PlainObserver, values_of
from qsearch.errors import LONGEST_LINE, one_line
from qsearch.observers.observer import RunStart
from qsearch.report.units import cost, duration
from qsearch.runs.figures import Evaluation
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trial

_PLAIN, _STRONG, _DONE, _CLOCK = Style(), Style(bold=True), Style(color="green"), Style(color="cyan")
"""Colours of the terminal's own, which suit its background."""
_FRAMES, _ASCII_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "-\\|/"
_FRAME_SECONDS = 0.25
_LAST = 3
"""Trials that the table has beside the best one."""
_BAR = 30
_MOST_CHART = 12
_NARROW = 60
_MOST_OPEN = 4
"""Lines of trials that are being trained at the same time."""

Line = Sequence[tuple[str, Style]]


@dataclass(frozen=True)
class Clock:
    """Something that goes on, and since when."""

    text: str
    started: float


class Ticking:
    """Draws a clock for each of several things that go on."""

    def __init__(self, clocks: Callable[[], Sequence[Clock]], clock: Callable[[], float] = time.monotonic) -> None:
        self.clocks, self.clock = clocks, clock

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from drawn(clock_lines(self.clocks(), self.clock(), options.ascii_only), options.max_width)


def clock_lines(clocks: Sequence[Clock], now: float, ascii_only: bool) -> list[Line]:
    frames = _ASCII_FRAMES if ascii_only else _FRAMES
    frame = frames[int(now / _FRAME_SECONDS) % len(frames)]
    return [((f"{frame} ", _DONE), (_elapsed(now - one.started), _CLOCK), (f" {one.text}", _PLAIN)) for one in clocks]


def drawn(lines: Sequence[Line], width: int) -> RenderResult:
    """Lines cut to a width."""
    for line in lines:
        left = width
        for text, style in line:
            size = cell_len(text)
            yield Segment(text if size <= left else set_cell_size(text, left), style)
            left = max(0, left - size)
        yield Segment.line()


class LiveObserver(PlainObserver):
    """Below the lines: a clock of the stage and of each open trial, bars, a table and the front, as far as they fit.

    It is drawn by a thread of its own, which only reads what the run's thread has put here.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(console, clock)
        self._of_stage = Clock("start", clock())
        self._of_trials: dict[int, Clock] = {}
        self._epoch: tuple[int, int, str] | None = None
        self._trials: tuple[int, int] | None = None
        self._failed = self._skipped = 0
        self._completed: tuple[Trial, ...] = ()
        self._last: tuple[Trial | FailedTrial, ...] = ()
        self._best: Trial | None = None
        self._start: RunStart | None = None
        self._reference: tuple[float, float] | None = None
        self._picture: tuple[object, list[str]] = (None, [])

    def run_started(self, start: RunStart) -> None:
        super().run_started(start)
        self._start = start
        self._completed = tuple(trial for trial in start.known if isinstance(trial, Trial))
        self._best = max(self._completed, key=lambda trial: trial.rank(start.target), default=None)
        self._last = tuple(trial for trial in start.known if not isinstance(trial, SkippedTrial))[-_LAST:]
        self._failed = sum(isinstance(trial, FailedTrial) for trial in start.known)
        self._skipped = sum(isinstance(trial, SkippedTrial) for trial in start.known)

    def reference_evaluated(self, figures: Evaluation) -> None:
        super().reference_evaluated(figures)
        if self._start is not None:
            name = self._start.target.name.removeprefix("val_")
            metric = figures.selection.get(name)
            self._reference = None if metric is None else (metric, self._start.reference_cost)

    def stage(self, title: str) -> None:
        super().stage(title)
        self._of_trials = {}
        self._epoch = self._trials = None
        self._of_stage = Clock(one_line(title, LONGEST_LINE), self.clock())

    def trial_started(self, number: int, proposal: Proposal, trained: int, total: int) -> None:
        super().trial_started(number, proposal, trained, total)
        if self._trials is None:
            self._trials = (0, total)
        self._of_trials = {**self._of_trials, number: Clock(f"trial {number}", self.clock())}
        self._epoch = None

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        super().epoch_ended(epoch, epochs, metrics, trial)
        info = one_line(", ".join(values_of(metrics)))
        if trial is None or [*self._of_trials] == [trial]:
            self._epoch = (epoch, epochs, info)
            return
        self._epoch = None  # a bar would jump between them
        if trial in self._of_trials:
            text = f"trial {trial}: epoch {epoch} of {epochs}, {info}"
            self._of_trials = {**self._of_trials, trial: Clock(text, self._of_trials[trial].started)}

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        super().trial_ended(trial, best, trained, total)
        self._trials, self._best = (trained, total), best
        if isinstance(trial, SkippedTrial):
            self._skipped += 1
            return
        self._last = (*self._last, trial)[-_LAST:]
        if isinstance(trial, Trial):
            self._completed = (*self._completed, trial)
        else:
            self._failed += 1

    def _closed(self, number: int) -> None:
        super()._closed(number)
        if number in self._of_trials:
            self._of_trials = {other: clock for other, clock in self._of_trials.items() if other != number}
            self._epoch = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from drawn(self.lines(options.max_width, console.height, options.ascii_only), options.max_width)

    def lines(self, width: int, height: int, ascii_only: bool) -> list[Line]:
        """All that is shown, in a terminal of so many columns and lines: what is most needed first."""
        room = max(1, height - 2)
        clocks = [self._of_stage, *self._of_trials.values()]
        shown = clocks[: 1 + _MOST_OPEN]
        if len(clocks) > len(shown):
            shown[-1] = Clock(f"and {len(clocks) - len(shown) + 1} trials more", shown[-1].started)
        lines = [*clock_lines(shown, self.clock(), ascii_only), *self._bars(width, ascii_only)][:room]
        table = self._table(width)
        if len(lines) + len(table) > room:
            return lines
        lines += table
        return [*lines, *(((line, _PLAIN),) for line in self._chart(width, room - len(lines), ascii_only))]

    def _bars(self, width: int, ascii_only: bool) -> list[Line]:
        bars: list[Line] = []
        if self._trials is None and self._last and (left := self.time_left.left()) is not None:  # after the search
            bars.append(((f"about {duration(left)} left", _PLAIN),))
        elif self._trials is not None and width < _NARROW:  # the counts are wanted whole
            bars.append(_bar("trials", *self._trials, "", width, ascii_only))
            bars.append(((self._counts(), _PLAIN),))
        elif self._trials is not None:
            bars.append(_bar("trials", *self._trials, self._counts(), width, ascii_only))
        if self._epoch is not None:
            bars.append(_bar("epochs", *self._epoch, width, ascii_only))
        return bars

    def _counts(self) -> str:
        left, epochs = self.time_left.left(), self.time_left.epochs()
        parts = [] if epochs is None else [epochs]
        parts += [] if left is None else [f"about {duration(left)} left"]
        parts += [f"{count} {what}" for count, what in ((self._failed, "failed"), (self._skipped, "skipped")) if count]
        return ", ".join(parts)

    def _table(self, width: int) -> list[Line]:
        best = self._best
        others = [trial for trial in reversed(self._last) if trial is not best]
        if best is None and not others:
            return []
        name = one_line((self._start.target.name if self._start is not None else "metric").removeprefix("val_"), 12)
        rows = [("", "trial", name, "energy" if self._unit == "pJ" else self._unit, "less", "score")]
        rows += [] if best is None else [("best", *self._cells(best))]
        rows += [("last" if trial is others[0] else "", *self._cells(trial)) for trial in others]
        columns = [max(map(len, column)) for column in zip(*rows, strict=True)]
        while sum(columns) + 2 * len(columns) > width and len(columns) > 2:  # the last ones have no room
            columns.pop()
        lines: list[Line] = []
        for row in rows:
            cells = "  ".join(f"{cell:>{size}}" for cell, size in zip(row[1:], columns[1:], strict=False))
            style = _STRONG if row[0] == "best" else _PLAIN
            lines.append(((f"{row[0]:<{columns[0]}}  {cells}", style),))
        return lines

    def _cells(self, trial: Trial | FailedTrial) -> tuple[str, str, str, str, str]:
        if isinstance(trial, FailedTrial):
            return str(trial.number), "failed", "", "", ""
        own, reference = trial.price.cost, 0.0 if self._start is None else self._start.reference_cost
        less = f"{reference / own:.3g}x" if own and reference else ""
        return str(trial.number), f"{trial.metric:.4g}", cost(own, self._unit), less, f"{trial.score:.4g}"

    @property
    def _unit(self) -> str:
        """Of the goal's costs."""
        return "pJ" if self._start is None else self._start.unit

    def _chart(self, width: int, height: int, ascii_only: bool) -> list[str]:
        """Drawn again only where something in it is another."""
        key = (len(self._completed), self._best, self._reference, width, height, ascii_only)
        if self._picture[0] != key:
            numbers = [trial.number for trial in self._completed]
            best = None if self._best is None or self._best.number not in numbers else numbers.index(self._best.number)
            dots = Dots(
                trials=[(trial.metric, trial.price.cost) for trial in self._completed],
                best=best,
                reference=self._reference,
                maximize=self._start is None or self._start.target.maximize,
                unit=self._unit,
            )
            name = "metric" if self._start is None else one_line(self._start.target.name.removeprefix("val_"), 12)
            marks = ASCII if ascii_only else UNICODE
            # one trial and the reference are no picture yet
            lines = chart(dots, name, min(width, 78), min(height, _MOST_CHART), marks) if len(numbers) > 1 else []
            self._picture = key, lines
        return self._picture[1]


def _bar(what: str, done: int, total: int, info: str, width: int, ascii_only: bool) -> Line:
    full, empty = ("#", ".") if ascii_only else ("━", "─")
    size = max(4, min(_BAR, width - len(what) - len(info) - 14))
    filled = round(size * min(1.0, done / total)) if total else 0
    return (
        (f"{what} ", _PLAIN),
        (full * filled, _DONE),
        (empty * (size - filled), _PLAIN),
        (f" {done}/{total}", _STRONG),
        (f"  {info}", _PLAIN),
    )


def _elapsed(seconds: float) -> str:
    whole = max(0, int(seconds))
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
