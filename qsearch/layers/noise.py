"""QNoiseScheduler: quantization that sets in slowly while a model trains."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras

from qsearch.errors import ConfigError, did_you_mean
from qsearch.layers.held import quantizers_of
from qsearch.quantizers.base import Noisy

_KINDS = ("epoch", "step")


class QNoiseScheduler(keras.callbacks.Callback):  # type: ignore[misc]
    """Moves the qnoise_factor n of every quantizer that has one from 0 to 1 during `fit`.

    n = 1 − (1 − (t − start)/(finish − start))^exponent between start and finish, 0 before, 1 from finish on;
    t counts epochs or steps from `initial_step_or_epoch`. Baskin et al. 2019 (arXiv:1903.01061).
    Where a quantizer was made without `use_variables=True`, n becomes a variable, and the model's functions are
    compiled anew.

    Args:
        freq_type: "epoch" or "step": what start, finish and update_freq count.
        update_freq: set n every so many of them.
        use_ste: what the quantizers were made with; they cannot change it.

    Raises:
        ConfigError: values that are not allowed; when training starts, a model without such a quantizer.
    """

    def __init__(
        self,
        start: int,
        finish: int,
        freq_type: str = "epoch",
        update_freq: int = 1,
        initial_step_or_epoch: int = 0,
        exponent: float = 3.0,
        use_ste: bool = True,
    ) -> None:
        super().__init__()
        if freq_type not in _KINDS:
            near = did_you_mean(str(freq_type), _KINDS)
            raise ConfigError(
                f"QNoiseScheduler: freq_type: found {freq_type!r}, allowed: {', '.join(map(repr, _KINDS))}{near}"
            )
        if finish < start or update_freq < 1:
            raise ConfigError(
                f"QNoiseScheduler: found start {start}, finish {finish}, update_freq {update_freq}; "
                "expected finish >= start and update_freq >= 1"
            )
        self.start, self.finish, self.exponent = start, finish, exponent
        self.by_step = freq_type == "step"
        self.update_freq = update_freq
        self.use_ste = use_ste
        self.time = initial_step_or_epoch
        self.quantizers: list[Noisy] = []

    def factor(self, time: int) -> float:
        """n at an epoch or step."""
        if time >= self.finish:
            return 1.0
        if time < self.start:
            return 0.0
        return float(1.0 - (1.0 - (time - self.start) / (self.finish - self.start)) ** self.exponent)

    def on_train_begin(self, logs: Any = None) -> None:
        quantizers = {id(one): one for layer in self.model._flatten_layers() for one in noisy_of(layer)}
        self.quantizers = list(quantizers.values())
        if not self.quantizers:
            raise ConfigError("QNoiseScheduler: no quantizer of the model has a qnoise_factor")
        for one in self.quantizers:
            if one.spec.arguments.get("use_ste", self.use_ste) != self.use_ste:
                raise ConfigError(f"QNoiseScheduler: use_ste: found {self.use_ste}, but the model has {one.spec}")
        self._make_variables()
        self._set()

    def _make_variables(self) -> None:
        if all(one.can_change for one in self.quantizers):
            return
        for one in self.quantizers:
            one.make_variable()
        for compiled in ("make_train_function", "make_test_function", "make_predict_function"):
            getattr(self.model, compiled)(force=True)  # a number is part of what they were compiled to

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self.by_step:
            self._advance()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        if self.by_step:
            self._advance()

    def _advance(self) -> None:
        if self.time % self.update_freq == 0:
            self._set()
        self.time += 1

    def _set(self) -> None:
        for quantizer in self.quantizers:
            quantizer.update_qnoise_factor(self.factor(self.time))


def noisy_of(layer: Any) -> Iterator[Noisy]:
    """The quantizers with a qnoise_factor that a layer itself holds."""
    yield from (quantizer for _, quantizer in quantizers_of(layer) if isinstance(quantizer, Noisy))
