"""What every search mode keeps to, and what each is for."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_search import KERNELS, accuracy, learned, price, search, space

from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import MODES
from qsearch.goal.price import Constraints, Price
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan, Role
from qsearch.search.cheapest import cheapest
from qsearch.search.engine import Stop
from qsearch.search.front import Point, hypervolume
from qsearch.search.modes import workload
from qsearch.search.proposals import Proposal
from qsearch.search.space import Dimension, SearchedLayer, SearchSpace
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trained, Trial


def completed(trials: list[AnyTrial]) -> list[Trial]:
    return [trial for trial in trials if isinstance(trial, Trial)]


@pytest.mark.parametrize("mode", MODES)
def test_no_plan_is_trained_twice(mode: str, tmp_path: Path) -> None:
    _, recorded, _ = search(tmp_path, space(layers=2, filters=2), 30, mode=mode, train=learned, prune=False)
    trained = [(trial.plan, trial.proposal.epochs) for trial in completed(recorded)]
    assert len(trained) == len(set(trained)) > 5
    assert [trial.number for trial in recorded] == list(range(1, len(recorded) + 1))


@pytest.mark.parametrize("mode", MODES)
def test_a_space_smaller_than_the_trials_ends_by_itself(mode: str, tmp_path: Path) -> None:
    tiny = SearchSpace(
        dimensions=(Dimension("k", KERNELS[:3]),),
        layers=(SearchedLayer(name="c", key="Conv2D", dimensions={Role.KERNEL: "k"}),),
    )
    result, recorded, _ = search(tmp_path, tiny, 20, mode=mode, train=learned, prune=False)
    assert len({trial.plan for trial in completed(recorded)}) == 3
    assert result.best is not None
    assert "3 trials" in result.ended or mode == "hyperband"


@pytest.mark.parametrize("mode", MODES)
def test_a_space_of_one_plan(mode: str, tmp_path: Path) -> None:
    single = SearchSpace(
        dimensions=(Dimension("k", KERNELS[:1]),),
        layers=(SearchedLayer(name="c", key="Conv2D", dimensions={Role.KERNEL: "k"}),),
    )
    result, recorded, _ = search(tmp_path, single, 5, mode=mode, train=learned, prune=False)
    assert {trial.plan for trial in completed(recorded)} == {single.plan({"k": KERNELS[0]})}
    assert result.best is not None


@pytest.mark.parametrize("mode", MODES)
def test_failures_and_metrics_that_are_no_numbers(mode: str, tmp_path: Path) -> None:
    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        if number % 3 == 1:
            return Trained(metrics={"val_acc": float("nan")}, epochs=1, best_epoch=1), "m"
        if number % 3 == 2 and number > 3:
            raise RuntimeError("out of memory")
        return learned(number, proposal, price, stop)

    result, recorded, _ = search(tmp_path, space(), 15, mode=mode, train=train, prune=False)
    assert {trial.reason for trial in recorded if isinstance(trial, FailedTrial)} >= {"score is nan"}
    assert result.best is not None
    assert len(completed(recorded)) > 3


@pytest.mark.parametrize("mode", MODES)
def test_budgets_hold_in_every_mode(mode: str, tmp_path: Path) -> None:
    _, recorded, _ = search(
        tmp_path, space(), 10, mode=mode, train=learned, constraints=Constraints(energy=30), prune=False
    )
    trained = completed(recorded)
    assert trained
    assert all(trial.price.energy <= 30 for trial in trained)


def with_filters(plan: QuantizationPlan) -> Price:
    """Beside the usual price, how many filters there are."""
    filters = float(sum(layer.filters or 1 for layer in plan.layers.values()))
    return replace(price(plan), spent={"macs": filters})


@pytest.mark.parametrize("mode", MODES)
def test_several_limits_hold_in_every_mode(mode: str, tmp_path: Path) -> None:
    constraints = Constraints(energy=30, further={"macs": 24.0})
    _, recorded, _ = search(
        tmp_path, space(), 10, mode=mode, train=learned, price=with_filters, constraints=constraints, prune=False
    )
    trained = completed(recorded)
    assert trained
    assert all(trial.price.energy <= 30 and trial.price.spent["macs"] <= 24 for trial in trained)
    wide = space().plan({name: KERNELS[0] if name.startswith("k") else 1.0 for name in ("k0", "k1", "k2", "k3")} | FULL)
    assert with_filters(wide).energy <= 30, "the second limit is one"
    assert with_filters(wide).spent["macs"] > 24


FULL = {f"f{index}": 1.0 for index in range(4)}


@pytest.mark.parametrize("mode", ["guided", "pareto"])
def test_a_guide_finds_what_few_candidates_keep_to(mode: str, tmp_path: Path) -> None:
    searched = space(layers=8)
    narrow = cheapest(searched, lambda values: with_filters(searched.plan(values)).cost)
    least = with_filters(searched.plan(narrow))
    constraints = Constraints(energy=least.energy * 1.3, further={"macs": least.spent["macs"] + 4})
    _, recorded, _ = search(
        tmp_path, searched, 6, mode=mode, train=learned, price=with_filters, constraints=constraints, prune=False
    )
    assert len(completed(recorded)) == 6
    assert all(constraints.objection(trial.price) is None for trial in completed(recorded))


@pytest.mark.parametrize("mode", MODES)
def test_a_loss_can_be_minimised(mode: str, tmp_path: Path) -> None:
    target = Target("val_loss", maximize=False, limit=0.0)

    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        return Trained(metrics={"val_loss": 1 - accuracy(proposal.plan)}, epochs=1, best_epoch=1), "m"

    result, recorded, _ = search(tmp_path, space(), 12, mode=mode, train=train, target=target, prune=False)
    assert result.best is not None
    for trial in completed(recorded):
        assert trial.score == pytest.approx(-trial.metric / (1 + trial.price.delta))
    assert result.best.score == max(trial.score for trial in completed(recorded))


@pytest.mark.parametrize("mode", MODES)
def test_pruning_loses_no_winner(mode: str, tmp_path: Path) -> None:
    """Over a space that is searched to its end."""
    small = space(layers=1, filters=6)
    scores = []
    for prune in (True, False):
        result, recorded, _ = search(tmp_path / str(prune), small, 200, mode=mode, train=learned, prune=prune)
        assert result.best is not None
        scores.append(result.best.score)
    if mode in ("guided", "pareto", "bayesian"):
        assert scores[0] == pytest.approx(scores[1])
    assert scores[0] >= scores[1] - 1e-9 or mode == "hyperband"
    assert recorded


def test_hyperband_promotes_and_goes_on(tmp_path: Path) -> None:
    options = {"max_epochs": 9, "factor": 3, "hyperband_iterations": 1}
    result, recorded, _ = search(tmp_path, space(), 5, mode="hyperband", train=learned, run=options, prune=False)
    promoted = [trial.proposal for trial in completed(recorded) if trial.proposal.first_epoch]
    assert promoted
    by_number = {trial.number: trial for trial in completed(recorded)}
    for candidate in promoted:
        assert candidate.parent is not None
        parent = by_number[candidate.parent].proposal
        assert parent.plan == candidate.plan
        assert parent.epochs == candidate.first_epoch < (candidate.epochs or 0) <= 9
    sizes = [sum(trial.proposal.epochs == epochs for trial in completed(recorded)) for epochs in (1, 3, 9)]
    assert sizes[0] > 0
    assert sizes[2] > 0
    assert result.ended.startswith("all brackets done")
    # promoted are the best of each round
    first = [trial for trial in completed(recorded) if trial.proposal.epochs == 1]
    chosen = {candidate.parent for candidate in promoted if candidate.first_epoch == 1}
    worst = min(by_number[number].score for number in chosen if number is not None)
    assert all(trial.score <= worst or trial.number in chosen for trial in first)


def test_a_failed_trial_does_not_break_a_bracket(tmp_path: Path) -> None:
    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        if number in (2, 3):
            raise RuntimeError("lost")
        return learned(number, proposal, price, stop)

    options = {"max_epochs": 9, "factor": 3}
    sizes = []
    for name, function in (("a", learned), ("b", train)):
        _, recorded, _ = search(tmp_path / name, space(), 5, mode="hyperband", train=function, run=options, prune=False)
        sizes.append([sum(trial.proposal.epochs == e for trial in completed(recorded)) for e in (3, 9)])
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("max_epochs", "factor"), [(9, 3), (10, 2), (4, 5)])
def test_the_workload_is_what_a_search_trains(max_epochs: int, factor: int, tmp_path: Path) -> None:
    options = {"max_epochs": max_epochs, "factor": factor, "hyperband_iterations": 2}
    _, recorded, _ = search(tmp_path, space(layers=8), 5, mode="hyperband", train=learned, run=options, prune=False)
    trials = completed(recorded)
    epochs = sum((trial.proposal.epochs or 0) - trial.proposal.first_epoch for trial in trials)
    hyperband = RunConfig(mode="hyperband", **options)
    assert workload(hyperband, hyperband.extent) == (len(trials), epochs)
    guided = RunConfig(mode="guided", epochs=7, executions_per_trial=2, max_trials=5)
    assert workload(guided, guided.extent) == (5, 70)


def test_bayesian_search_repeats_nothing_and_answers_fast(tmp_path: Path) -> None:
    started = time.monotonic()
    _, recorded, _ = search(
        tmp_path, space(layers=8), 40, mode="bayesian", train=learned, run={"num_initial_points": 5}, prune=False
    )
    assert not any(isinstance(trial, SkippedTrial) for trial in recorded)
    assert time.monotonic() - started < 60  # the original takes minutes; a bound against hanging, no measurement


def test_guided_search_starts_children_from_trials_that_are_near(tmp_path: Path) -> None:
    _, recorded, _ = search(tmp_path, space(), 20, mode="guided", train=learned, prune=False)
    by_number = {trial.number: trial for trial in completed(recorded)}
    assert by_number[1].proposal.parent is None
    assert all(trial.proposal.parent in by_number for trial in completed(recorded)[1:])


def best_of(mode: str, folder: Path, seeds: range) -> list[float]:
    scores = []
    for seed in seeds:
        result, _, _ = search(folder / str(seed), space(layers=6), 25, seed=seed, mode=mode, train=learned)
        assert result.best is not None
        scores.append(result.best.score)
    return scores


@pytest.mark.slow
def test_guided_search_finds_more_than_random_search(tmp_path: Path) -> None:
    guided, random = (best_of(mode, tmp_path / mode, range(4)) for mode in ("guided", "random"))
    assert sum(guided) > sum(random)
    assert min(guided) > max(random) - 0.02


def test_pareto_search_covers_more_than_random_search(tmp_path: Path) -> None:
    covered = {}
    for mode in ("pareto", "random"):
        _, recorded, _ = search(tmp_path / mode, space(layers=6), 25, mode=mode, train=learned, prune=False)
        points = [Point(trial.metric, trial.price.cost) for trial in completed(recorded)]
        covered[mode] = hypervolume(points, Point(0.2, 96.0))
    assert covered["pareto"] > 1.1 * covered["random"]


def test_guided_search_keeps_to_a_demanded_metric(tmp_path: Path) -> None:
    constraints = Constraints(metric=0.75)
    result, recorded, _ = search(tmp_path, space(), 25, mode="guided", train=learned, constraints=constraints)
    assert result.best is not None
    assert result.best.accepted
    late = completed(recorded)[8:]
    assert sum(trial.accepted for trial in late) > len(late) / 2
    assert price(result.best.plan).cost == result.best.price.cost


@pytest.mark.parametrize("mode", ["guided", "pareto"])
def test_a_budget_that_only_the_cheapest_plan_keeps_to(mode: str, tmp_path: Path) -> None:
    result, recorded, _ = search(tmp_path, space(), 5, mode=mode, train=learned, constraints=Constraints(energy=8.0))
    assert [trial.price.energy for trial in completed(recorded)] == [8.0]
    assert result.ended == "nothing left that could win inside the budget, 1 trials trained"
    result, recorded, _ = search(
        tmp_path / "none", space(), 5, mode=mode, train=learned, constraints=Constraints(energy=7.9)
    )
    assert recorded == []
    assert result.best is None
