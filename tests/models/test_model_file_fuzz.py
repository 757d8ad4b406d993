"""A small run of the fuzzer of model files, every layer of an absurd size, and Keras' public holes in every format."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import pytest
from keras.src.utils.python_utils import func_dump
from model_file_fuzz import cases, tried
from model_file_parts import BOMBS, Case, Seed, bombs, seeds

from qsearch.errors import ModelError
from qsearch.models import bounds, load_model

FINE = ("read", "refused")
SECRET = "0123456789abcdef-secret"


@pytest.mark.parametrize("case", list(bombs()), ids=lambda case: case.told.partition(" {")[0])
def test_layers_of_absurd_sizes(case: Case, tmp_path: Path) -> None:
    outcome = tried(case, tmp_path, tmp_path / "marker")
    assert outcome.kind in FINE, outcome


def test_mutated_files(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    counts: Counter[str] = Counter()
    for case in islice(cases(7, marker), 150):
        outcome = tried(case, tmp_path, marker)
        assert outcome.kind in FINE, (case.told, outcome)
        counts[outcome.kind] += 1
    assert counts["read"] >= 10  # else nothing is tried but the first gate
    assert counts["refused"] >= 50


def test_bombs_are_of_many_layers() -> None:
    assert len({name for name, _, _ in BOMBS}) >= 40


@lru_cache(maxsize=1)
def every_seed() -> list[Seed]:
    return seeds()


@lru_cache(maxsize=1)
def one_of_each() -> dict[str, Seed]:
    """A file of each format, of Keras 3 and of Keras 2."""
    found: dict[str, Seed] = {}
    for seed in every_seed():
        found.setdefault(f"{seed.ending} of {seed.version}", seed)
    return found


def _lambda(marker: Path, newer: bool) -> dict[str, Any]:
    code, defaults, closure = func_dump(lambda x: __import__("pathlib").Path("MARKER").write_text("run") and x)
    function: Any = [code, defaults, closure]
    if newer:
        function = {"class_name": "__lambda__", "config": {"code": code, "defaults": defaults, "closure": closure}}
    return {"class_name": "Lambda", "config": {"function": function, "function_type": "lambda", "output_shape": [4]}}


def _object(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


HOLES: dict[str, Callable[[Path, Path, bool], dict[str, Any]]] = {
    "2024-3660": lambda marker, secret, newer: _lambda(marker, newer),
    "2025-9905": lambda marker, secret, newer: {**_lambda(marker, newer), "module": "keras.layers"},
    "2025-1550": lambda marker, secret, newer: _object("os", "system", command=f"touch {marker}"),
    "2025-8747": lambda marker, secret, newer: _object(
        "keras.utils", "get_file", fname=str(marker), origin=secret.as_uri()
    ),
    "2025-9906": lambda marker, secret, newer: _object("keras.config", "enable_unsafe_deserialization"),
    "2025-12058": lambda marker, secret, newer: _object("keras.layers", "StringLookup", vocabulary=str(secret)),
    "2025-12060": lambda marker, secret, newer: _object(
        "keras.utils", "get_file", fname=str(marker), origin=secret.as_uri(), extract=True
    ),
    "2026-1462": lambda marker, secret, newer: _object("keras.layers", "TFSMLayer", filepath=str(secret.parent)),
}


@pytest.fixture
def marker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    marker = tmp_path / "MARKER"
    yield marker
    assert not marker.exists()


@pytest.mark.parametrize("place", ["layer", "activation", "initializer", "build"])
@pytest.mark.parametrize("hole", HOLES)
@pytest.mark.parametrize("form", ["keras of 3", "h5 of 3", "h5 of 2", "json of 3", "json of 2"])
def test_public_holes_of_keras(form: str, hole: str, place: str, marker: Path) -> None:
    seed = one_of_each()[form]
    secret = marker.with_name("secret.txt")
    secret.write_text(SECRET, encoding="utf-8")
    made = HOLES[hole](marker, secret, "3" in form)
    config = json.loads(json.dumps(seed.config))
    layer = next(item for item in config["config"]["layers"] if item["class_name"] == "Conv2D")
    if place == "layer":
        layer |= {**made, "config": {**made["config"], "name": layer["config"]["name"]}}
        layer.pop("build_config", None)
    elif place == "activation":
        layer["config"]["activation"] = made
    elif place == "initializer":
        layer["config"]["kernel_initializer"] = made
    else:
        layer["build_config"] = {"input_shape": made}
        if "2" in form:
            layer["config"]["build_config"] = {"input_shape": made}
    case = Case(hole, seed.ending, seed.with_config(config), seed.weights)
    outcome = tried(case, marker.parent, marker)
    assert outcome.kind == "refused", outcome
    assert SECRET not in outcome.told


def test_texts_that_make_large_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "DESCRIPTION_VALUES", 1000)
    monkeypatch.setattr(bounds, "DESCRIPTION_BYTES", 30_000)
    many, long = b"[" + b"[]," * 2000 + b"[]]", b'"' + b"x" * 40_000 + b'"'
    for seed in one_of_each().values():
        for text, said in ((many, "with 4,002 values, at most 1,000"), (long, "bytes, at most 30,000 are read")):
            path = tmp_path / f"m.{seed.ending}"
            path.write_bytes(seed.with_config(json.loads(text)))
            (tmp_path / "w.weights.h5").write_bytes(seed.weights or b"")
            with pytest.raises(ModelError, match=said):
                load_model(path, weights=tmp_path / "w.weights.h5" if seed.weights else None)


@pytest.mark.parametrize("form", ["json of 3", "json of 2"])
def test_weights_beside_an_architecture_that_are_nothing_but_large(form: str, tmp_path: Path) -> None:
    """CVE-2026-0897; of the other formats in test_hostile_files."""
    seed = one_of_each()[form]
    (tmp_path / "m.json").write_bytes(seed.data or seed.with_config(seed.config))
    (tmp_path / "w.weights.h5").write_bytes(seed.weights or b"")
    load_model(tmp_path / "m.json", weights=tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "r+") as file:
        file.create_dataset("large", (100_000, 100_000), "float32", chunks=(1000, 1000))
    with pytest.raises(ModelError, match=r"w.weights.h5: holds 40 GB in"):
        load_model(tmp_path / "m.json", weights=tmp_path / "w.weights.h5")


def test_messages_of_what_a_file_names_are_one_line(tmp_path: Path) -> None:
    seed = one_of_each()["h5 of 2"]
    (tmp_path / "m.h5").write_bytes(seed.data)
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file["a\n\x1b[31m" + "b" * 30_000] = h5py.SoftLink("/model_weights")
    with pytest.raises(ModelError) as caught:
        load_model(tmp_path / "m.h5")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2_500


def _huge(config: Any) -> None:
    config["config"]["layers"][0]["config"]["batch_input_shape"][1] = 10**400


def _twice(config: Any) -> None:
    config["config"]["input_layers"] *= 100


@pytest.mark.parametrize("change", [_huge, _twice])
@pytest.mark.parametrize("number", range(15))
def test_graphs_that_cannot_be_priced(number: int, change: Callable[[Any], None], tmp_path: Path) -> None:
    """What the fuzzer found in files that can be read: a side beyond all numbers, an input that is named twice."""
    seed = every_seed()[number % len(every_seed())]
    config = json.loads(json.dumps(seed.config))
    if change is _huge and (seed.version == 3 or "batch_input_shape" not in json.dumps(config["config"]["layers"][0])):
        pytest.skip("has another form")
    if change is _twice and "input_layers" not in config["config"]:
        pytest.skip("has another form")
    change(config)
    outcome = tried(Case("", seed.ending, seed.with_config(config), seed.weights), tmp_path, tmp_path / "marker")
    assert outcome.kind in FINE, outcome
