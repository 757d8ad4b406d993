"""Arguments of batch normalizations that only Keras 2 and QKeras have."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from qsearch.errors import ConfigError

_ABSENT: Mapping[str, Any] = {"renorm": False, "renorm_clipping": None, "virtual_batch_size": None, "adjustment": None}
"""What Keras 3 does not compute, with the value that switches it off."""
_IGNORED = ("renorm_momentum",)


def without_legacy(layer: str, arguments: Mapping[str, Any], without_effect: Sequence[str] = ()) -> dict[str, Any]:
    """The arguments that are left.

    Args:
        without_effect: those that QKeras stores and computes nothing with; they earn a warning where they are given.

    Raises:
        ConfigError: one that would change the outputs.
    """
    for key, default in _ABSENT.items():
        if arguments.get(key, default) not in (default, None):
            raise ConfigError(f"{layer}: {key}: found {arguments[key]!r}, but Keras 3 has no such option; leave it out")
    for key in without_effect:
        if arguments.get(key) is not None:
            warnings.warn(f"{layer}: {key} has no effect, here and in QKeras", DeprecationWarning, stacklevel=4)
    dropped = {*_ABSENT, *without_effect, *_IGNORED}
    return {key: value for key, value in arguments.items() if key not in dropped}
