"""Searches whose trials cost nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from specs import specs

from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import SEARCH_MODES
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan, Role
from qsearch.quantizers.formats import number_format
from qsearch.search.candidates import Candidates
from qsearch.search.draws import Draws
from qsearch.search.engine import Engine, InProcess, Outcome, Stop, Task, Weights, attempt
from qsearch.search.epochs import EpochCounter
from qsearch.search.guide import Guide
from qsearch.search.loop import Search, TrialLoop
from qsearch.search.modes import SearchSetting, proposer
from qsearch.search.one_shot import SharedRanking
from qsearch.search.proposals import Proposal
from qsearch.search.ranking import evolve, promising
from qsearch.search.seeds import spread
from qsearch.search.space import FILTER_FACTORS, Choice, Dimension, SearchedLayer, SearchSpace
from qsearch.search.trials import AnyTrial, SilentObserver, Trained, Trial

Train = Callable[[int, Proposal, Price, Stop | None], tuple[Trained, Any]]

KERNELS = specs("binary", "ternary", "quantized_bits(4)", "quantized_bits(8)")


def space(layers: int = 4, filters: int = 8) -> SearchSpace:
    dimensions = [d for i in range(layers) for d in (Dimension(f"k{i}", KERNELS), Dimension(f"f{i}", FILTER_FACTORS))]
    searched = [
        SearchedLayer(
            name=f"c{i}",
            key="Conv2D",
            dimensions={Role.KERNEL: f"k{i}"},
            fixed={},
            filters=filters,
            filters_dimension=f"f{i}",
        )
        for i in range(layers)
    ]
    return SearchSpace(dimensions=tuple(dimensions), layers=tuple(searched))


def price(plan: QuantizationPlan) -> Price:
    """Bits of the kernels, were they all of one channel."""
    cost = 0.0
    for layer in plan.layers.values():
        cost += (layer.filters or 1) * number_format(layer.quantizers[Role.KERNEL]).bits / 2
    return Price(cost=cost, energy=cost, delta=0.08 * math.log2(64 / cost), final_cost=cost)


def accuracy(plan: QuantizationPlan) -> float:
    """Falls with every coarse kernel and every narrow layer, smoothly."""
    loss = 0.0
    for place, layer in enumerate(plan.layers.values()):
        bits = number_format(layer.quantizers[Role.KERNEL]).bits
        loss += (1 + place % 3) * (0.04 * 2.0**-bits + 0.05 / (layer.filters or 1))
    return math.exp(-loss)


def learned(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
    value = accuracy(proposal.plan)
    epochs = proposal.epochs or 3
    worth = value * (1 - 0.3 * 0.5**epochs)
    curve = (worth,) * (epochs - proposal.first_epoch)
    return Trained(metrics={"val_acc": worth}, epochs=epochs, best_epoch=epochs, curve=curve), "model"


def cycling(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
    metric = 0.5 + 0.1 * (number % 3)
    return Trained(metrics={"val_acc": metric}, epochs=3, best_epoch=2), f"model {number}"


class Jumbled:
    """Ends the tasks that it has in an order by chance."""

    def __init__(self, train: Callable[[Task], tuple[Trained, Weights]], slots: int, seed: int) -> None:
        self.train, self.slots = train, slots
        self.random = numpy.random.default_rng(seed)
        self.tasks: list[Task] = []
        self.most = self.dropped = 0

    def start(self, task: Task) -> None:
        self.tasks.append(task)
        self.most = max(self.most, len(self.tasks))
        assert len(self.tasks) <= self.slots

    def finished(self) -> tuple[int, Outcome]:
        task = self.tasks.pop(int(self.random.integers(len(self.tasks))))
        return task.number, attempt(self.train, task)

    def drop(self, number: int) -> None:
        self.dropped += 1
        self.tasks = [task for task in self.tasks if task.number != number]


def engines(slots: int, seed: int, made: list[Jumbled]) -> Callable[[Callable[[Task], tuple[Trained, Any]]], Jumbled]:
    def make(train: Callable[[Task], tuple[Trained, Any]]) -> Jumbled:
        made.append(Jumbled(train, slots, seed))
        return made[-1]

    return make


def listed(searched: SearchSpace) -> list[dict[str, Choice]]:
    """Values for a mode whose plans are known beforehand: all of a small space, else some by chance."""
    names = [dimension.name for dimension in searched.dimensions]
    options = [dimension.options for dimension in searched.dimensions]
    rng = numpy.random.default_rng(3)
    if searched.size <= 2000:
        chosen = list(itertools.product(*options))
    else:
        chosen = [tuple(one[int(rng.integers(len(one)))] for one in options) for _ in range(300)]
    return [dict(zip(names, one, strict=True)) for one in chosen]


def ranking(candidates: Candidates, target: Target, taken: int) -> SharedRanking:
    """As shared weights would have it that know everything."""
    plans = evolve(Draws(candidates, 5), lambda one: accuracy(one.plan), target, 40)
    return SharedRanking(plans=promising(plans, target), taken=taken, worth=target.worth)


def search(
    folder: Path,
    searched: SearchSpace,
    max_trials: int,
    seed: int = 7,
    mode: str = "random",
    train: Train = cycling,
    price: Callable[[QuantizationPlan], Price] = price,
    constraints: Constraints = Constraints(),  # noqa: B008
    target: Target = Target("val_acc"),  # noqa: B008
    run: dict[str, Any] | None = None,
    engine: Callable[[Callable[[Task], tuple[Trained, Any]]], Engine] = InProcess,
    **options: Any,
) -> tuple[TrialLoop, list[AnyTrial], list[Any]]:
    """(the result, the trials as they were recorded, the models that were the best when they were kept)."""
    recorded: list[AnyTrial] = []
    kept: list[Any] = []

    def within_budget(plan: QuantizationPlan) -> Price:
        priced = price(plan)
        return replace(priced, objection=constraints.objection(priced), excess=constraints.excess(priced))

    candidates = Candidates(searched, within_budget)

    def guide() -> Guide:
        return Guide(
            candidates=candidates,
            target=target,
            seed=seed,
            first=4,
            least=None if constraints.metric is None else target.worth(constraints.metric),
            whole_front=SEARCH_MODES[mode].whole_front,
            dearest=64.0,
        )

    def keep(trial: Trial, model: Any, better: bool) -> None:
        if better:
            kept.append(model)

    config = RunConfig(mode=mode, max_trials=max_trials, **(run or {}))
    setting = SearchSetting(
        candidates=candidates,
        run=config,
        trials=max_trials,
        seed=spread(seed),
        folder=folder,
        guide=guide,
        ladder=lambda: listed(searched),
        ranking=ranking(candidates, target, max_trials // 2) if config.search_mode.shares else None,
    )
    result = TrialLoop(
        Search(
            space=searched,
            proposer=proposer(setting),
            engine=engine(lambda task: train(task.number, task.proposal, task.price, task.stop)),
            target=target,
            extent=config.extent,
            epochs=EpochCounter.of(config),
            max_failures=config.max_failures,
            record=recorded.append,
            keep=keep,
            observer=SilentObserver(),
            constraints=constraints,
            whole_front=SEARCH_MODES[mode].whole_front,
            **options,
        )
    ).run()
    return result, recorded, kept
