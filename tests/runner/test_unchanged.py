"""A run goes on only with the files and samples that it was begun with."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from textwrap import dedent
from typing import Any

import keras
import numpy
import pytest

import qsearch
from qsearch.datasets.dataset import ArrayDataset, Split
from qsearch.errors import ConfigError, OutputError
from qsearch.runs.fingerprints import changed_data, of_data
from qsearch.search.trials import SilentObserver

CONFIG = """
dataset: {npz: DATA, validation: 0.25}
model: {path: MODEL}
reference: {epochs: 0}
limit: {Dense: [4, 8, 4]}
run: {output_dir: OUT, max_trials: 1, epochs: 1}
"""


class Lines(SilentObserver):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, title: str) -> None:
        self.lines.append(title)


def write_model(path: Path, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((5,))
    keras.Model(inputs, keras.layers.Dense(3, activation="softmax", name="answer")(inputs)).save(path)


def write_data(path: Path, seed: int) -> None:
    random = numpy.random.default_rng(seed)
    sets = {}
    for name, count in (("train", 64), ("test", 32)):
        sets[f"x_{name}"] = random.normal(size=(count, 5)).astype("float32")
        sets[f"y_{name}"] = sets[f"x_{name}"][:, :3].argmax(axis=1)
    numpy.savez(path, **sets)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A configuration, and its run."""
    write_model(tmp_path / "own.keras", 0)
    write_data(tmp_path / "own.npz", 0)
    path = tmp_path / "own.yaml"
    names = {"DATA": "own.npz", "MODEL": "own.keras", "OUT": "out"}
    path.write_text(re.sub("DATA|MODEL|OUT", lambda match: str(tmp_path / names[match[0]]), CONFIG), encoding="utf-8")
    qsearch.run(path)
    return path


def environment(config: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((config.parent / "out" / "environment.json").read_text())
    return found


def test_files_that_changed_are_refused_and_the_first_environment_stays(begun: Path) -> None:
    folder, first = begun.parent, environment(begun)
    stored = (folder / "own.keras").read_bytes()
    assert first["inputs"]["files"]["model.path"] == {
        "path": str(folder / "own.keras"),
        "bytes": len(stored),
        "sha256": hashlib.sha256(stored).hexdigest(),
    }
    data = first["inputs"]["data"]
    assert {name: one["samples"] for name, one in data.items()} == {"train": 48, "test": 32, "validation": 16}
    assert data["train"]["shapes"]["x"] == [[5]]
    write_model(folder / "own.keras", 1)
    with pytest.raises(ConfigError) as caught:
        qsearch.run(begun, ["run.max_trials=2"], resume=True)
    text = str(caught.value)
    assert f"model.path: {folder / 'own.keras'} is another file than when the run began: it was {len(stored):,}" in text
    assert first["inputs"]["files"]["model.path"]["sha256"][:12] in text
    assert hashlib.sha256((folder / "own.keras").read_bytes()).hexdigest()[:12] in text
    (folder / "own.keras").write_bytes(stored)
    kept = (folder / "own.npz").read_bytes()
    write_data(folder / "own.npz", 1)
    with pytest.raises(ConfigError, match=r"dataset\.npz: .*own\.npz is another file"):
        qsearch.run(begun, ["run.max_trials=2"], resume=True)
    (folder / "own.npz").write_bytes(kept)
    assert environment(begun) == first
    lines = Lines()
    assert len(qsearch.run(begun, ["run.max_trials=2"], lines, resume=True).trials) == 2
    assert not any("trials may differ" in line for line in lines.lines)
    assert environment(begun) == first


def test_other_versions_are_told_in_a_line(begun: Path) -> None:
    path, first = begun.parent / "out" / "environment.json", environment(begun)
    now = first["packages"]["keras"]
    first["packages"]["keras"] = "3.0.1"
    path.write_text(json.dumps(first))
    lines = Lines()
    told = f"the run began with keras 3.0.1, this is keras {now}: trials may differ"
    assert told in qsearch.run(begun, ["run.max_trials=2"], lines, resume=True).result.notes
    assert told in lines.lines
    assert environment(begun) == first


def test_runs_of_before_and_damaged_ones(begun: Path) -> None:
    path, first = begun.parent / "out" / "environment.json", environment(begun)
    del first["inputs"]
    path.write_text(json.dumps(first))
    write_model(begun.parent / "own.keras", 1)
    qsearch.run(begun, resume=True)  # nothing is known about it
    path.write_text("{half")
    with pytest.raises(OutputError, match=r"environment\.json: cannot be read"):
        qsearch.run(begun, resume=True)
    path.write_text("[1]")
    with pytest.raises(OutputError, match=r"environment\.json: is not what qsearch writes there"):
        qsearch.run(begun, resume=True)


def test_samples_of_a_factory(begun: Path) -> None:
    folder = begun.parent
    (folder / "given_samples.py").write_text(
        dedent(
            f"""
            from pathlib import Path
            import numpy

            def load():
                count = int(Path({str(folder / "count")!r}).read_text())
                with numpy.load({str(folder / "own.npz")!r}) as file:
                    return (file["x_train"][:count], file["y_train"][:count]), (file["x_test"], file["y_test"])
            """
        )
    )
    (folder / "count").write_text("60")
    sets = ["dataset={factory: 'given_samples:load', validation: test}", f"run.output_dir={folder / 'made'}"]
    qsearch.run(begun, sets)
    (folder / "count").write_text("50")
    with pytest.raises(ConfigError, match="the training set was 60 samples, and is 50 samples now"):
        qsearch.run(begun, sets, resume=True)


def test_what_samples_are_known_by() -> None:
    random = numpy.random.default_rng(0)
    x, y = random.normal(size=(1000, 2)), random.integers(0, 3, 1000)
    names = numpy.array(["a", "b"] * 500, dtype=object)

    def prints(x: Any, y: Any) -> dict[str, Any]:
        sets = of_data(ArrayDataset("own", Split(x, y), Split(x[:10], y[:10])))
        found: dict[str, Any] = json.loads(json.dumps(sets))
        return found

    first = {"inputs": {"data": prints(x, y)}}
    assert changed_data(first, prints(x.copy(), y.copy())) == []
    assert prints(x, names) == prints(x, names.copy())
    other = y.copy()
    other[-1] += 1
    (line,) = changed_data(first, prints(x, other))
    assert re.fullmatch(
        r"the training set was 1,000 samples with SHA-256 \w{12}\.\.\., and is 1,000 samples with SHA-256 .* now", line
    )
    lines = changed_data(first, prints(x[:, :1], y))
    assert "1,000 samples of shapes {'x': [[2]], 'y': [[]], 'weights': []}, and is" in lines[0]
    assert len(lines) == 2
    assert changed_data({}, prints(x, y)) == []
