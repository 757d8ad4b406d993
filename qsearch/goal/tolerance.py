"""The worst metric that a run accepts, from what its configuration says of it."""

from __future__ import annotations

from qsearch.config.schema import RunConfig
from qsearch.goal.target import Target


def least_metric(run: RunConfig, target: Target, reference: float) -> float | None:
    """Of all that is demanded the strictest; None where nothing is.

    With r the reference's metric on the selection set, and more being better (less: the signs the other way):

        max_drop d          r - d · |r|
        tolerance.drop d    r - d
        tolerance.ratio q   r · q for r >= 0, r / q below: for 0 < q <= 1 never more than r
        tolerance.metric m  m

    Args:
        reference: the target metric of the trained reference.
    """
    asked, found = run.tolerance, list[float]()
    if run.max_drop is not None:
        found.append(target.allowed(reference, run.max_drop))
    if asked.drop is not None:
        found.append(reference - target.worth(asked.drop))
    if asked.ratio is not None:
        found.append(reference * asked.ratio if reference >= 0 else reference / asked.ratio)
    if asked.metric is not None:
        found.append(asked.metric)
    return max(found, key=target.worth, default=None)


def tolerance_problem(run: RunConfig, target: Target) -> tuple[str, str] | None:
    """(the key of `run.tolerance`, what is wrong) of what cannot be meant for such a metric; None where all can be."""
    asked, name = run.tolerance, target.name.removeprefix("val_")
    if asked.ratio is not None and target.worth(asked.ratio) > target.worth(1.0):
        side, other = ("more", "at most 1") if target.maximize else ("less", "at least 1")
        return "ratio", (
            f"found {asked.ratio:g}, which asks for a better {name} than the reference's; {side} of it is better, "
            f"so that a ratio is {other}"
        )
    limit = target.limit
    if asked.metric is not None and limit is not None and target.worth(asked.metric) > target.worth(limit):
        near = f"; write {asked.metric / 100:g}" if limit == 1 and asked.metric <= 100 else ""
        return "metric", f"found {asked.metric:g}, and {name} is {limit:g} at best{near}"
    return None
