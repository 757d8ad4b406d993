"""What is left of the metric: drops, ratios and the metric itself, of metrics of any direction and sign."""

from __future__ import annotations

from typing import Any

import pytest

from qsearch.config.schema import RunConfig
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.goal.tolerance import least_metric, tolerance_problem

ACCURACY = Target("val_acc")
R2 = Target("val_r2_score")
MSE = Target("val_mse", maximize=False, limit=0.0)
LIKELIHOOD = Target("val_nll", maximize=False, limit=None)


def run(**options: Any) -> RunConfig:
    drop = options.pop("max_drop", None)
    return RunConfig(max_drop=drop, tolerance=options)  # as a file has it


@pytest.mark.parametrize(
    ("target", "reference", "asked", "expected"),
    [
        (ACCURACY, 0.95, {}, None),
        (ACCURACY, 0.95, {"max_drop": "1%"}, 0.9405),
        (ACCURACY, 0.95, {"drop": 0.01}, 0.94),
        (ACCURACY, 0.95, {"ratio": 0.98}, 0.931),
        (ACCURACY, 0.95, {"metric": 0.9}, 0.9),
        (ACCURACY, 0.95, {"drop": 0.01, "ratio": 0.98, "metric": 0.9, "max_drop": 0.05}, 0.94),
        (R2, -0.2, {"ratio": 0.8}, -0.25),
        (R2, -0.2, {"drop": 0.1}, -0.3),
        (R2, -0.2, {"max_drop": "50%"}, -0.3),
        (R2, 0.0, {"ratio": 0.5}, 0.0),
        (MSE, 0.5, {"max_drop": "10%"}, 0.55),
        (MSE, 0.5, {"drop": 0.2}, 0.7),
        (MSE, 0.5, {"ratio": 3.0}, 1.5),
        (MSE, 0.5, {"metric": 0.6}, 0.6),
        (MSE, 0.5, {"ratio": 3.0, "metric": 0.6}, 0.6),
        (LIKELIHOOD, -2.0, {"ratio": 1.25}, -1.6),
    ],
)
def test_the_strictest_demand(target: Target, reference: float, asked: dict[str, Any], expected: float | None) -> None:
    found = least_metric(run(**asked), target, reference)
    assert found is None if expected is None else found == pytest.approx(expected)
    if found is not None and "metric" not in asked:
        assert target.worth(found) <= target.worth(reference)


@pytest.mark.parametrize(
    ("target", "asked", "told"),
    [
        (ACCURACY, {"ratio": 1.1}, ("ratio", "more of it is better, so that a ratio is at most 1")),
        (MSE, {"ratio": 0.9}, ("ratio", "less of it is better, so that a ratio is at least 1")),
        (ACCURACY, {"metric": 95.0}, ("metric", "found 95, and acc is 1 at best; write 0.95")),
        (MSE, {"metric": -1.0}, ("metric", "found -1, and mse is 0 at best")),
    ],
)
def test_what_cannot_be_meant(target: Target, asked: dict[str, Any], told: tuple[str, str]) -> None:
    found = tolerance_problem(run(**asked), target)
    assert found is not None
    assert found[0] == told[0]
    assert found[1].endswith(told[1])


def test_what_can_be_meant() -> None:
    assert tolerance_problem(run(ratio=1.0, metric=0.9), ACCURACY) is None
    assert tolerance_problem(run(ratio=1.0, metric=0.9), MSE) is None
    assert tolerance_problem(run(metric=-5.0), LIKELIHOOD) is None


def test_several_limits_at_once() -> None:
    price = Price(cost=20.0, energy=10.0, delta=0.0, final_cost=20.0, spent={"ram": 300.0, "bops": 5e6})
    constraints = Constraints(energy=20.0, further={"ram": 100.0, "bops": 2.5e6})
    assert constraints.limits == {"energy": 20.0, "ram": 100.0, "bops": 2.5e6}
    assert constraints.objection(price) == (
        "ram 300 bytes is above the budget of 100 bytes; bops 5,000,000 BOPs is above the budget of 2,500,000 BOPs"
    )
    assert constraints.excess(price) == pytest.approx(1.0986123 + 0.6931472)
    inside = Constraints(energy=10.0, cost=20.0, further={"ram": 300.0})
    assert (inside.objection(price), inside.excess(price)) == (None, 0.0)
    assert not Constraints(metric=0.9).limits_cost
