"""Quantizers and layers by their names, as people import them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import keras
import pytest
import stubs

import qsearch.layers
import qsearch.quantizers
from qsearch.layers.table import CELLS, LAYERS
from qsearch.quantizers.parameters import Parameter
from qsearch.quantizers.table import QUANTIZERS


@pytest.mark.parametrize("name", QUANTIZERS)
def test_a_quantizer_shows_its_parameters(name: str) -> None:
    quantizer = getattr(qsearch.quantizers, name)
    shown = inspect.signature(quantizer).parameters.values()
    expected = QUANTIZERS[name].parameters
    assert [(parameter.name, parameter.default) for parameter in shown] == [(p.name, p.default) for p in expected]
    assert quantizer.__doc__
    assert quantizer is getattr(import_module(f"qsearch.quantizers.{QUANTIZERS[name].module}"), name)


@pytest.mark.parametrize("path", stubs.stubs(), ids=lambda path: path.parent.name)
def test_editors_see_the_same(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == stubs.stubs()[path], "run scripts/stubs.py"


def test_layers_are_where_the_table_says() -> None:
    assert {*LAYERS, *CELLS} == {*qsearch.layers.__all__} <= {*dir(qsearch.layers)}
    for name, entry in LAYERS.items():
        layer = getattr(qsearch.layers, name)
        assert layer is getattr(import_module(f"qsearch.layers.{entry.module}"), name)
        assert issubclass(layer, keras.layers.Layer)


def test_names_are_listed_and_others_are_refused() -> None:
    assert {"quantized_bits", "get", "parse", "SIGNATURES"} <= set(dir(qsearch.quantizers))
    with pytest.raises(AttributeError, match="has no attribute 'quantised_bits'"):
        qsearch.quantizers.quantised_bits  # noqa: B018


def test_help_shows_the_signature() -> None:
    program = "from qsearch.quantizers import quantized_bits; help(quantized_bits)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "class quantized_bits" in told
    assert "quantized_bits(bits=8, integer=0, symmetric=False" in " ".join(told.split())


def test_defaults_are_of_their_own_kind() -> None:
    every: list[Parameter] = [parameter for entry in QUANTIZERS.values() for parameter in entry.parameters]
    assert all(parameter.kind.accepts(parameter.default) for parameter in every)
