"""What proposers of our own need of a run: a guide for trials, and a ladder of plans for those that are not trained."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from qsearch.errors import ConfigError, ModelError, OutputError, told
from qsearch.goal.price import budget_of
from qsearch.runner.experiment import Experiment
from qsearch.runner.prepared import Prepared
from qsearch.runner.suggestion import Ladder, Proposed, along, check_budgets, measuring_of
from qsearch.runs.directory import SENSITIVITY, RunDirectory
from qsearch.search.candidates import Candidates
from qsearch.search.guide import Guide
from qsearch.search.space import SearchSpace, Values
from qsearch.search.time_limits import TimeLimit
from qsearch.search.uniform import evenly
from qsearch.sensitivity.table import SensitivityTable

_RUNGS_EACH = 4
"""Plans of the ladder for each that is taken: some are of one plan, or outside the budget."""
_MORE = 8
"""Times as many are looked at where some are outside it."""


def guide_of(
    ready: Prepared,
    candidates: Candidates,
    trials: int,
    seed: int,
    least: float | None,
    ladder: Callable[[int], Sequence[Values]],
) -> Guide:
    """The guide of a search.

    Args:
        trials: so many.
        least: the worst metric that is accepted.
        ladder: gives plans for so many budgets, from sensitivities; asked only where the run starts with these.
    """
    target, run = ready.recipe.target, ready.experiment.loaded.config.run
    mode = run.search_mode
    # a ranking has been over the uniform plans already
    first = 0 if mode.shares else max(3, min(6, trials // 4))
    by_sensitivity = mode.starts and run.start != "uniform" and not run.blocks
    return Guide(
        candidates=candidates,
        target=target,
        seed=seed,
        first=first,
        start=(lambda: ladder(_RUNGS_EACH * first)) if by_sensitivity else tuple,
        least=None if least is None else target.worth(least),
        whole_front=mode.whole_front,
        dearest=ready.experiment.reference.total,
    )


def first_plans(
    ready: Prepared,
    directory: RunDirectory,
    count: int,
    stage: Callable[[str], None],
    limit: TimeLimit,
) -> list[Values]:
    """Those of `ladder_of`; none, which is told, where sensitivities say nothing of this model.

    Raises:
        OutOfTimeError: the run's time is up.
    """
    try:
        own_models = ready.experiment.loaded.config.run.start != "auto"
        return ladder_of(ready, directory, count, stage, limit, own_models)
    except (ConfigError, ModelError) as error:
        stage(f"run.start: uniform plans come first, and not those of sensitivities: {error}")
        return []


def ladder_of(
    ready: Prepared,
    directory: RunDirectory,
    count: int,
    stage: Callable[[str], None],
    limit: TimeLimit,
    own_models: bool = True,
) -> list[Values]:
    """Plans for so many budgets, up to that of the run or to what the reference takes, cheapest first.

    Budgets are of the goal's own cost, where it is a sum over calls, else of the energy. Plans outside of other limits
    of the run's budget are left out, unless all are.

    Sensitivities are measured once, and kept in the run's folder: a run that goes on reads them.

    Args:
        own_models: whether a plan may be measured in a model of its own, which takes long, where one cannot serve all.

    Raises:
        ConfigError: the reference is not trained, there is nothing to quantize, or models of their own would be needed.
        OutOfTimeError: the run's time is up.
    """
    experiment = ready.experiment
    check_budgets(experiment, ())
    table = _kept(directory, experiment.space)
    if table is None:
        stage("sensitivities, of each choice alone")
        measuring = measuring_of(ready)
        if measuring.why_not_shared is not None and not own_models:
            raise ConfigError(f"each plan would be measured in a model of its own: {measuring.why_not_shared}")
        if measuring.why_not_shared is not None:
            stage(f"each plan is measured in a model of its own: {measuring.why_not_shared}")
        table = measuring.table(limit=limit)
        directory.write_json(SENSITIVITY, table.to_dict())
    losses = table.losses(experiment.space)
    cost = along(experiment)
    plans = Ladder(experiment.space, experiment.costs, losses, cost)
    most = min([experiment.costs.reference_of(cost), *_limits_of(experiment, cost)])
    found = plans.rungs(count, most)
    inside = [one for one in found if _is_inside(experiment, one)]
    if len(inside) < len(found):  # another limit of the budget takes some of them
        inside = [one for one in plans.rungs(_MORE * count, most) if _is_inside(experiment, one)]
        inside = [inside[place] for place in evenly([one.spent for one in inside], count)]
    return [one.values for one in inside or found]


def _limits_of(experiment: Experiment, cost: str) -> list[float]:
    """What the budget allows of the cost that a ladder is along."""
    config = experiment.loaded.config
    keys = (cost, "cost") if config.goal.type == cost else (cost,)
    return [most for key, most in config.run.budget.limits.items() if key in keys]


def _is_inside(experiment: Experiment, plan: Proposed) -> bool:
    constraints = budget_of(experiment.loaded.config.run.budget)
    return constraints.objection(experiment.costs.price(plan.plan)) is None


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
