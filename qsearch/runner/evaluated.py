"""Models evaluated on the test set of a configuration, as a run evaluates them."""

from __future__ import annotations

from pathlib import Path

import keras

from qsearch.config import load_config
from qsearch.runner.experiment import read_experiment
from qsearch.runner.model_choice import ModelChoice
from qsearch.runner.placed import placed
from qsearch.runner.prepared import Prepared, prepared
from qsearch.training.fit import compile_model, evaluate


def ready_for(choice: ModelChoice, config: Path) -> Prepared:
    """The data, loss and metrics of a configuration, for a model in place of its own.

    Raises:
        QsearchError: as a run of it with that model.
    """
    keys = ", ".join(f"{key}: {value}" for key, value in choice.keys().items())
    loaded = load_config(config, [f"model={{{keys}}}"])
    with placed(loaded):
        return prepared(read_experiment(loaded, choice.allow_code))


def evaluated(ready: Prepared, model: keras.Model) -> dict[str, float]:
    """Loss and metrics of a model on the test set."""
    compile_model(model, ready.recipe)
    return evaluate(model, ready.data.test, ready.recipe)
