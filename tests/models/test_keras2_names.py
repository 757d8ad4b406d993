"""Layers of Keras 2 with a `/` in their names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy
import pytest

import qsearch
from qsearch.errors import ModelError
from qsearch.models.keras2_names import with_plain_names


def dense(name: str, source: str) -> dict[str, Any]:
    config = {"name": name, "units": 2, "activation": "linear", "use_bias": False}
    return {"class_name": "Dense", "name": name, "config": config, "inbound_nodes": [[[source, 0, 0, {}]]]}


def architecture() -> dict[str, Any]:
    first = {"name": "in/put", "batch_input_shape": [None, 2], "dtype": "float32"}
    inputs = {"class_name": "InputLayer", "name": "in/put", "config": first, "inbound_nodes": []}
    layers = [inputs, dense("a/b", "in/put"), dense("a_b", "a/b")]
    config = {"name": "my/net", "layers": layers, "input_layers": [["in/put", 0, 0]], "output_layers": [["a_b", 0, 0]]}
    return {"class_name": "Functional", "config": config, "keras_version": "2.15.0", "backend": "tensorflow"}


def weights(path: Path, kernels: dict[str, Any]) -> Path:
    """As `save_weights` of Keras 2 writes them."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in kernels]
        for name, kernel in kernels.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/kernel:0".encode()]
            group[f"{name}/kernel:0"] = kernel
    return path


KERNELS = {"a/b": numpy.array([[1.0, 2.0], [3.0, 4.0]]), "a_b": numpy.array([[0.0, 1.0], [1.0, 0.0]])}


def test_they_are_built_under_names_without_it(tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps(architecture()), encoding="utf-8")
    model = qsearch.load_model(path, weights=weights(tmp_path / "net.h5", KERNELS))
    assert model.name == "my_net"
    assert [layer.name for layer in model.layers] == ["in_put", "a_b_1", "a_b"]
    numpy.testing.assert_allclose(model(numpy.array([[1.0, 1.0]])), [[6.0, 4.0]])


def test_stored_configurations_are_not_changed() -> None:
    stored = architecture()
    with_plain_names(stored)
    assert stored == architecture()


def test_weights_in_the_newer_form_of_keras_2(tmp_path: Path) -> None:
    path, held = tmp_path / "net.json", tmp_path / "net.weights.h5"
    path.write_text(json.dumps(architecture()), encoding="utf-8")
    with h5py.File(held, "w") as file:
        file.create_group("_layer_checkpoint_dependencies")
    with pytest.raises(ModelError, match=r"save them with that version as net\.h5, without \.weights before"):
        qsearch.load_model(path, weights=held)
    held.write_text("no weights", encoding="utf-8")
    with pytest.raises(ModelError, match=r"net\.weights\.h5: is no HDF5 file"):
        qsearch.load_model(path, weights=held)
