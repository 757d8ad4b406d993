"""Models of a run read back from its directory."""

from __future__ import annotations

from pathlib import Path

import keras

from qsearch.errors import ModelError, reason_of
from qsearch.models import load_model
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan


def reloaded(path: Path, reference: keras.Model, plan: QuantizationPlan) -> keras.Model:
    """The model in a file, made again from the reference and its plan, so that it has the reference's live functions.

    Raises:
        ModelError: there is no such file, or its weights are not those of such a model.
    """
    if not path.exists():
        return load_model(path)  # which says so
    model = apply_plan(reference, plan)
    try:
        model.load_weights(path)
    except Exception as error:  # Keras raises whatever a broken file makes it stumble over
        reason = reason_of(error)
        raise ModelError(f"{path}: its weights do not fit the model of this run: {reason}") from None
    return model
