"""Searches whose trials cost nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qsearch.search.loop as loop
from qsearch.config.schema import RunConfig
from qsearch.errors import ModelError
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan, Role
from qsearch.quantizers.formats import number_format
from qsearch.search.guide import Appraisal, Guide
from qsearch.search.loop import Search, SearchResult, Stop
from qsearch.search.modes import SearchSetting, proposer
from qsearch.search.seeds import spread
from qsearch.search.space import FILTER_FACTORS, Dimension, SearchedLayer, SearchSpace, Values
from qsearch.search.trials import AnyTrial, Candidate, SilentObserver, Trained, Trial

KERNELS = ("binary", "ternary", "quantized_bits(4)", "quantized_bits(8)")


def space(layers: int = 4, filters: int = 8) -> SearchSpace:
    dimensions = [d for i in range(layers) for d in (Dimension(f"k{i}", KERNELS), Dimension(f"f{i}", FILTER_FACTORS))]
    searched = [SearchedLayer(f"c{i}", "Conv2D", {Role.KERNEL: f"k{i}"}, {}, filters, f"f{i}") for i in range(layers)]
    return SearchSpace(tuple(dimensions), tuple(searched))


def price(plan: QuantizationPlan) -> Price:
    """Bits of the kernels, were they all of one channel."""
    cost = 0.0
    for layer in plan.layers.values():
        cost += (layer.filters or 1) * number_format(layer.quantizers[Role.KERNEL]).bits / 2
    return Price(cost, cost, 0.08 * math.log2(64 / cost))


def accuracy(plan: QuantizationPlan) -> float:
    """Falls with every coarse kernel and every narrow layer, smoothly."""
    loss = 0.0
    for place, layer in enumerate(plan.layers.values()):
        bits = number_format(layer.quantizers[Role.KERNEL]).bits
        loss += (1 + place % 3) * (0.04 * 2.0**-bits + 0.05 / (layer.filters or 1))
    return math.exp(-loss)


def learned(candidate: Candidate, stop: Stop | None) -> tuple[Trained, str]:
    value = accuracy(candidate.plan)
    epochs = candidate.epochs or 3
    worth = value * (1 - 0.3 * 0.5**epochs)
    return Trained({"val_acc": worth}, epochs, epochs, (worth,) * (epochs - candidate.first_epoch)), "model"


def cycling(candidate: Candidate, stop: Stop | None) -> tuple[Trained, str]:
    return Trained({"val_acc": 0.5 + 0.1 * (candidate.id % 3)}, 3, 2), f"model {candidate.id}"


def search(
    folder: Path,
    searched: SearchSpace,
    max_trials: int,
    seed: int = 7,
    mode: str = "random",
    train: Callable[[Candidate, Stop | None], tuple[Trained, Any]] = cycling,
    price: Callable[[QuantizationPlan], Price] = price,
    constraints: Constraints = Constraints(),  # noqa: B008
    target: Target = Target("val_acc"),  # noqa: B008
    run: dict[str, Any] | None = None,
    **options: Any,
) -> tuple[SearchResult, list[AnyTrial], list[Any]]:
    """(the result, the trials as they were recorded, the models that were the best when they were kept)."""
    recorded: list[AnyTrial] = []
    kept: list[Any] = []

    def appraise(values: Values) -> Appraisal:
        plan = searched.plan(values)
        try:
            found = price(plan)
        except ModelError:
            return Appraisal(plan, math.inf, 0.0, allowed=False)
        return Appraisal(plan, found.cost, found.delta, constraints.objection(found) is None)

    def guide() -> Guide:
        least = None if constraints.metric is None else target.worth(constraints.metric)
        return Guide(searched, appraise, target, seed, 4, least, whole_front=mode == "pareto", dearest=64.0)

    def keep(trial: Trial, model: Any, better: bool) -> None:
        if better:
            kept.append(model)

    config = RunConfig(mode=mode, max_trials=max_trials, **(run or {}))
    result = loop.run(
        Search(
            space=searched,
            proposer=proposer(SearchSetting(searched, config, spread(seed), folder, guide)),
            price=price,
            train=train,
            target=target,
            max_trials=max_trials,
            record=recorded.append,
            keep=keep,
            observer=SilentObserver(),
            constraints=constraints,
            whole_front=mode == "pareto",
            **options,
        )
    )
    return result, recorded, kept
