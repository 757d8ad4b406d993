"""What CONTRIBUTING.md says about adding something is enough: a copy of the package, edited there alone, can do it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

NAMES = "qsearch/config/names.py"
DATASETS, MODELS = "qsearch/datasets/load.py", "qsearch/models/presets.py"
PROCESSES, MODES = "qsearch/energy/process.py", "qsearch/search/modes.py"
ROOM = "qsearch/quantizers/"

EDITS: dict[str, dict[str, tuple[tuple[str, str], ...]]] = {
    "a data set": {
        NAMES: (('"digits")\nMODELS', '"digits", "halved_digits")\nMODELS'),),
        DATASETS: (
            ('    "digits": digits,\n', '    "digits": digits,\n    "halved_digits": _halved,\n'),
            (
                "DATASETS: Mapping",
                "def _halved() -> Raw:\n"
                "    raw = digits()\n"
                "    train, test = raw.train_x[:, ::2, ::2], raw.test_x[:, ::2, ::2]\n"
                "    return Raw(train_x=train, train_y=raw.train_y, test_x=test, test_y=raw.test_y, scale=raw.scale)\n"
                "\n\nDATASETS: Mapping",
            ),
        ),
    },
    "a model": {
        NAMES: (('"digits_resnet")', '"digits_resnet", "narrow")'),),
        MODELS: (
            (
                '    "resnet8"',
                '    "narrow": BlockNetwork(shape=(4, 4, 1), num_classes=10, kernel_size=3, filters=(4, 8)),\n'
                '    "resnet8"',
            ),
        ),
    },
    "a process": {
        NAMES: (('"jouppi_7nm")', '"jouppi_7nm", "measured")'),),
        PROCESSES: (
            (
                '        "jouppi_7nm": Process(',
                '        "measured": Process(\n            name="measured",\n'
                "            fixed_add=(0.5,),\n            fixed_mul=(1.0,),\n"
                "            float_add={16: 1.0, 32: 1.0},\n            float_mul={16: 1.0, 32: 1.0},\n"
                '            sram_word=(1.0,),\n            dram_bit=10.0,\n            source="a test",\n        ),\n'
                '        "jouppi_7nm": Process(',
            ),
        ),
    },
    "a mode": {
        "qsearch/config/search_modes.py": (
            (
                '        SearchMode(name="random", ',
                '        SearchMode(name="plain"),\n        SearchMode(name="random", ',
            ),
        ),
        MODES: (('    "random": _random,\n', '    "random": _random,\n    "plain": _random,\n'),),
    },
    "a layer": {
        "qsearch/layers/weights.py": (
            (
                "@_register\nclass QConv1D",
                '@_register\nclass QConv3D(_OneKernel, keras.layers.Conv3D):\n    """Conv3D with quantizers."""\n\n'
                "    def __init__(self, filters, kernel_size, activation=None, kernel_quantizer=None, "
                "bias_quantizer=None, **kwargs):\n"
                "        self._start((filters, kernel_size), activation, kernel_quantizer, bias_quantizer, kwargs)\n\n"
                "    def _operation(self, inputs, kernel):\n        return self.convolution_op(inputs, kernel)\n\n\n"
                "@_register\nclass QConv1D",
            ),
        ),
        "qsearch/layers/table.py": (
            (
                '    "QConv1D": replace(',
                '    "QConv3D": replace(_KERNEL, replaces=("Conv3D",), width="filters"),\n    "QConv1D": replace(',
            ),
        ),
    },
    "a quantizer": {
        f"{ROOM}fixed_point.py": (
            (
                "@_register\nclass quantized_hswish",
                '@_register\nclass quantized_steps(quantized_bits):\n    """quantized_bits by another name."""\n\n\n'
                "@_register\nclass quantized_hswish",
            ),
        ),
        f"{ROOM}table.py": (
            (
                '    "quantized_po2": Entry(',
                '    "quantized_steps": Entry("fixed_point", _signed, (_BITS, _INT_BITS, _SYMMETRIC, _KEEP_NEGATIVE, '
                "_ALPHA, _STOCHASTIC, _SCALE_AXIS, _NOISE, _VAR_NAME, _USE_STE, _USE_VARIABLES, *_GROUPS, "
                'Parameter("post_training_scale", None, SCALE), _ROUNDING)),\n    "quantized_po2": Entry(',
            ),
        ),
    },
}

CONFIG = """
dataset: {name: halved_digits, train_samples: 300, test_samples: 100, validation: 0.2}
model: {name: narrow}
reference: {epochs: 1}
quantization_config: {kernel: {"quantized_steps(4,0,alpha=1.0)": 4, "quantized_steps(2,0,alpha=1.0)": 2}}
limit: {Dense: [8, 8, 8], Conv2D: [8, 8, 8], Activation: [8]}
goal: {type: energy, params: {process: measured}}
run: {output_dir: out, mode: plain, max_trials: 2, epochs: 1}
"""


VOLUMES = """
import keras


def build():
    x = inputs = keras.Input((4, 4, 1))
    x = keras.layers.Conv3D(4, 2, activation="relu", name="volume")(keras.layers.Reshape((4, 2, 2, 1))(x))
    return keras.Model(inputs, keras.layers.Dense(10, activation="softmax")(keras.layers.Flatten()(x)))
"""

VOLUMES_CONFIG = """
dataset: {name: halved_digits, train_samples: 300, test_samples: 100, validation: 0.2}
model: {factory: "volumes:build"}
reference: {epochs: 1}
limit: {Dense: [8, 8, 8], Conv3D: [2, 8, 4]}
goal: {type: energy}
run: {output_dir: volumes, mode: random, max_trials: 1, epochs: 1, tune_filters: layer}
"""


def rows(root: Path) -> dict[str, set[str]]:
    """The files that each row of the table names."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| (an? [^|]+) \| ([^|]+) \| [^|]+ \|$", text, re.MULTILINE)
    return {what: set(re.findall(r"`([^`]+)`", where)) for what, where in table}


def test_the_table_names_the_files_that_are_edited_here(root: Path) -> None:
    assert rows(root) == {what: {*files} for what, files in EDITS.items()}


def test_files_that_contributing_names_are_there(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = [path for path in re.findall(r"`((?:qsearch|tests|scripts|docs)/[\w./]*)`", text) if "*" not in path]
    assert named
    assert [path for path in named if not (root / path).exists()] == []


def test_the_order_of_rooms_is_the_tested_one(root: Path) -> None:
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    architecture = (root / "tests" / "test_architecture.py").read_text(encoding="utf-8")
    kept = re.search(r"ROOMS = \((.*?)\)", architecture, re.DOTALL)
    said = re.search(r"rooms before it:\n\n(.*?)\n\n", text, re.DOTALL)
    assert kept and said
    assert re.findall(r"`(\w+)`", said[1]) == re.findall(r'"(\w+)"', kept[1])


@pytest.fixture(scope="module")
def edited(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with one more of everything."""
    folder = tmp_path_factory.mktemp("edited")
    shutil.copytree(root / "qsearch", folder / "qsearch", ignore=shutil.ignore_patterns("__pycache__"))
    for files in EDITS.values():
        for name, changes in files.items():
            path = folder / name
            text = path.read_text(encoding="utf-8")
            for old, new in changes:
                assert text.count(old) == 1, (name, old)
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
    return folder


def searched(edited: Path, config: str) -> list[dict[str, Any]]:
    """The journal of a run of the copy."""
    (edited / "added.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "qsearch", "run", "added.yaml", "--plain"]
    environment = {**os.environ, "PYTHONPATH": str(edited)}
    done = subprocess.run(command, cwd=edited, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    folder = edited / yaml.safe_load(config)["run"]["output_dir"]
    return [json.loads(line) for line in (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()]


def test_what_is_added_there_is_searched_with(edited: Path) -> None:
    trials = searched(edited, CONFIG)
    assert [trial["status"] for trial in trials] == ["completed"] * 2
    assert "quantized_steps(" in json.dumps(trials)
    result = json.loads((edited / "out" / "result.json").read_text(encoding="utf-8"))
    assert result["mode"] == "plain"
    assert result["reference"]["energy"] > 0


def test_a_layer_that_is_added_there_is_searched(edited: Path) -> None:
    (edited / "volumes.py").write_text(VOLUMES, encoding="utf-8")
    trial = searched(edited, VOLUMES_CONFIG)[0]
    assert trial["status"] == "completed"
    assert {"kernel", "bias", "activation", "filters"} == trial["plan"]["volume"].keys()
    assert zipfile.is_zipfile(edited / "volumes" / "best" / "model.keras")
