"""Candidates that never work on their layers are refused with their place; those that work at some widths are told."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.graph.from_keras import read_model
from qsearch.models import build_model
from qsearch.search.limits import search_space
from qsearch.search.suited import check_suited


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return build_model("digits", filters=(4, 6))


def remarks(folder: Path, model: keras.Model, rest: str) -> list[str]:
    path = folder / "c.yaml"
    path.write_text(f"dataset: {{name: digits}}\nmodel: {{name: digits}}\n{rest}", encoding="utf-8")
    loaded, graph = load_config(path), read_model(model)
    return check_suited(loaded, graph, search_space(graph, [layer.name for layer in model.layers], loaded))


def refused(folder: Path, model: keras.Model, rest: str) -> str:
    with pytest.raises(ConfigError) as error:
        remarks(folder, model, rest)
    return str(error.value).replace(str(folder), "")


LIMIT = "limit: {Conv2D: [4, 8, 4], Activation: [4]}\n"
ACROSS = '"quantized_bits(4,alpha=auto_po2,scale_axis=3,elements_per_scale=%d)"'


def test_a_list_of_scales_of_another_length(tmp_path: Path, small: keras.Model) -> None:
    kernels = '{binary: 1, "binary(alpha=[1,2])": 1}'
    told = refused(tmp_path, small, f"{LIMIT}quantization_config:\n  kernel: {kernels}\n")
    assert told == (
        "/c.yaml:5:23: quantization_config.kernel.binary(alpha=[1,2]): binary(alpha=[1,2]) never works as the kernel "
        "of conv2d_0, of shape (3, 3, 1, 4): alpha has 2 values along axis 3, which has 4 entries; allowed: 1 or 4"
    )


def test_a_list_of_a_limit(tmp_path: Path, small: keras.Model) -> None:
    told = refused(tmp_path, small, 'limit:\n  Dense: [[binary], [ternary, "binary(alpha=[1,2])"]]\n')
    assert told.startswith("/c.yaml:4:31: limit.Dense[1][1]: binary(alpha=[1,2]) never works as the bias of dense")
    told = refused(tmp_path, small, 'limit:\n  ^conv2d_1: [[binary, "binary(alpha=auto,scale_axis=7)"]]\n')
    assert told == (
        "/c.yaml:4:24: limit.^conv2d_1[0][1]: binary(alpha='auto',scale_axis=7) never works as the kernel of conv2d_1, "
        "of shape (3, 3, 4, 6): scale_axis: found 7, of 4 axes: -4 to 3 are allowed"
    )


def test_the_default_of_a_limit_is_the_place(tmp_path: Path, small: keras.Model) -> None:
    told = refused(tmp_path, small, 'limit: {default: [["binary(alpha=[1,2])"], 8, 8], Conv2D: []}\n')
    assert told.startswith("/c.yaml:3:20: limit.default[0][0]: binary(alpha=[1,2]) never works as the kernel")


def test_every_candidate_is_told_once(tmp_path: Path, small: keras.Model) -> None:
    kernels = '{"binary(alpha=[1,2])": 1, "binary(alpha=[1,2,3])": 1, ternary: 2, "ternary(threshold=3)": 2}'
    told = refused(tmp_path, small, f"{LIMIT}quantization_config:\n  kernel: {kernels}\n").split("\n")
    assert len(told) == 3
    assert told[-1].endswith("threshold: found 3; kernels stay within 1, so that all of it would be 0")


def test_activations(tmp_path: Path, small: keras.Model) -> None:
    grouped = '"binary(alpha=auto,scale_axis=-1,elements_per_scale=2)"'
    told = refused(tmp_path, small, f'limit: {{Activation: [["quantized_relu(4,2)", {grouped}]]}}\n')
    assert "limit.Activation[0][1]: " in told
    assert "never works as the activation of act_0, of shape (any, " in told
    assert told.endswith("elements_per_scale is for weights: it needs axes whose lengths are known; leave it out")


def test_some_widths(tmp_path: Path, small: keras.Model) -> None:
    config = f"{LIMIT}quantization_config:\n  kernel: {{binary: 1, {ACROSS % 4}: 4}}\n"
    assert "never works as the kernel of conv2d_1, of shape (3, 3, 4, 6)" in refused(tmp_path, small, config)
    found = remarks(tmp_path, small, f"{config}run: {{tune_filters: layer}}\n")
    assert len(found) == 2
    assert found[0] == (
        "quantized_bits(4,alpha='auto_po2',scale_axis=3,elements_per_scale=4) works as the kernel of conv2d_0 at 2 of "
        "5 widths; trials with others fail: at shape (3, 3, 1, 2), elements_per_scale: axis 3 has 2 entries, no "
        "multiple of 4, allowed: 1, 2"
    )
    assert "never works" in refused(tmp_path, small, f"{config.replace('4)', '5)')}run: {{tune_filters: layer}}\n")


def test_what_fits(tmp_path: Path, small: keras.Model) -> None:
    fine = f'{{{ACROSS % 2}: 4, "binary(alpha=[2.0])": 1, "quantized_bits(4,alpha=[[[[1.0]]]])": 4}}'
    assert remarks(tmp_path, small, f"{LIMIT}quantization_config:\n  kernel: {fine}\n") == []
