"""Files of other packages are refused by the package's name; configurations are as those packages write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import qsearch
from qsearch.errors import ModelError


def architecture(item: dict[str, Any], folder: Path, keras3: bool) -> tuple[Path, Path]:
    first = {"class_name": "InputLayer", "config": {"batch_input_shape": [None, 5], "dtype": "float32", "name": "in"}}
    model: dict[str, Any] = {"class_name": "Sequential", "config": {"name": "net", "layers": [first, item]}}
    model |= {"module": "keras", "registered_name": None} if keras3 else {"keras_version": "2.15.0"}
    path, weights = folder / "net.json", folder / "net.h5"
    path.write_text(json.dumps(model), encoding="utf-8")
    weights.touch()
    return path, weights


DENSE = {"class_name": "Dense", "config": {"name": "d", "units": 3}}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("PruneLowMagnitude", r"of tfmot .*: save tfmot\.sparsity\.keras\.strip_pruning\(model\) instead"),
        ("ClusterWeights", r"of tfmot .*: save tfmot\.clustering\.keras\.strip_clustering\(model\) instead"),
        ("QuantizeWrapperV2", r"of tfmot .*: save the float model, before tfmot\.quantization"),
        ("QuantizeLayer", r"of tfmot .*: save the float model"),
        ("HDense", "of HGQ: quantize the float model here instead, or convert it with that package"),
        ("HGQ>HConv2D", "of HGQ: quantize the float model"),
    ],
)
def test_keras_2(kind: str, message: str, tmp_path: Path) -> None:
    item = {"class_name": kind, "config": {"name": "wrapped", "layer": DENSE}}
    path, weights = architecture(item, tmp_path, keras3=False)
    with pytest.raises(ModelError, match=f"net.json: layer 'wrapped' is a {kind.rpartition('>')[2]} {message}"):
        qsearch.load_model(path, weights=weights)


def test_keras_3(tmp_path: Path) -> None:
    """HGQ 2's layers have QKeras' names."""
    item = {
        "module": "hgq.layers.core.dense",
        "class_name": "QDense",
        "config": {"name": "q", "units": 3},
        "registered_name": "hgq>QDense",
    }
    path, weights = architecture(item, tmp_path, keras3=True)
    with pytest.raises(ModelError, match="layer 'q' is a QDense of HGQ"):
        qsearch.load_model(path, weights=weights)
