"""Trials that have ended before one with a lower number: kept on disk until they are written down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsearch.files import written_whole
from qsearch.search.engine import Engine, Outcome, Task
from qsearch.search.proposals import Proposal
from qsearch.search.trials import Trained
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.trainer import TrainedWeights


@dataclass(frozen=True)
class Waiting:
    """A folder of outcomes, by number and proposal."""

    folder: Path

    def keep(self, task: Task, outcome: Outcome) -> None:
        """Keep the outcome of a trial that was completed."""
        trained, weights = outcome.trained, outcome.weights
        if trained is None or not isinstance(weights, TrainedWeights):
            return
        Checkpoints(self.folder).save(task.number, weights.best, weights.end)
        facts = {
            "proposal": _told(task.proposal),
            "metrics": dict(trained.metrics),
            "epochs": trained.epochs,
            "best_epoch": trained.best_epoch,
            "curve": list(trained.curve),
            "stopped": trained.stopped,
            "seconds": outcome.seconds,
            "goes_on": weights.end is not None,
        }
        with written_whole(self._facts(task.number)) as aside:  # last: where it is, the weights are
            aside.write_text(json.dumps(facts), encoding="utf-8")

    def of(self, task: Task) -> Outcome | None:
        """The outcome of a task that an earlier process has seen end, or None."""
        try:
            facts: Mapping[str, Any] = json.loads(self._facts(task.number).read_text(encoding="utf-8"))
            if facts["proposal"] != _told(task.proposal):
                return None
            checkpoints = Checkpoints(self.folder)
            weights = TrainedWeights(
                checkpoints.best(task.number), checkpoints.end(task.number) if facts["goes_on"] else None
            )
            trained = Trained(
                metrics=facts["metrics"],
                epochs=facts["epochs"],
                best_epoch=facts["best_epoch"],
                curve=tuple(facts["curve"]),
                stopped=facts["stopped"],
            )
        except (OSError, ValueError, KeyError, TypeError):  # not there, or damaged: it is trained again
            return None
        return Outcome(trained=trained, weights=weights, seconds=facts["seconds"])

    def forget(self, trial: int) -> None:
        """Trials up to this one are written down."""
        for path in self.folder.glob("trial_*.*"):
            if int(path.stem.removeprefix("trial_")) <= trial:
                path.unlink(missing_ok=True)
        with suppress(OSError):  # others wait in it
            self.folder.rmdir()

    def _facts(self, number: int) -> Path:
        return self.folder / f"trial_{number}.json"


class Remembering:
    """An engine that keeps what ends on disk, and knows what ended in an earlier process."""

    def __init__(self, engine: Engine, waiting: Waiting) -> None:
        self._engine, self._waiting = engine, waiting
        self._tasks: dict[int, Task] = {}
        self._ended: list[tuple[int, Outcome]] = []

    @property
    def slots(self) -> int:
        return self._engine.slots

    def start(self, task: Task) -> None:
        known = self._waiting.of(task)
        if known is not None:
            self._ended.append((task.number, known))
            return
        self._tasks[task.number] = task
        self._engine.start(task)

    def finished(self) -> tuple[int, Outcome]:
        if self._ended:
            return self._ended.pop()
        number, outcome = self._engine.finished()
        task = self._tasks.pop(number)
        if any(other < number for other in self._tasks):
            self._waiting.keep(task, outcome)
        return number, outcome

    def drop(self, number: int) -> None:
        self._ended = [one for one in self._ended if one[0] != number]
        if self._tasks.pop(number, None) is not None:
            self._engine.drop(number)


def _told(proposal: Proposal) -> dict[str, Any]:
    """What a proposal is known again by."""
    return {
        "plan": json.loads(json.dumps(proposal.plan.to_dict())),
        "values": {name: str(choice) for name, choice in proposal.values.items()},
        "epochs": proposal.epochs,
        "first_epoch": proposal.first_epoch,
        "parent": proposal.parent,
    }
