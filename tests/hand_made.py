"""A run as observers are told of it, made by hand: nothing is trained."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import qsearch
from qsearch.config import load_config
from qsearch.goal.price import Price
from qsearch.goal.target import Target
from qsearch.observers.observer import RunStart
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.spec import parse
from qsearch.search.candidates import Candidate, Unpriced
from qsearch.search.proposals import Proposal
from qsearch.search.space import Dimension, Values
from qsearch.search.trials import AnyTrial, FailedTrial, SkippedTrial, Trained, Trial

KERNEL = tuple(map(parse, ("quantized_bits(4,0,1)", "ternary", "binary")))
DIMENSIONS = (Dimension("dense_kernel", KERNEL), Dimension("filters^a|b$", (0.5, 1.0, 2.0)))
REFERENCE = 1000.0
"""Its energy, pJ."""


def start(folder: Path, known: Iterable[AnyTrial] = (), sets: Iterable[str] = (), **changes: Any) -> RunStart:
    """The start of a search of 20 trials of 10 epochs."""
    config = load_config(qsearch.shipped_configs()["digits"], [*sets]).config
    facts: dict[str, Any] = {
        "folder": folder,
        "config": config,
        "target": Target("val_acc"),
        "dimensions": DIMENSIONS,
        "trials": 20,
        "epochs": 200,
        "reference_energy": REFERENCE,
        "reference_cost": REFERENCE,
        "unit": "pJ",
        "known": tuple(known),
    }
    return RunStart(**facts | changes)


def values(number: int) -> Values:
    """What a trial chose."""
    return {one.name: one.options[number % len(one.options)] for one in DIMENSIONS}


def completed(
    number: int,
    metric: float = 0.9,
    energy: float = 200.0,
    seconds: float = 1.0,
    epochs: int = 10,
    planned: int | None = None,
    first_epoch: int = 0,
) -> Trial:
    price = Price(cost=energy, energy=energy, delta=0.25, final_cost=energy)
    candidate = Candidate(values(number), QuantizationPlan(), price)
    curve = tuple(metric * (epoch + 1) / epochs for epoch in range(first_epoch, epochs))
    return Trial(
        number=number,
        proposal=Proposal(candidate, planned, first_epoch),
        seconds=seconds,
        price=price,
        trained=Trained(
            metrics={"acc": metric, "val_acc": metric, "val_loss": 1 - metric},
            epochs=epochs,
            best_epoch=epochs,
            curve=curve,
        ),
        target="val_acc",
        score=metric * 1.25,
    )


def failed(number: int) -> FailedTrial:
    proposal = Proposal(Unpriced(values(number), QuantizationPlan(), "no memory"))
    return FailedTrial(number=number, proposal=proposal, reason="no memory", seconds=0.5)


def skipped(number: int, planned: int | None = None) -> SkippedTrial:
    proposal = Proposal(Unpriced(values(number), QuantizationPlan(), "too dear"), planned)
    return SkippedTrial(number=number, proposal=proposal, reason="too dear", energy=900.0)
