"""Trials that have ended before one with a lower number."""

from __future__ import annotations

from pathlib import Path

import numpy
from tiny_search import learned, price, space

from qsearch.plan import QuantizationPlan
from qsearch.runner.waiting import Remembering, Waiting
from qsearch.search.candidates import Candidate
from qsearch.search.engine import Outcome, Task
from qsearch.search.proposals import Proposal
from qsearch.training.fit import TrainingState
from qsearch.training.trainer import TrainedWeights


def task(number: int, first: int = 0) -> Task:
    searched = space(2)
    values = {one.name: one.options[first] for one in searched.dimensions}
    plan = searched.plan(values)
    return Task(number=number, proposal=Proposal(Candidate(values, plan, price(plan))), price=price(plan))


class Last:
    """Ends the task with the highest number first."""

    slots = 2

    def __init__(self) -> None:
        self.tasks: list[Task] = []

    def start(self, task: Task) -> None:
        self.tasks.append(task)

    def finished(self) -> tuple[int, Outcome]:
        task = self.tasks.pop()
        trained, _ = learned(task.number, task.proposal, task.price, None)
        end = TrainingState([numpy.zeros(3)], [numpy.ones(2)], {"rate": 0.5})
        weights = TrainedWeights([numpy.full(3, task.number, "float32")], end)
        return task.number, Outcome(trained=trained, weights=weights, seconds=1.5)

    def drop(self, number: int) -> None:
        self.tasks = [task for task in self.tasks if task.number != number]


def test_what_ended_early_is_there_in_another_process(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path / "waiting")
    engine = Remembering(Last(), waiting)
    engine.start(task(1))
    engine.start(task(2, 1))
    number, outcome = engine.finished()
    assert number == 2

    other = Last()
    again = Remembering(other, waiting)
    again.start(task(2, 1))
    assert not other.tasks
    found, known = again.finished()
    assert (found, known.trained, known.seconds) == (2, outcome.trained, 1.5)
    numpy.testing.assert_array_equal(known.weights.best[0], outcome.weights.best[0])
    assert known.weights.end.schedule == {"rate": 0.5}

    again.start(task(2))  # another plan by the same number
    assert [one.number for one in other.tasks] == [2]
    again.drop(2)
    assert not other.tasks
    (tmp_path / "waiting" / "trial_2.json").write_text("{}")
    assert waiting.of(task(2, 1)) is None
    waiting.forget(2)
    assert not (tmp_path / "waiting").exists()


def test_the_first_in_line_is_not_written(tmp_path: Path) -> None:
    engine = Remembering(Last(), Waiting(tmp_path / "waiting"))
    engine.start(task(1))
    assert engine.finished()[0] == 1
    assert not (tmp_path / "waiting").exists()
    assert task(1).proposal.plan != QuantizationPlan()
