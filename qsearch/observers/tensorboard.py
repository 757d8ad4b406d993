"""A run for TensorBoard: RUN/tensorboard, a folder for each trial, with its choices for the HParams plugin."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.summary import session_end_pb, session_start_pb
from tensorboard.plugins.hparams.summary_v2 import Discrete, HParam, Metric, hparams_config_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from qsearch.observers.each_once import EachOnce, plain, plain_values
from qsearch.observers.observer import RunStart
from qsearch.runs.figures import Evaluation
from qsearch.search.space import Dimension
from qsearch.search.trials import AnyTrial, SkippedTrial, Trial

FOLDER = "tensorboard"
_WHOLE = ".whole"
"""A file in the folder of a trial that is written to its end."""
_FLUSH_SECONDS = 10


class TensorBoardObserver(EachOnce):
    """Writes the metrics of every epoch as they come, and of each trial its choices, metric, energy and score.

    Skipped trials are left out: they have nothing that could be drawn.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = Path()
        self._target = ""
        self._reference_energy = 0.0
        self._training = "reference"
        """What is trained that is no trial."""
        self._open: dict[str, _Events] = {}

    def begin(self, start: RunStart) -> set[int]:
        self._folder = start.folder / FOLDER
        self._target, self._reference_energy = start.target.name, start.reference_energy
        whole = {int(path.parent.name.removeprefix("trial_")) for path in self._folder.glob(f"trial_*/{_WHOLE}")}
        # one that ended, and was not written to its end, is written again from the journal
        for trial in start.known:
            if trial.number not in whole:
                shutil.rmtree(self._folder / f"trial_{trial.number}", ignore_errors=True)
        if not any(self._folder.glob("events.*")):
            hparams = [HParam(one.name, Discrete(_options(one))) for one in start.dimensions]
            metrics = [Metric(name) for name in (self._target, "energy_pj", "times_less_energy", "score")]
            events = _Events(self._folder)
            events.add(hparams_config_pb(hparams, metrics), 0)
            events.close()
        return whole

    def reference_evaluated(self, figures: Evaluation) -> None:
        events = self._events("reference")
        for name, value in figures.selection.items():
            events.scalar(f"val_{name.removeprefix('val_')}", value, 0)
        events.scalar("energy_pj", self._reference_energy, 0)
        self._close("reference")
        self._training = "final"

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        if trial in self.kept:
            return
        events = self._events(self._training if trial is None else f"trial_{trial}")
        if epoch > events.last:  # else it is of a further execution of the trial
            events.epoch(epoch, metrics)

    def keep(self, trial: AnyTrial) -> None:
        if isinstance(trial, SkippedTrial):
            return
        name = f"trial_{trial.number}"
        events = self._events(name)
        events.add(session_start_pb(_hparams(trial), group_name=name, start_time_secs=time.time() - trial.seconds), 0)
        status = api_pb2.STATUS_FAILURE
        if isinstance(trial, Trial):
            status = api_pb2.STATUS_SUCCESS
            if not events.last:  # trained by an earlier process
                for epoch, value in enumerate(trial.trained.curve, 1 + trial.proposal.first_epoch):
                    events.epoch(epoch, {trial.target: value})
            energy = trial.price.energy
            for tag, value in (
                (trial.target, trial.metric),
                ("energy_pj", energy),
                ("times_less_energy", self._reference_energy / energy if energy else math.nan),
                ("score", trial.score),
            ):
                events.scalar(tag, value, 0)
        events.add(session_end_pb(status), 0)
        self._close(name)
        (self._folder / name / _WHOLE).touch()

    def run_ended(self, record: object) -> None:
        for name in [*self._open]:
            self._close(name)

    def _events(self, name: str) -> _Events:
        if name not in self._open:
            if not self._folder.parent.is_dir():  # taken away: no part of it is made again
                raise FileNotFoundError(f"{self._folder.parent} is gone")
            self._open[name] = _Events(self._folder / name)
        return self._open[name]

    def _close(self, name: str) -> None:
        if name in self._open:
            self._open.pop(name).close()


class _Events:
    """An events file in a folder.

    Attributes:
        last: the last epoch that is in it.
    """

    def __init__(self, folder: Path) -> None:
        self._goes_on = any(folder.glob("events.*"))
        self._writer = EventFileWriter(str(folder), flush_secs=_FLUSH_SECONDS)
        self.last = 0

    def epoch(self, number: int, metrics: Mapping[str, float]) -> None:
        """What an epoch came to, in place of what an earlier process wrote of it and those after it."""
        if self._goes_on:
            self._goes_on = False
            self._writer.add_event(_event(number, session_log=SessionLog(status=SessionLog.START)))
        self.last = number
        for name, value in metrics.items():
            self.scalar(f"epoch/{name}", value, number)

    def scalar(self, tag: str, value: float, step: int) -> None:
        if math.isfinite(value):
            self.add(Summary(value=[Summary.Value(tag=tag, simple_value=value)]), step)

    def add(self, summary: Any, step: int) -> None:
        """A summary, of TensorFlow's class or of TensorBoard's: the HParams plugin makes one or the other."""
        same = Summary.FromString(summary.SerializeToString())
        self._writer.add_event(_event(step, summary=same))

    def close(self) -> None:
        self._writer.close()


def _event(step: int, **content: Any) -> Event:
    return Event(wall_time=time.time(), step=step, **content)


def _options(dimension: Dimension) -> list[str] | list[float]:
    """All of one kind, as a domain of HParams has to be."""
    options = [plain(option) for option in dimension.options]
    texts = [option for option in options if isinstance(option, str)]
    return texts or [float(option) for option in options]


def _hparams(trial: AnyTrial) -> dict[str, str | float]:
    values = plain_values(trial.values).items()
    return {name: value if isinstance(value, str) else float(value) for name, value in values}
