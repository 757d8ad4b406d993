"""What reports say of a run, in plain words."""

from __future__ import annotations

from qsearch.report.units import cost, energy
from qsearch.runs.figures import Demands, FinalTraining, SharedWeightsFigures


def selected_on(validation: str | float, is_over: bool = True) -> str:
    """How the winner is selected, and what that makes of its test figure."""
    word = "was" if is_over else "is"
    if validation == "test":
        return f"The winner {word} selected on the test set (`validation: test`), so its test figure is optimistic."
    part = "a set of its own" if validation == "given" else f"{validation} of the training set, held out"
    return f"The winner {word} selected on {part}; the test set {word} used once, at the end."


def final_training(training: FinalTraining | None) -> str:
    """Where the best model's weights come from."""
    if training is None:
        return "Its weights are those of its trial; there was no final training."
    best = training.best_epoch
    kept = f"those of epoch {best}" if best else "those of its trial, which no later epoch improved on"
    return f"Final training took {training.epochs} epochs; its weights are {kept}."


def demanded(demands: Demands, metric: str, direction: str, unit: str) -> str:
    """What the user demanded."""
    asked = []
    if demands.energy is not None:
        asked.append(f"energy at most {energy(demands.energy)}")
    if demands.cost is not None:
        asked.append(f"cost at most {cost(demands.cost, unit)}")
    if demands.metric is not None:
        side = "at least" if direction == "max" else "at most"
        asked.append(f"{metric} {side} {demands.metric:.4f} on the selection set")
    return f"Demanded: {', '.join(asked)}."


def shared_weights(figures: SharedWeightsFigures) -> str:
    """What the ranking of a search by shared weights was worth."""
    text = (
        f"Weights that all plans share were trained {figures.epochs} epochs and ranked {figures.plans} plans; "
        f"{figures.epochs_in_all} epochs in all were trained."
    )
    if figures.tau is not None:
        text += (
            f" Kendall's tau between the order by the shared weights and that after fine-tuning is {figures.tau:.2f}, "
            f"over {figures.compared} trials."
        )
    if figures.fell_back is not None:
        text += f" The ranking was not believed from trial {figures.fell_back} on, and the search went on as guided."
    return text


NOT_KEPT = "No trial keeps to it: the best model is the one that comes nearest."


def kept_to(demands: Demands) -> str:
    """Whether that was found."""
    return {True: "The best trial keeps to it.", None: "No trial was completed."}.get(demands.met, NOT_KEPT)
