"""The reference that plans are made of without training them: trained as a run does, or with the weights it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from qsearch.runner.prepared import Prepared
from qsearch.search.seeds import REFERENCE_SEED, spread
from qsearch.training.batches import Feeds
from qsearch.training.fit import compile_model, evaluate, train


def reference_for_plans(ready: Prepared, told: Callable[[str], None]) -> dict[str, float]:
    """Train the reference for `reference.epochs`, as `qsearch run` does; its metrics on the set to select on.

    Raises:
        SearchError: training diverged.
    """
    experiment = ready.experiment
    config, model = experiment.loaded.config, experiment.model
    epochs = config.reference.epochs
    told(f"reference: {epochs} epochs" if epochs else "reference: not trained (epochs: 0), its weights as they are")
    if epochs:

        def ended(epoch: int, of: int, metrics: Mapping[str, float]) -> None:
            told(
                f"reference: epoch {epoch} of {of}, {ready.recipe.target.name} {metrics[ready.recipe.target.name]:.4f}"
            )

        train(model, ready.data, ready.recipe, spread(config.run.seed, REFERENCE_SEED), ended, feeds=Feeds())
    compile_model(model, ready.recipe)
    return evaluate(model, ready.data.selection, ready.recipe)
