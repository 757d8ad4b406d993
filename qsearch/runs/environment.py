"""What a run ran on."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "scikit-learn", "numpy", "pydantic", "pyyaml")


def environment(seed: int, inputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Versions, machine and seed: the content of environment.json.

    Args:
        inputs: what the files and samples of the run are known again by; see `qsearch.runs.fingerprints`.
    """
    from qsearch import __version__

    return {
        "qsearch": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "packages": {name: _version(name) for name in PACKAGES},
        "command": sys.argv,
        "seed": seed,
        "inputs": dict(inputs or {}),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
