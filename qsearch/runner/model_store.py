"""Which trained models are kept: the best, the next best, the front and its knee."""

from __future__ import annotations

from dataclasses import dataclass, field

import keras

from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.runs.directory import BEST, RunDirectory
from qsearch.search.front import Point, front, knee
from qsearch.search.trials import Trial
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.trainer import Finished


@dataclass
class ModelStore:
    """Saves trained models as trials end.

    Attributes:
        count: how many of the best are wanted; more than one brings the knee of the front too.
        whole_front: whether the whole front is wanted.
        folder: where the best model goes. In a block's own folder it is in "best" too, once it outranks the incumbent.
        incumbent: the trial whose model is in "best" before.
        best: the best trial whose model is saved.
    """

    directory: RunDirectory
    checkpoints: Checkpoints
    target: Target
    count: int
    whole_front: bool
    folder: str = BEST
    incumbent: Trial | None = None
    best: Trial | None = None
    completed: list[Trial] = field(default_factory=list)

    def keep(self, trial: Trial, finished: Finished, better: bool, needed: frozenset[int], going_on: bool) -> None:
        """Save what may be wanted later of a trial that has just ended.

        Args:
            needed: trials that the search may still start from.
            going_on: whether training may go on where it stopped.
        """
        self.completed.append(trial)
        if better:
            self._save(trial, finished.model)
        wanted = set(self.wanted())
        if trial.number in wanted | needed:
            self.checkpoints.save(trial.number, finished.model.get_weights(), finished.end if going_on else None)
        self.checkpoints.prune(wanted | needed)

    def _save(self, trial: Trial, model: keras.Model) -> None:
        self.directory.save_model(self.folder, model, trial.candidate.plan)
        self.best = trial
        before = self.incumbent
        if self.folder != BEST and (before is None or trial.rank(self.target) > before.rank(self.target)):
            self.directory.copy_model(self.folder, BEST)

    def wanted(self) -> dict[int, tuple[str, ...]]:
        """Trials whose models are to be saved at the end, and as what: "best 2", "front", "knee"."""
        if self.count == 1 and not self.whole_front:
            return {}
        roles: dict[int, list[str]] = {}
        ranked = sorted((trial for trial in self.completed if trial.accepted), key=lambda one: (-one.score, one.number))
        for place, trial in enumerate(ranked[: self.count], 1):
            roles.setdefault(trial.number, []).append(f"best {place}")
        points = self.points()
        for index in front(points) if self.whole_front else ():
            roles.setdefault(self.completed[index].number, []).append("front")
        middle = knee(points)
        if middle is not None:
            roles.setdefault(self.completed[middle].number, []).append("knee")
        return {number: tuple(found) for number, found in sorted(roles.items())}

    def points(self) -> list[Point]:
        """What every completed trial came to."""
        return [Point(self.target.worth(trial.metric), trial.candidate.cost) for trial in self.completed]

    def restored(self, number: int, reference: keras.Model, plan: QuantizationPlan) -> keras.Model:
        """The trained model of a trial that is wanted."""
        model = apply_plan(reference, plan)
        model.set_weights(self.checkpoints.best(number))
        return model
