"""What proposers of our own need of a run: a guide for trials, and a ladder of plans for those that are not trained."""

from __future__ import annotations

import json
from collections.abc import Callable

from qsearch.config.goals import EnergyGoalConfig
from qsearch.errors import OutputError, told
from qsearch.runner.prepared import Prepared
from qsearch.runner.suggestion import Ladder, check_budgets, measuring_of
from qsearch.runs.directory import SENSITIVITY, RunDirectory
from qsearch.search.candidates import Candidates
from qsearch.search.guide import Guide
from qsearch.search.space import SearchSpace, Values
from qsearch.search.time_limits import TimeLimit
from qsearch.sensitivity.table import SensitivityTable


def guide_of(ready: Prepared, candidates: Candidates, trials: int, seed: int, least: float | None) -> Guide:
    """The guide of a search for so many trials; least: the worst metric that is accepted."""
    target, mode = ready.recipe.target, ready.experiment.loaded.config.run.search_mode
    return Guide(
        candidates=candidates,
        target=target,
        seed=seed,
        # a ranking has been over the uniform plans already
        first=0 if mode.shares else max(3, min(6, trials // 4)),
        least=None if least is None else target.worth(least),
        whole_front=mode.whole_front,
        dearest=ready.experiment.reference.total,
    )


def ladder_of(
    ready: Prepared,
    directory: RunDirectory,
    count: int,
    stage: Callable[[str], None],
    limit: TimeLimit,
) -> list[Values]:
    """Plans for so many budgets, up to that of the run or to what the reference takes, cheapest first.

    Sensitivities are measured once, and kept in the run's folder: a run that goes on reads them.

    Raises:
        ConfigError: the reference is not trained, or there is nothing to quantize.
        OutOfTimeError: the run's time is up.
    """
    experiment = ready.experiment
    check_budgets(experiment, ())
    table = _kept(directory, experiment.space)
    if table is None:
        stage("sensitivities, of each choice alone")
        measuring = measuring_of(ready)
        if measuring.why_not_shared is not None:
            stage(f"each plan is measured in a model of its own: {measuring.why_not_shared}")
        table = measuring.table(limit=limit)
        directory.write_json(SENSITIVITY, table.to_dict())
    budget, most = experiment.loaded.config.run.budget, experiment.costs.reference_energy.total
    limits = [most] if budget.energy is None else [most, budget.energy]
    if budget.cost is not None and isinstance(experiment.loaded.config.goal, EnergyGoalConfig):
        limits.append(budget.cost)
    plans = Ladder(experiment.space, experiment.costs, table.losses(experiment.space))
    return [one.values for one in plans.rungs(count, min(limits))]


def _kept(directory: RunDirectory, space: SearchSpace) -> SensitivityTable | None:
    """What an earlier process of this run measured; None where it did not come to it."""
    path = directory.path / SENSITIVITY
    try:
        table = SensitivityTable.from_dict(json.loads(path.read_text(encoding="utf-8")))
        table.losses(space)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(f"{path}: is not what qsearch writes there: {told(error)}; delete it, and resume") from None
    return table
