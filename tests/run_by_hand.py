"""Run directories made by hand: trials of any number and kind, without a training and without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from qsearch.config import load_config
from qsearch.config.load import to_yaml
from qsearch.goal.forgiving_factor import ForgivingFactor
from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.spec import parse
from qsearch.runs.directory import plan_text
from qsearch.runs.figures import BestModel, Corner, Front, Reference, TrialCounts
from qsearch.runs.journal import append_trial
from qsearch.runs.plain_json import as_json
from qsearch.runs.result import Result
from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.proposals import Proposal
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trained, Trial

REFERENCE = 10_000.0
"""Of all made runs, pJ."""
CONFIG = """
dataset: {name: digits, validation: 0.2}
model: {name: digits}
limit: {Dense: [4], Conv2D: [4], Activation: [4]}
goal: {type: energy}
run: {max_trials: 50}
"""
_FORGIVING = ForgivingFactor(8.0, 8.0, 2.0, 1.0)


def plan(kernel: str = "quantized_bits(4,0,1)", **layers: Mapping[str, Any]) -> QuantizationPlan:
    """Of a layer "conv", and others by their dictionaries."""
    own = LayerPlan({Role.KERNEL: parse(kernel)}, filters=8)
    return QuantizationPlan({"conv": own, **{name: LayerPlan.from_dict(layer) for name, layer in layers.items()}})


def completed(
    number: int,
    metric: float,
    energy: float,
    *,
    target: Target | None = None,
    seconds: float = 1.5,
    block: int | None = None,
    accepted: bool = True,
    own_plan: QuantizationPlan | None = None,
) -> Trial:
    """A completed trial; plans differ by their numbers."""
    target = target or Target("val_acc")
    delta = _FORGIVING.delta(REFERENCE, energy)
    price = Price(cost=energy, energy=energy, delta=delta, final_cost=energy)
    chosen = own_plan or plan(f"quantized_bits({number % 8 + 1},0,1)", dense={"kernel": "ternary", "filters": number})
    return Trial(
        number=number,
        proposal=Proposal(Candidate({}, chosen, price)),
        price=price,
        trained=Trained(metrics={"val_loss": 1 - metric, target.name: metric}, epochs=3, best_epoch=2, curve=(metric,)),
        target=target.name,
        score=target.score(metric, delta),
        seconds=seconds,
        block=block,
        accepted=accepted,
    )


def failed(number: int, reason: str = "no memory") -> FailedTrial:
    return FailedTrial(number=number, proposal=Proposal(Unpriced({}, plan(), reason)), reason=reason, seconds=0.5)


def skipped(number: int, energy: float | None = None) -> SkippedTrial:
    proposal = Proposal(Unpriced({}, plan(), "dear"))
    return SkippedTrial(number=number, proposal=proposal, reason="dear", energy=energy, bound=0.5)


def made_run(
    folder: Path,
    trials: Sequence[AnyTrial],
    *,
    config: str = CONFIG,
    best: Trial | None = None,
    ended: bool = True,
    direction: str = "max",
) -> Path:
    """A run directory.

    Args:
        best: whose model is in best/; None for none.
        ended: whether it has a result.
    """
    (folder / "best").mkdir(parents=True)
    source = folder.with_suffix(".yaml")
    source.write_text(config, encoding="utf-8")
    (folder / "config.yaml").write_text(to_yaml(load_config(source).config), encoding="utf-8")
    for trial in trials:
        append_trial(folder / "trials.jsonl", trial)
    if best is not None:
        (folder / "best" / "plan.yaml").write_text(plan_text(best.plan), encoding="utf-8")
        (folder / "best" / "model.keras").write_bytes(b"no model, but there")
    if ended:
        text = as_json(_result(trials, best, direction).to_dict())
        (folder / "result.json").write_text(text, encoding="utf-8")
    assert yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    return folder


def _result(trials: Sequence[AnyTrial], best: Trial | None, direction: str) -> Result:
    name = (best.target if best else "val_acc").removeprefix("val_")
    status = [trial.status for trial in trials]
    reference = Reference(selection={name: 0.98}, test={name: 0.97}, parameters=1000, cost=REFERENCE, energy=REFERENCE)
    return Result(
        qsearch="0.1.0",
        model="digits",
        dataset="digits",
        goal="energy",
        unit="pJ",
        seed=0,
        mode="random",
        target_metric=name,
        direction=direction,
        validation=0.2,
        train_samples=100,
        selection_samples=20,
        test_samples=20,
        reference=reference,
        reference_cost="unquantized",
        priced_share=1.0,
        unsearched_share=0.0,
        unsearched=(),
        best=None if best is None else _best(best, name),
        dearer=None,
        demands=None,
        front=Front(trials=(), knee=None, hypervolume=0.0, corner=Corner(metric=0.0, cost=REFERENCE)),
        models=(),
        trials=TrialCounts(
            completed=status.count("completed"), failed=status.count("failed"), skipped=status.count("skipped")
        ),
        combinations=100,
        ended="all trials done",
        interrupted=False,
        seconds=61.0,
        blocks_to_come=None,
        blocks=(),
        notes=(),
    )


def _best(trial: Trial, name: str) -> BestModel:
    return BestModel(
        selection={name: trial.metric},
        test={name: trial.metric - 0.01},
        parameters=500,
        trial=trial.number,
        score=trial.score,
        delta=trial.price.delta,
        trial_metrics=trial.metrics,
        final_training=None,
        cost=trial.price.cost,
        energy=trial.price.energy,
        energy_ratio=REFERENCE / trial.price.energy,
        cost_ratio=REFERENCE / trial.price.cost,
        plan=trial.plan,
    )
