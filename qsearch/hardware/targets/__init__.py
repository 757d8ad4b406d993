"""What an integer model can be written as: a module a target, each with a `TARGET`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.hardware.targets.target import Target

TARGETS: Mapping[str, str] = {
    "c": "c",
    "codes": "codes",
    "finn": "finn",
    "hls4ml": "hls4ml",
    "litert": "litert",
    "onnx": "onnx",
    "qonnx": "qonnx",
}
"""Names of targets, and their modules in this package; they are imported when they are asked for."""


def target_named(name: str) -> Target:
    """The target of a name.

    Raises:
        ConfigError: there is none.
    """
    if name not in TARGETS:
        raise ConfigError(
            f"target {shown(name)}: unknown{did_you_mean(name, TARGETS)}; allowed: {', '.join(sorted(TARGETS))}"
        )
    target: Target = import_module(f"qsearch.hardware.targets.{TARGETS[name]}").TARGET
    return target
