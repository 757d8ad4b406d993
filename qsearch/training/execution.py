"""How training is carried out: every choice that a GPU may turn, in one place, each with a switch under `run:`.

What was measured on processors is in docs/training.md. Nothing was measured on a GPU yet: where one is there, Keras'
own choice of XLA counts, and all else is as it is without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import keras
import tensorflow as tf

from qsearch.config.schema import RunConfig

_WORTH_SHARING = 4
"""Trials from which on one model for all of them is sooner ready than one for each."""
_SECONDS = 0.4
"""Of one call, as estimated: signals are answered between calls."""
_MACS_PER_SECOND = 2e9
_OVERHEAD = 0.004
"""Seconds of a step of the smallest network."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The switches of a run, and what they come to.

    Data in memory have none: TensorFlow orders them where its pipelines run, which is the processor.

    Attributes:
        jit_compile: whether XLA compiles the steps of ordinary models.
        steps_per_execution: steps that are one call, of data in memory on one device.
        trials: in one model for all of them, or each in its own.
        gpu: whether there is a device other than the processor.
    """

    SHARED_JIT_COMPILE: ClassVar[bool] = False
    """Of the one model for all trials, whose shapes are not fixed, as XLA needs them."""

    jit_compile: Literal["auto"] | bool = "auto"
    steps_per_execution: Literal["auto"] | int = "auto"
    trials: Literal["auto", "shared", "rebuilt"] = "auto"
    gpu: bool = False

    @classmethod
    def of(cls, run: RunConfig) -> Execution:
        """On this machine."""
        return cls(
            jit_compile=run.jit_compile,
            steps_per_execution=run.steps_per_execution,
            trials=run.trials,
            gpu=any(device.device_type != "CPU" for device in tf.config.list_physical_devices()),
        )

    def set_up(self, model: keras.Model) -> None:
        """Let XLA compile the steps of a compiled model, or not; a file of the model does not know of it."""
        if self.jit_compile != "auto":
            model.jit_compile = self.jit_compile
        elif not self.gpu:  # convolutions take 6 to 25 times as long there
            model.jit_compile = False

    def shares(self, trials: int) -> bool:
        """Whether so many trials are trained in one model, where that is possible."""
        return self.trials == "shared" or (self.trials == "auto" and trials >= _WORTH_SHARING)

    def why_rebuilt(self) -> str | None:
        """What keeps trials from sharing a model; None: nothing."""
        if self.jit_compile is True:
            return "run.jit_compile is true, and XLA needs shapes that are fixed"
        return None

    def steps_of_call(self, steps: int, batch_size: int, macs: int) -> int:
        """How many steps of training are one call: a part of an epoch without a rest, where one is large enough.

        Args:
            steps: of an epoch, which is one call at most.
            macs: multiply-accumulates of one sample, forward.
        """
        if self.steps_per_execution != "auto":
            return min(steps, self.steps_per_execution)
        each = _OVERHEAD + 3 * macs * batch_size / _MACS_PER_SECOND
        most = max(1, min(steps, int(_SECONDS / each)))
        even = next(count for count in range(most, 0, -1) if steps % count == 0)
        return even if 2 * even > most else most


def unfit_for_xla(model: keras.Model) -> str | None:
    """A layer that XLA cannot compile, as it says itself."""
    unfit = (one for one in model._flatten_layers(include_self=False) if not one.supports_jit)
    return next((f"{one.name} ({type(one).__name__})" for one in unfit), None)
