"""Files of other packages for quantized or pruned models: which one it is, and what to do instead."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsearch.errors import ModelError
from qsearch.models.stored import items


@dataclass(frozen=True)
class _Package:
    """A package by the names that its files hold.

    Attributes:
        modules: roots of the modules, and names of registered packages (`hgq>QDense`), in lower case.
        classes: names of its layers where a file says no more, with the way out of each.
        way_out: of any other layer.
    """

    name: str
    modules: tuple[str, ...]
    classes: Mapping[str, str]
    way_out: str


_AGAIN = "quantize the float model here instead, or convert it with that package"
_STRIP = "save tfmot.sparsity.keras.strip_pruning(model) instead"
_UNCLUSTER = "save tfmot.clustering.keras.strip_clustering(model) instead"
_FLOAT = "save the float model, before tfmot.quantization.keras.quantize_model, and quantize it here"
_PACKAGES = (
    _Package(
        "tfmot (tensorflow-model-optimization)",
        ("tensorflow_model_optimization", "tfmot"),
        {
            "PruneLowMagnitude": _STRIP,
            "ClusterWeights": _UNCLUSTER,
            "ClusterWeightsMHA": _UNCLUSTER,
            "QuantizeWrapper": _FLOAT,
            "QuantizeWrapperV2": _FLOAT,
            "QuantizeLayer": _FLOAT,
            "QuantizeAnnotate": _FLOAT,
        },
        _AGAIN,
    ),
    _Package(
        "HGQ",
        ("hgq", "hgq2"),
        dict.fromkeys(
            ("HQuantize", "HDense", "HConv1D", "HConv2D", "HActivation", "HAdd", "HDenseBatchNorm", "HConv2DBatchNorm"),
            _AGAIN,
        ),
        _AGAIN,
    ),
)


def refuse_packages(path: Path, config: Any, known: Mapping[str, Any]) -> None:
    """Refuse a file of a package whose layers compute what ours do not.

    Args:
        known: the user's own classes by name, which pass.

    Raises:
        ModelError: it names the layer, the package and the way out.
    """
    for item in items(config, "", is_layer=True):
        name = item.name.rpartition(">")[2]
        if not item.is_layer or name in known:
            continue
        roots = {(item.module or "").partition(".")[0].lower(), item.package.lower()}
        for package in _PACKAGES:
            if roots & set(package.modules) or (item.module in ("", None) and name in package.classes):
                way_out = package.classes.get(name, package.way_out)
                raise ModelError(f"{path}: layer {item.layer!r} is a {name} of {package.name}: {way_out}")
