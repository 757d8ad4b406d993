"""The report while a run goes on: seldom, never in the way; and what a run leaves for it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

import numpy
import pytest

from qsearch.errors import OutputError
from qsearch.goal.target import Target
from qsearch.hardware.weights import exported
from qsearch.layers.quantized import WeightPart
from qsearch.quantizers import ternary
from qsearch.report.shown_run import ShownRun
from qsearch.runner import live_report
from qsearch.runner.histograms import histogram
from qsearch.runner.live_report import SELDOM, LiveReport
from qsearch.runner.run_result import RunResult
from qsearch.runs.directory import RunDirectory
from qsearch.runs.record import RunRecord
from qsearch.runs.state import State
from qsearch.search.trials import SilentObserver


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Told(SilentObserver):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(live_report, "time", made)
    return made


def live(folder: Path, observer: Told) -> LiveReport:
    """Without an experiment, which writing alone asks for."""
    nothing = cast(Any, None)
    return LiveReport(
        directory=RunDirectory(folder),
        experiment=nothing,
        target=Target("val_acc"),
        reference=nothing,
        dataset="digits",
        observer=observer,
    )


@pytest.mark.parametrize(("takes", "pause"), [(0.001, SELDOM), (0.5, 50.0)])
def test_reports_take_one_percent_of_the_time_at_most(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch, takes: float, pause: float
) -> None:
    written: list[float] = []

    def write(self: LiveReport) -> None:
        written.append(clock.now)
        clock.now += takes

    monkeypatch.setattr(LiveReport, "_write_so_far", write)
    report = live(tmp_path, Told())
    for _ in range(2000):
        report.recorded(cast(Any, None))
        clock.now += 0.1
    assert written[0] == 1000.0  # after the first trial
    gaps = numpy.diff(written)
    assert gaps.min() >= pause
    assert gaps.max() < pause + takes + 0.2
    assert len(written) * takes <= 0.0101 * (clock.now - 1000.0) + takes


def test_a_report_that_cannot_be_made_ends_no_run(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: LiveReport) -> None:
        raise ValueError("no such thing")

    def full(self: LiveReport) -> None:
        raise OutputError("report.html cannot be written: No space left on device")

    observer = Told()
    report = live(tmp_path, observer)
    monkeypatch.setattr(LiveReport, "_write_so_far", broken)
    for _ in range(3):
        report.recorded(cast(Any, None))
        clock.now += 60
    assert len(observer.lines) == 1
    assert observer.lines[0].startswith("the report cannot be made: ValueError: no such thing")
    monkeypatch.setattr(LiveReport, "_write_so_far", full)
    report.recorded(cast(Any, None))
    assert len(observer.lines) == 1  # the journal tells of a full disk
    monkeypatch.setattr(LiveReport, "_write_end", full)
    report.write_end()
    assert observer.lines[1].endswith("No space left on device; all other files of the run are whole")


def test_a_run_leaves_what_its_trials_cost(tiny_result: RunResult) -> None:
    record = RunRecord.read(tiny_result.run_directory)
    assert record.costs is not None
    assert record.weights is not None
    assert record.result is not None
    assert record.result.best is not None
    assert record.result.best.footprint is not None
    assert record.costs.trials.keys() == {trial.number for trial in record.completed}
    best = record.costs.trials[record.result.best.trial]
    assert best.weight_bytes == record.result.best.footprint.weights_packed
    assert record.costs.reference == record.result.reference
    assert record.costs.energies == record.energies
    assert record.weights.ebops is not None
    assert best.ebops / 8 < record.weights.ebops <= best.ebops  # counted from formats, and from trained weights
    for one in record.weights.weights:
        assert sum(one.counts) == one.count
        if one.quantizer is not None and not one.binned:
            assert len(one.levels) <= 2**one.bits
            assert sum(one.trained) in (0, one.count)


def test_the_page_of_a_run_shows_its_trials(tiny_result: RunResult) -> None:
    run = ShownRun.read(str(tiny_result.run_directory))
    assert run.state is State.FINISHED
    text = (tiny_result.run_directory / "report.html").read_text(encoding="utf-8")
    (chart,) = re.findall(r'<svg class="chart[^>]*id="trade_off".*?</svg>', text, re.DOTALL)
    assert {*re.findall(r'data-t="(\d+)"', chart)} == {"0", *(str(trial.number) for trial in run.completed)}
    assert [axis.key for axis in run.axes] == ["energy", "bits", "bops", "ebops", "weight_bytes"]
    assert "Weights of the best model" in text


def test_weights_are_counted_level_by_level() -> None:
    values = numpy.array([[-0.9, -0.05, 0.02], [0.9, 0.8, 0.0]], "float32")
    part = WeightPart(value=values, quantizer=ternary(alpha=1.0), variable=values)
    found = histogram("d", "kernel", exported(part))
    assert (found.levels, found.counts) == ((-1.0, 0.0, 1.0), (1, 3, 2))
    assert (found.count, found.zeros, found.binned) == (6, 3, False)
    assert found.edges == (-1.0, 1.0)
    assert sum(found.trained) == 6
