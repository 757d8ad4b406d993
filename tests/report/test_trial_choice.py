"""Which trials are shown, in which order, with which columns."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from run_by_hand import completed, failed, made_run, skipped

from qsearch.errors import ConfigError
from qsearch.goal.target import Target
from qsearch.report.trial_choice import chosen
from qsearch.report.trial_key_names import NAMES
from qsearch.report.trial_keys import key_named
from qsearch.report.trial_tables import columns
from qsearch.runs.overview import Overview, overview
from qsearch.runs.record import RunRecord


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Overview:
    trials = [
        completed(1, 0.90, 4000.0),
        failed(2),
        completed(3, 0.95, 5000.0, seconds=90.0),
        skipped(4, 20_000.0),
        completed(5, 0.97, 5_000_000.0),
        completed(6, 0.96, 3000.0, accepted=False),
        completed(7, math.nan, 9000.0),
    ]
    folder = tmp_path_factory.mktemp("made") / "run"
    return overview(RunRecord.read(made_run(folder, trials, best=trials[2])))  # type: ignore[arg-type]


def numbers(run: Overview, *where: str, **options: object) -> list[int]:
    return [trial.number for trial in chosen(run, where, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        (["energy<5nJ"], [1, 6]),
        (["energy<=5nJ"], [1, 3, 6]),
        (["energy < 5000"], [1, 6]),
        (["energy>=1uJ"], [5]),
        (["energy=20nJ"], [4]),
        (["metric>=95%"], [3, 5, 6]),
        (["metric>=0.95", "energy<=5nJ", "accepted=yes"], [3]),
        (["status=failed"], [2]),
        (["status!=completed"], [2, 4]),
        (["block=2"], []),
        (["time>1min"], [3]),
        (["time>80"], [3]),
        (["val_loss<0.05"], [5, 6]),
        (["ratio>2.4"], [1, 6]),
        (["role=front"], [5, 6]),
        (["role=best"], [3]),
        (["role!=best"], [1, 2, 4, 5, 6, 7]),
        (["reason=no memory"], [2]),
        (["dense.filters=3"], [3]),
        (["conv.kernel=quantized_bits(4, 0, 1)"], [2, 3, 4]),
        (["accepted=no"], [6]),
        (["energy>1mJ"], []),
    ],
)
def test_conditions(run: Overview, where: list[str], found: list[int]) -> None:
    assert numbers(run, *where) == found


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("enrgy<5nJ", r"--where 'enrgy<5nJ': unknown key 'enrgy'; did you mean 'energy'\?; allowed: number, status"),
        ("energy", r"expected KEY, one of < <= > >= = !=, and a value, as in energy<5nJ"),
        ("energy<", "expected KEY, one of"),
        ("<5", "expected KEY, one of"),
        ("energy<5xJ", r"'energy<5xJ': found '5xJ', expected an energy above 0"),
        ("metric>high", "found 'high', expected a number"),
        ("time>3mni", "with the unit 'mni', allowed: d, h, min, s; did you mean 'min'"),
        ("status>failed", "status is a text; use = or !="),
        ("accepted=maybe", "found 'maybe', expected yes or no"),
        ("conv.kernl=ternary", "did you mean 'kernel'"),
        ("covn.kernel=ternary", "did you mean 'conv'"),
        ("val_los<3", "did you mean 'val_loss'"),
        ("__class__=3", "unknown key '__class__'"),
        ("\x1b[31m<3", r"unknown key '\\x1b\[31m'"),
    ],
)
def test_conditions_that_are_none(run: Overview, where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        chosen(run, [where])


def test_the_best_come_first_and_what_is_not_there_comes_last(run: Overview) -> None:
    assert numbers(run) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(run, reverse=True) == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(run, sort="energy")[:3] == [6, 1, 3]
    assert numbers(run, sort="energy")[-1] == 2
    assert numbers(run, sort="-energy") == [5, 4, 7, 3, 1, 6, 2]
    assert numbers(run, sort="-energy", reverse=True) == numbers(run, sort="energy")
    assert numbers(run, sort="metric")[:4] == [5, 6, 3, 1]
    assert {*numbers(run, sort="metric")[4:]} == {2, 4, 7}  # NaN is no metric
    assert numbers(run, sort="time", top=2) == [4, 2]
    with pytest.raises(ConfigError, match="--sort scroe: unknown key 'scroe'; did you mean 'score'"):
        chosen(run, sort="scroe")


def test_the_first_few_are_those_that_the_search_ranks_first(run: Overview) -> None:
    scores = {trial.number: trial.score for trial in run.record.completed}
    assert scores[6] > scores[3]  # but is not accepted
    assert numbers(run, top=2) == [3, 1]
    assert numbers(run, top=3, sort="score")[0] == 6
    assert {*numbers(run)} == {*numbers(run, top=100)}


def test_less_of_a_loss_comes_first(tmp_path: Path) -> None:
    target = Target("val_loss", False, 0.0)
    trials = [completed(number, loss, 4000.0, target=target) for number, loss in ((1, 0.3), (2, 0.1), (3, 0.2))]
    run = overview(RunRecord.read(made_run(tmp_path / "run", trials, ended=False)))
    assert numbers(run, sort="metric") == numbers(run, top=9) == [2, 3, 1]


def test_columns_tell_trials_apart(run: Overview) -> None:
    assert [key.name for key in columns(run, run.trials)] == [
        "number", "status", "score", "metric", "energy", "ratio", "time", "role", "reason",
    ]  # fmt: skip
    few = chosen(run, ["status=completed", "energy<6nJ"])
    assert [key.heading for key in columns(run, few)] == [
        "trial", "score", "val_acc", "energy", "times less", "time", "role",
    ]  # fmt: skip
    assert [key.column for key in columns(run, few, ["energy", "time", "val_loss"])] == [
        "energy_pj",
        "time_s",
        "val_loss",
    ]
    with pytest.raises(ConfigError, match="--columns: unknown key 'a'"):
        columns(run, few, ["a"])


def test_of_blocks_their_number_is_shown(tmp_path: Path) -> None:
    trials = [completed(1, 0.9, 3000.0, block=1), completed(2, 0.8, 4000.0, block=2)]
    run = overview(RunRecord.read(made_run(tmp_path / "run", trials, ended=False)))
    assert numbers(run, "block=2") == [2]
    assert numbers(run, top=2) == [2, 1]  # a score of an earlier block looks ahead
    assert [key.name for key in columns(run, run.trials)][:2] == ["number", "block"]


def test_every_key_has_a_meaning(run: Overview) -> None:
    for name in NAMES:
        key = key_named(name, run, "")
        for trial in run.trials:
            assert isinstance(key.shown(trial, run), str)
