"""qsearch: the mixed-precision version of a Keras model that uses the least energy for the accuracy kept.

    import qsearch
    result = qsearch.run("config.yaml")
    model = qsearch.quantize_model(qsearch.build_model("mnist"), {"QConv2D": {"kernel_quantizer": "ternary"}})
    print(qsearch.estimate_energy(model).total)      # pJ

Keras and TensorFlow are imported with the first name that needs them.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from qsearch.startup import BACKEND, importing

# Keras reads this once, when it is imported; the layers are written for TensorFlow.
if not os.environ.get("KERAS_BACKEND"):
    os.environ["KERAS_BACKEND"] = BACKEND

__version__ = "0.1.0"

if TYPE_CHECKING:
    from qsearch import layers as layers
    from qsearch import quantizers as quantizers
    from qsearch.config.shipped import shipped_configs as shipped_configs
    from qsearch.datasets import load_dataset as load_dataset
    from qsearch.energy.bias import bias_from_accumulators as bias_from_accumulators
    from qsearch.energy.public import estimate_energy as estimate_energy
    from qsearch.hardware.public import export as export
    from qsearch.hardware.verify import verify as verify
    from qsearch.hardware.weights import quantized_weights as quantized_weights
    from qsearch.layers.noise import QNoiseScheduler as QNoiseScheduler
    from qsearch.models import build_model as build_model
    from qsearch.models import load_model as load_model
    from qsearch.observers.observer import Observer as Observer
    from qsearch.observers.observer import RunStart as RunStart
    from qsearch.quantize.public import left_alone as left_alone
    from qsearch.quantize.public import quantize_model as quantize_model
    from qsearch.quantize.unfold import unfold_model as unfold_model
    from qsearch.runner.pipeline import run as run
    from qsearch.runs.record import RunRecord as RunRecord

_PUBLIC = {
    "Observer": "qsearch.observers.observer",
    "QNoiseScheduler": "qsearch.layers.noise",
    "RunRecord": "qsearch.runs.record",
    "RunStart": "qsearch.observers.observer",
    "bias_from_accumulators": "qsearch.energy.bias",
    "build_model": "qsearch.models",
    "estimate_energy": "qsearch.energy.public",
    "export": "qsearch.hardware.public",
    "load_dataset": "qsearch.datasets",
    "load_model": "qsearch.models",
    "left_alone": "qsearch.quantize.public",
    "quantize_model": "qsearch.quantize.public",
    "quantized_weights": "qsearch.hardware.weights",
    "shipped_configs": "qsearch.config.shipped",
    "unfold_model": "qsearch.quantize.unfold",
    "verify": "qsearch.hardware.verify",
    "run": "qsearch.runner.pipeline",
}
_ROOMS = ("layers", "quantizers")

__all__ = [
    "Observer",
    "QNoiseScheduler",
    "RunRecord",
    "RunStart",
    "bias_from_accumulators",
    "build_model",
    "estimate_energy",
    "export",
    "layers",
    "left_alone",
    "load_dataset",
    "load_model",
    "quantize_model",
    "quantized_weights",
    "quantizers",
    "run",
    "shipped_configs",
    "unfold_model",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        with importing():
            return getattr(import_module(_PUBLIC[name]), name)
    if name in _ROOMS:
        with importing():
            return import_module(f"qsearch.{name}")
    raise AttributeError(f"module 'qsearch' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
