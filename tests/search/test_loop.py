"""The trial loop with trials that cost nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import pytest
from specs import specs
from tiny_search import cycling, price, search, space

from qsearch.config.schema import RunConfig
from qsearch.config.search_modes import MODES
from qsearch.errors import ModelError
from qsearch.goal.price import Constraints, Price
from qsearch.plan import Role
from qsearch.search.engine import Stop
from qsearch.search.proposals import Proposal
from qsearch.search.seeds import spread
from qsearch.search.space import Dimension, SearchedLayer, SearchSpace
from qsearch.search.time_limits import OutOfTimeError
from qsearch.search.trials import FailedTrial, SkippedTrial, Trained, Trial


def test_trials_are_recorded_scored_and_the_best_kept(tmp_path: Path) -> None:
    result, recorded, kept = search(tmp_path, space(), 12, prune=False)
    assert list(result.trials) == recorded
    assert result.ended == "all 12 trials done"
    completed = [trial for trial in result.trials if isinstance(trial, Trial)]
    assert len(completed) == 12
    for trial in completed:
        assert trial.score == pytest.approx(trial.metrics["val_acc"] * (1 + trial.price.delta))
    assert result.best == max(completed, key=lambda trial: trial.score)
    assert kept[-1] == f"model {result.best.number}"


def test_equal_plans_are_trained_once(tmp_path: Path) -> None:
    # one filter: factors 0.5, 0.75, 1 and 1.5 all mean one filter
    result, _, _ = search(tmp_path, space(layers=1, filters=1), 50, prune=False)
    trained = [trial.plan for trial in result.trials if isinstance(trial, Trial)]
    skipped = [trial for trial in result.trials if isinstance(trial, SkippedTrial)]
    assert len(trained) == len(set(trained)) <= 4 * 2
    assert skipped
    assert all(result.trials[(trial.same_as or 0) - 1].plan == trial.plan for trial in skipped)
    assert "combinations tried" in result.ended


def test_a_space_smaller_than_max_trials_ends_early(tmp_path: Path) -> None:
    tiny = SearchSpace(
        dimensions=(Dimension("k", specs("binary", "ternary")),),
        layers=(SearchedLayer(name="c", key="Conv2D", dimensions={Role.KERNEL: "k"}),),
    )
    result, _, _ = search(tmp_path, tiny, 10)
    assert len([trial for trial in result.trials if isinstance(trial, Trial)]) == 2
    assert result.ended == "all 2 combinations tried, 2 trials"


def test_a_space_of_one_plan(tmp_path: Path) -> None:
    single = SearchSpace(
        dimensions=(Dimension("k", specs("binary")),),
        layers=(SearchedLayer(name="c", key="Conv2D", dimensions={Role.KERNEL: "k"}),),
    )
    result, _, _ = search(tmp_path, single, 3)
    assert [trial.status for trial in result.trials if isinstance(trial, Trial)] == ["completed"]


def test_failures_are_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        match number % 4:
            case 1:
                raise ModelError("does not fit")
            case 2:
                raise RuntimeError("out of memory\nmore")
            case 3:
                return Trained(metrics={"val_acc": math.nan}, epochs=1, best_epoch=1), "x"
        return Trained(metrics={"val_acc": 0.9}, epochs=1, best_epoch=1), "good"

    result, recorded, kept = search(tmp_path, space(), 8, train=train, prune=False)
    reasons = [trial.reason for trial in recorded if isinstance(trial, FailedTrial)]
    assert reasons == ["does not fit", "RuntimeError: out of memory", "score is nan"] * 2
    assert result.best is not None
    assert kept
    assert set(kept) == {"good"}


def test_a_search_in_which_everything_fails_stops(tmp_path: Path) -> None:
    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        raise ModelError("no")

    result, recorded, _ = search(tmp_path / "a", space(), 50, train=train)
    assert len(recorded) == RunConfig().max_failures
    assert result.best is None
    assert result.ended == "the first 5 trials all failed"
    result, recorded, _ = search(tmp_path / "b", space(), 50, train=train, run={"max_failures": 7})
    assert len(recorded) == 7
    assert result.ended == "the first 7 trials all failed"


def test_time_that_is_up_ends_a_search_in_order(tmp_path: Path) -> None:
    done: list[int] = []

    def out_of_time() -> str | None:
        return "the time was up" if len(done) == 3 else None

    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        done.append(number)
        if number == 4:
            raise OutOfTimeError("the time was up in training")
        return cycling(number, proposal, price, stop)

    before, recorded, _ = search(tmp_path / "a", space(), 8, train=train, prune=False, out_of_time=out_of_time)
    assert before.ended == "the time was up, 3 trials trained"
    assert before.cut_short
    assert before.best in recorded
    assert len(recorded) == 3
    done.clear()
    during, recorded, _ = search(tmp_path / "b", space(), 8, train=train, prune=False)
    assert during.ended == "the time was up in training, 3 trials trained"
    assert during.cut_short
    assert [trial.number for trial in recorded] == [1, 2, 3]  # the fourth is dropped, and has not failed
    again, _, _ = search(
        tmp_path / "c",
        space(),
        3,
        prune=False,
        known={trial.number: trial for trial in recorded},
        out_of_time=lambda: "the time was up",
    )
    assert again.ended == "all 3 trials done"  # what is known takes no time
    assert not again.cut_short


PROGRAM = """
from pathlib import Path
import sys
sys.path.insert(0, {folder!r})
from tiny_search import search, space
result, _, _ = search(Path({scratch!r}), space(), 6, mode={mode!r}, seed={seed}, prune=False)
print([dict(trial.values) for trial in result.trials])
"""


@pytest.mark.parametrize(("mode", "seed"), [*((mode, 0) for mode in MODES), ("random", 3), ("guided", 3)])
def test_the_same_seed_gives_the_same_trials_in_a_second_process(tmp_path: Path, mode: str, seed: int) -> None:
    result, _, _ = search(tmp_path / "a", space(), 6, mode=mode, seed=seed, prune=False)
    own = [dict(trial.values) for trial in result.trials if isinstance(trial, Trial)]
    program = PROGRAM.format(folder=str(Path(__file__).parents[1]), scratch=str(tmp_path / "b"), mode=mode, seed=seed)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(own)


def test_seeds_are_spread(tmp_path: Path) -> None:
    seeds = {spread(seed, part) for seed in range(50) for part in range(4)}
    assert len(seeds) == 200
    assert 0 not in seeds
    plans = []
    for seed in (0, 1):
        result, _, _ = search(tmp_path / str(seed), space(), 20, seed=seed, prune=False)
        plans.append({trial.plan for trial in result.trials if isinstance(trial, Trial)})
    assert len(plans[0] & plans[1]) <= 1


def perfect(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
    """A metric that is best for the cheapest plans but for one."""
    accuracy = 0.95 - price.cost / 600
    return Trained(metrics={"val_acc": accuracy}, epochs=3, best_epoch=2, curve=(accuracy,) * 3), "model"


def test_what_cannot_win_is_not_trained_and_the_winner_is_that_of_the_full_search(tmp_path: Path) -> None:
    small = space(layers=2)
    pruned, recorded, _ = search(tmp_path / "a", small, 400, train=perfect)
    full, _, _ = search(tmp_path / "b", small, 400, train=perfect, prune=False)
    assert pruned.best is not None
    assert full.best is not None
    assert pruned.best.score == full.best.score
    by_plan = {trial.plan: trial for trial in full.trials if isinstance(trial, Trial)}
    skipped = [trial for trial in recorded if isinstance(trial, SkippedTrial) and trial.bound is not None]
    assert skipped
    for trial in skipped:
        assert trial.bound is not None
        assert trial.bound == pytest.approx(1 + price(trial.plan).delta)
        assert by_plan[trial.plan].score <= trial.bound <= pruned.best.score
        assert "not above" in trial.to_dict()["reason"]
    trained = sum(isinstance(trial, Trial) for trial in recorded)
    assert trained < len(by_plan)


def test_several_best_models_keep_what_may_become_one_of_them(tmp_path: Path) -> None:
    small = space(layers=2)
    three, recorded, _ = search(tmp_path / "a", small, 400, train=perfect, best_models=3)
    full, _, _ = search(tmp_path / "b", small, 400, train=perfect, prune=False)
    best = sorted((trial.score for trial in full.trials if isinstance(trial, Trial)), reverse=True)[:3]
    assert sorted((trial.score for trial in recorded if isinstance(trial, Trial)), reverse=True)[:3] == best
    assert three.best is not None


def test_budgets_are_kept_to(tmp_path: Path) -> None:
    _, recorded, _ = search(tmp_path, space(), 8, constraints=Constraints(energy=24.0), prune=False)
    trained = [trial for trial in recorded if isinstance(trial, Trial)]
    assert len(trained) == 8
    assert all(trial.price.energy <= 24 for trial in trained)
    outside = [trial for trial in recorded if isinstance(trial, SkippedTrial) and trial.same_as is None]
    assert outside
    assert all(trial.energy is not None and trial.energy > 24 for trial in outside)
    assert outside[0].reason.endswith("is above the budget of 24.00")


def test_a_budget_that_nothing_keeps_to_ends_the_search(tmp_path: Path) -> None:
    result, recorded, _ = search(tmp_path, space(), 8, constraints=Constraints(cost=1.0))
    assert result.best is None
    assert not any(isinstance(trial, Trial) for trial in recorded)
    assert "above the budget of 1.00" in result.ended


def test_the_metric_that_is_demanded_comes_before_the_score(tmp_path: Path) -> None:
    result, recorded, _ = search(
        tmp_path / "a", space(), 12, train=perfect, constraints=Constraints(metric=0.9), prune=False
    )
    trained = [trial for trial in recorded if isinstance(trial, Trial)]
    accepted = [trial for trial in trained if trial.metric >= 0.9]
    assert result.best == max(accepted, key=lambda trial: trial.score)
    assert {trial.accepted for trial in trained} == {True, False}
    result, recorded, _ = search(
        tmp_path / "b", space(), 12, train=perfect, constraints=Constraints(metric=0.99), prune=False
    )
    trained = [trial for trial in recorded if isinstance(trial, Trial)]
    assert result.best == max(trained, key=lambda trial: trial.metric)  # the nearest
    assert not any(trial.accepted for trial in trained)


def test_a_candidate_that_cannot_be_priced_counts_as_failed(tmp_path: Path) -> None:
    def refuse(plan: object) -> Price:
        raise ModelError("widths")

    _, recorded, _ = search(tmp_path, space(), 3, price=refuse)
    assert [trial.reason for trial in recorded if isinstance(trial, FailedTrial)] == ["widths"] * 3


def test_training_ends_when_experience_says_that_it_cannot_win(tmp_path: Path) -> None:
    seen: list[str | None] = []

    def train(number: int, proposal: Proposal, price: Price, stop: Stop | None) -> tuple[Trained, str]:
        assert number == 1 or stop is not None  # nothing has to be beaten by the first
        good = number <= 4
        curve = [0.6, 0.8, 0.9, 0.95] if good else [0.1, 0.15, 0.2, 0.25]
        for epoch in range(1, 4):
            reason = None if stop is None else stop(curve[:epoch])
            if reason:
                seen.append(reason)
                seen_so_far = tuple(curve[:epoch])
                metrics = {"val_acc": max(seen_so_far)}
                return Trained(metrics=metrics, epochs=epoch, best_epoch=epoch, curve=seen_so_far, stopped=reason), "m"
        return Trained(metrics={"val_acc": curve[-1]}, epochs=4, best_epoch=4, curve=tuple(curve)), "m"

    result, recorded, _ = search(tmp_path, space(), 8, train=train, prune=False, early_stop=True)
    trained = [trial for trial in recorded if isinstance(trial, Trial)]
    assert [trial.trained.epochs for trial in trained] == [4, 4, 4, 4, 1, 1, 1, 1]
    assert "in reach" in trained[-1].to_dict()["stopped"]
    assert result.best is not None
    assert result.best.number <= 4
