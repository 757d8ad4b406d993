"""What reports say of a run, in plain words."""

from __future__ import annotations

from qsearch.config.search_modes import SEARCH_MODES
from qsearch.report.units import cost
from qsearch.runs.figures import Demands, FinalTraining, Limit, SharedWeightsFigures


def selected_on(validation: str | float, is_over: bool = True) -> str:
    """How the winner is selected, and what that makes of its test figure."""
    word = "was" if is_over else "is"
    if validation == "test":
        return f"The winner {word} selected on the test set (`validation: test`), so its test figure is optimistic."
    part = "a set of its own" if validation == "given" else f"{validation} of the training set, held out"
    return f"The winner {word} selected on {part}; the test set {word} used once, at the end."


def own_saving(ratio: float | None, goal: str) -> str:
    """What a goal that is not energy saves, behind the sentence of energy; nothing where it is.

    Args:
        ratio: the reference's cost over the best model's.
        goal: its type.
    """
    if goal == "energy" or not ratio:
        return ""
    what = goal.replace("_", " ")
    if f"{ratio:.4g}" == "1":
        return f" It has as much of what the goal counts ({what})."
    times = f"{max(ratio, 1 / ratio):.4g} times {'less' if ratio > 1 else 'more'}"
    return f" It has {times} of what the goal counts ({what})."


def final_training(training: FinalTraining | None) -> str:
    """Where the best model's weights come from."""
    if training is None:
        return "Its weights are those of its trial; there was no final training."
    best = training.best_epoch
    kept = f"those of epoch {best}" if best else "those of its trial, which no later epoch improved on"
    return f"Final training took {training.epochs} epochs; its weights are {kept}."


def demanded(demands: Demands, metric: str, direction: str, unit: str) -> str:
    """What the user demanded."""
    asked = [
        f"{limit.cost} at most {cost(limit.most, limit.unit)}{_found(limit)}"
        for limit in demands.limits or _of_earlier(demands, unit)
    ]
    if demands.metric is not None:
        side = "at least" if direction == "max" else "at most"
        asked.append(f"{metric} {side} {demands.metric:.4f} on the selection set")
    return f"Demanded: {', '.join(asked)}."


def shared_weights(figures: SharedWeightsFigures, mode: str) -> str:
    """What the ranking of a search by shared weights was worth; mode: of the search."""
    known = SEARCH_MODES.get(mode)
    if known is not None and known.learns:
        text = f"A model of all options mixed was trained {figures.epochs} epochs and came to {figures.plans} plans; "
    else:
        text = f"Weights that all plans share were trained {figures.epochs} epochs and ranked {figures.plans} plans; "
    text += f"{figures.epochs_in_all} epochs in all were trained."
    if figures.tau is not None:
        text += (
            f" Kendall's tau between their order by these weights and that after fine-tuning is {figures.tau:.2f}, "
            f"over {figures.compared} trials."
        )
    if figures.fell_back is not None:
        text += f" The ranking was not believed from trial {figures.fell_back} on, and the search went on as guided."
    return text


def _found(limit: Limit) -> str:
    return "" if limit.best is None else f" (the best model has {cost(limit.best, limit.unit)})"


def _of_earlier(demands: Demands, unit: str) -> list[Limit]:
    """Limits of a result by a version that did not tell what the best model has of them."""
    found = (("energy", "pJ", demands.energy), ("cost", unit, demands.cost))
    return [
        Limit(cost=key, unit=own, most=most, reference=0.0, best=None) for key, own, most in found if most is not None
    ]


NOT_KEPT = "No trial keeps to it: the best model is the one that comes nearest."


def kept_to(demands: Demands) -> str:
    """Whether that was found."""
    return {True: "The best trial keeps to it.", None: "No trial was completed."}.get(demands.met, NOT_KEPT)
