"""A run directory read back, and one that is damaged."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from run_record import check_record

import qsearch
from qsearch.errors import OutputError
from qsearch.goal.price import Price
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.spec import parse
from qsearch.runner.run_result import RunResult
from qsearch.runs.journal import append_trial, read_trials
from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.proposals import Proposal
from qsearch.search.trials import FailedTrial, SkippedTrial, Trained, Trial

PLAN = QuantizationPlan(
    {
        "conv": LayerPlan({Role.KERNEL: parse("quantized_bits(4)")}, 8, Fold("bn", "batch_stats_folding", 10)),
        "dense": LayerPlan({Role.KERNEL: parse("ternary"), Role.ACTIVATION: parse("quantized_relu(4,2)")}),
        "wide": LayerPlan(filters=3),
        "act": LayerPlan({Role.ACTIVATION: parse("quantized_bits(6)")}, fold=Fold("norm"), adaptive=True),
    }
)
PRICE = Price(cost=10.25, energy=20.5, delta=0.1, final_cost=10.25)


def test_a_plan_comes_back_as_it_was() -> None:
    assert QuantizationPlan.from_dict(PLAN.to_dict()) == PLAN
    assert PLAN.to_dict()["act"]["fold"] == "norm"


def test_trials_come_back_as_they_were(tmp_path: Path) -> None:
    values = {"k": parse("ternary"), "width": 1.5}
    trials = (
        Trial(
            number=1,
            proposal=Proposal(Candidate(values, PLAN, PRICE), epochs=6, first_epoch=2, parent=3),
            price=PRICE,
            trained=Trained(
                metrics={"val_acc": 0.5, "loss": math.nan}, epochs=6, best_epoch=5, curve=(0.4, 0.5), stopped="enough"
            ),
            target="val_acc",
            score=0.55,
            seconds=1.5,
            accepted=False,
            block=2,
        ),
        FailedTrial(number=2, proposal=Proposal(Unpriced(values, PLAN, "no")), reason="no", seconds=0.25),
        SkippedTrial(number=3, proposal=Proposal(Unpriced(values, PLAN, "dear")), reason="dear", energy=3.5, bound=0.5),
        SkippedTrial(number=4, proposal=Proposal(Unpriced(values, PLAN, "same")), reason="same", same_as=1, block=1),
    )
    for trial in trials:
        append_trial(tmp_path / "trials.jsonl", trial)
    read = read_trials(tmp_path / "trials.jsonl")
    assert read[1:] == trials[1:]
    assert isinstance(read[0], Trial)
    assert math.isnan(read[0].metrics["loss"])
    assert str(read[0]) == str(trials[0])


def test_the_record_of_a_run(tiny_result: RunResult) -> None:
    check_record(tiny_result)
    record = qsearch.RunRecord.read(tiny_result.run_directory)
    assert [trial.score for trial in record.completed] == [t.score for t in tiny_result.trials if isinstance(t, Trial)]
    assert record.config.run.max_trials == 3
    assert record.environment["seed"] == 0
    assert tiny_result.best is not None
    assert record.best_plan == tiny_result.best.plan


@pytest.fixture
def copied(tiny_result: RunResult, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_result.run_directory, tmp_path / "copy"))


def test_a_journal_of_before_the_target_was_named(copied: Path) -> None:
    lines = [json.loads(line) for line in (copied / "trials.jsonl").read_text(encoding="utf-8").splitlines()]
    for line in lines:
        line.pop("target", None)
    (copied / "trials.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert {trial.target for trial in qsearch.RunRecord.read(copied).completed} == {"val_acc"}


def test_a_run_that_was_killed_has_its_trials(copied: Path) -> None:
    for name in ("result.json", "energy.json", "report.md"):
        (copied / name).unlink()
    with (copied / "trials.jsonl").open("ab") as journal:
        journal.write(b'{"id": 4, "status": "comp')
    record = qsearch.RunRecord.read(copied)
    assert len(record.trials) == 3
    assert record.result is None
    assert record.energies is None
    (copied / "trials.jsonl").unlink()
    assert qsearch.RunRecord.read(copied).trials == ()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda run: (run / "trials.jsonl").write_text("{}\n"), r"trials\.jsonl:1: is no trial of qsearch: KeyError"),
        (lambda run: (run / "trials.jsonl").write_text("3\n"), r"trials\.jsonl:1: is no trial"),
        (lambda run: (run / "result.json").write_text("{"), r"result\.json: cannot be read"),
        (lambda run: (run / "result.json").write_text("[]"), r"result\.json: is not what qsearch writes there"),
        (lambda run: (run / "energy.json").write_text('{"unit": "pJ"}'), r"energy\.json: is not what qsearch writes"),
        (lambda run: (run / "best" / "plan.yaml").write_text("a: ["), r"plan\.yaml: cannot be read"),
        (
            lambda run: (run / "best" / "plan.yaml").write_text("a: {kernel: x}"),
            r"plan\.yaml: is not what .* unknown quantizer 'x'",
        ),
        (lambda run: (run / "config.yaml").unlink(), r"copy: has no config\.yaml; name the folder"),
        (shutil.rmtree, r"copy: is not a folder"),
    ],
)
def test_damage_is_told_with_its_place(copied: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(copied)
    with pytest.raises(OutputError, match=message):
        qsearch.RunRecord.read(copied)
