"""Names of what can be asked of a trial, and what each is, in a module of their own that `--help` can import fast."""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "number": "of the trial",
    "status": "completed, failed or skipped",
    "block": "that was searched",
    "score": "of metric and cost; more is better",
    "metric": "the target metric on the selection set",
    "energy": "of one inference: 5000, 5nJ",
    "cost": "in the goal's unit",
    "macs": "multiply-accumulates",
    "bops": "bit operations: 5k, 2.5M",
    "ebops": "effective bit operations, at most",
    "weight_memory": "of parameters, bit by bit: 64kB",
    "activation_memory": "of all activations, bit by bit",
    "peak_activation": "of activations at once, bit by bit",
    "flash": "of parameters, in whole bytes",
    "ram": "of activations at once, in whole bytes",
    "ratio": "the reference's energy over the trial's",
    "delta": "what its cost is worth, a part of the metric",
    "accepted": "whether it keeps to max_drop and tolerance: yes, no",
    "role": "best, front, knee",
    "time": "that it took: 90, 90s, 2min",
    "epochs": "the last one trained",
    "best_epoch": "whose weights were kept",
    "parent": "the trial whose weights it began with; 0: weights that all plans share",
    "same_as": "the earlier trial with the same plan",
    "bound": "the score that a skipped one could have had",
    "reason": "why it failed, was skipped or stopped",
}
"""Those that every run has; see `trial_keys`."""
