"""The trial loop with trials that cost nothing."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qsearch.errors import ModelError
from qsearch.plan import QuantizationPlan, Role
from qsearch.search.loop import MAX_FAILURES, Price, Search, SearchResult, run
from qsearch.search.oracle import proposer, spread
from qsearch.search.space import FILTER_FACTORS, Dimension, SearchedLayer, SearchSpace
from qsearch.search.trials import AnyTrial, Candidate, FailedTrial, SilentObserver, SkippedTrial, Trained, Trial


def space(layers: int = 4, filters: int = 8) -> SearchSpace:
    kernels = ("binary", "ternary", "quantized_bits(4)", "quantized_bits(8)")
    dimensions = [d for i in range(layers) for d in (Dimension(f"k{i}", kernels), Dimension(f"f{i}", FILTER_FACTORS))]
    searched = [SearchedLayer(f"c{i}", "Conv2D", {Role.KERNEL: f"k{i}"}, {}, filters, f"f{i}") for i in range(layers)]
    return SearchSpace(tuple(dimensions), tuple(searched))


def price(plan: QuantizationPlan) -> Price:
    cost = float(sum(layer.filters or 0 for layer in plan.layers.values()))
    return Price(cost, cost, -cost / 100)


def search(
    folder: Path,
    searched: SearchSpace,
    max_trials: int,
    seed: int = 7,
    train: Callable[[Candidate], tuple[Trained, str]] | None = None,
) -> tuple[SearchResult, list[AnyTrial], list[str]]:
    recorded: list[AnyTrial] = []
    kept: list[str] = []

    def trained(candidate: Candidate) -> tuple[Trained, str]:
        return Trained({"val_acc": 0.5 + 0.1 * (candidate.id % 3)}, 3, 2), f"model {candidate.id}"

    result = run(
        Search(
            space=searched,
            proposer=proposer("random", searched, seed, folder),
            price=price,
            train=train or trained,
            target="val_acc",
            max_trials=max_trials,
            record=recorded.append,
            keep=lambda trial, model: kept.append(model),
            observer=SilentObserver(),
        )
    )
    return result, recorded, kept


def test_trials_are_recorded_scored_and_the_best_kept(tmp_path: Path) -> None:
    result, recorded, kept = search(tmp_path, space(), 12)
    assert list(result.trials) == recorded
    assert result.ended == "all 12 trials done"
    completed = [trial for trial in result.trials if isinstance(trial, Trial)]
    assert len(completed) == 12
    for trial in completed:
        assert trial.score == pytest.approx(trial.metrics["val_acc"] * (1 + trial.candidate.delta))
    assert result.best == max(completed, key=lambda trial: trial.score)
    assert kept[-1] == f"model {result.best.candidate.id}"


def test_equal_plans_are_trained_once(tmp_path: Path) -> None:
    # one filter: factors 0.5, 0.75, 1 and 1.5 all mean one filter
    result, _, _ = search(tmp_path, space(layers=1, filters=1), 50)
    trained = [trial.candidate.plan for trial in result.trials if isinstance(trial, Trial)]
    skipped = [trial for trial in result.trials if isinstance(trial, SkippedTrial)]
    assert len(trained) == len(set(trained)) <= 4 * 2
    assert skipped
    assert all(result.trials[trial.same_as - 1].candidate.plan == trial.plan for trial in skipped)  # type: ignore[union-attr]
    assert "combinations tried" in result.ended


def test_a_space_smaller_than_max_trials_ends_early(tmp_path: Path) -> None:
    tiny = SearchSpace((Dimension("k", ("binary", "ternary")),), (SearchedLayer("c", "Conv2D", {Role.KERNEL: "k"}),))
    result, _, _ = search(tmp_path, tiny, 10)
    assert len([trial for trial in result.trials if isinstance(trial, Trial)]) == 2
    assert result.ended == "all 2 combinations tried, 2 trials"


def test_a_space_of_one_plan(tmp_path: Path) -> None:
    single = SearchSpace((Dimension("k", ("binary",)),), (SearchedLayer("c", "Conv2D", {Role.KERNEL: "k"}),))
    result, _, _ = search(tmp_path, single, 3)
    assert [trial.status for trial in result.trials if isinstance(trial, Trial)] == ["completed"]


def test_failures_are_recorded_and_the_search_goes_on(tmp_path: Path) -> None:
    def train(candidate: Candidate) -> tuple[Trained, str]:
        match candidate.id % 4:
            case 1:
                raise ModelError("does not fit")
            case 2:
                raise RuntimeError("out of memory\nmore")
            case 3:
                return Trained({"val_acc": math.nan}, 1, 1), "x"
        return Trained({"val_acc": 0.9}, 1, 1), "good"

    result, recorded, kept = search(tmp_path, space(), 8, train=train)
    reasons = [trial.reason for trial in recorded if isinstance(trial, FailedTrial)]
    assert reasons == ["does not fit", "RuntimeError: out of memory", "score is nan"] * 2
    assert result.best is not None
    assert kept
    assert set(kept) == {"good"}


def test_a_search_in_which_everything_fails_stops(tmp_path: Path) -> None:
    def train(candidate: Candidate) -> tuple[Trained, str]:
        raise ModelError("no")

    result, recorded, _ = search(tmp_path, space(), 50, train=train)
    assert len(recorded) == MAX_FAILURES
    assert result.best is None
    assert result.ended == f"the first {MAX_FAILURES} trials all failed"


PROGRAM = """
from pathlib import Path
import sys
sys.path.insert(0, {folder!r})
from test_loop import search, space
result, _, _ = search(Path({scratch!r}), space(), 6, seed={seed})
print([dict(trial.candidate.values) for trial in result.trials])
"""


@pytest.mark.parametrize("seed", [0, 3])
def test_the_same_seed_gives_the_same_trials_in_a_second_process(tmp_path: Path, seed: int) -> None:
    result, _, _ = search(tmp_path / "a", space(), 6, seed=seed)
    own = [dict(trial.candidate.values) for trial in result.trials if isinstance(trial, Trial)]
    program = PROGRAM.format(folder=str(Path(__file__).parent), scratch=str(tmp_path / "b"), seed=seed)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(own)


def test_seeds_are_spread(tmp_path: Path) -> None:
    seeds = {spread(seed, part) for seed in range(50) for part in range(4)}
    assert len(seeds) == 200
    assert 0 not in seeds
    plans = []
    for seed in (0, 1):
        result, _, _ = search(tmp_path / str(seed), space(), 20, seed=seed)
        plans.append({trial.candidate.plan for trial in result.trials if isinstance(trial, Trial)})
    assert len(plans[0] & plans[1]) <= 1
