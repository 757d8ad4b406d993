"""The JSON Schema takes what the loader takes, marks what an editor should mark, and describes every key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from config_fuzz import CONFIGS, KEYS, Case, cases, key_cases
from jsonschema import Draft202012Validator

from qsearch.cli.schema import schema
from qsearch.config import load_config, to_yaml
from qsearch.config.json_schema import json_schema, sections
from qsearch.config.override import overridden
from qsearch.config.yaml_file import read_source
from qsearch.config.yaml_reader import parse_source
from qsearch.errors import ConfigError

SHORTEST = {"dataset": {"name": "digits"}, "model": {"name": "digits"}, "limit": {"Dense": [4]}}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    made = json_schema()
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)


def wrong(validator: Draft202012Validator, data: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(data)]


def test_it_takes_the_shipped_configurations(validator: Draft202012Validator, root: Path) -> None:
    for path in (*CONFIGS, root / "examples" / "own_model" / "search.yaml"):
        assert wrong(validator, read_source(path).data) == [], path
        everything = parse_source(to_yaml(load_config(path).config), "resolved")
        assert wrong(validator, everything.data) == [], path


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("run.time_limit", ("90s", "1h30min", " .5h ", 1.5, None)),
        ("run.budget.energy", ("20nJ", "1.5e3 pJ", "2µJ", 30)),
        ("run.max_drop", ("1%", 0.01, 0)),
        ("run.layer_indexes", ("range(1, -1)", [0, 2], {"start": 1})),
        ("run.learning_rate_schedule", ("cosine", {"name": "cosine", "alpha": "1%"})),
        ("run.tune_filters_exceptions", ("^dense",)),
        ("reference.optimizer", ("AdamW", {"name": "SGD", "momentum": 0.9})),
        ("reference.loss", ("mse", "MeanSquaredError", "a.b:c", {"name": "huber", "delta": 2.0}, {"kind": "mae"})),
        ("reference.loss", ({"name": {"name": "mse"}, "other": {"name": "my:loss", "x": 1}},)),
        ("reference.metrics", (["acc", {"name": "auc", "curve": "PR"}, {"whole_set": "m:f"}, "mean_io_u"],)),
        ("reference.class_weight", ("balanced", {"0": 1, "7": 2.5})),
        ("dataset.augment", ({"flip": "both", "shift": 3}, "m:f", [{"shift": 0.1}, "m:f"])),
        ("dataset.validation", (0.1, "test")),
        ("model.filters", ([16, [32, 32]],)),
        ("limit", ({"default": [8], "Conv2D": 4, "^a_": [["ternary", "binary"], 8], "linear": [8], "LSTM": []},)),
        ("quantization_config.kernel", ({"quantized_bits(4, 0, 1)": 4},)),
        ("goal", ({"type": "energy", "params": {"rd_wr_on_io": False, "min_sram_size": [0, 8]}},)),
        ("goal", ({"type": "energy", "params": {"own_process": {"name": "a", "float_add": {"16": 0.4}}}},)),
        ("goal", ({"type": "energy", "params": {"source_quantizers": "int8"}},)),
        ("target", ("hls4ml", "rtl", {"name": "litert"})),
        ("export", (["codes", {"name": "c", "models": "front"}],)),
    ],
)
def test_it_takes_every_spelling(
    validator: Draft202012Validator, tmp_path: Path, key: str, values: tuple[Any, ...]
) -> None:
    for value in values:
        data = changed(SHORTEST, key.split("."), value)
        assert wrong(validator, data) == []
        path = tmp_path / "c.yaml"
        path.write_text(json.dumps(data), encoding="utf-8")
        load_config(path)


def changed(data: Any, keys: list[str], value: Any) -> Any:
    return value if not keys else {**data, keys[0]: changed(data.get(keys[0], {}), keys[1:], value)}


def test_it_takes_what_may_stand_in_two_places(validator: Draft202012Validator) -> None:
    inside = {"dataset": SHORTEST["dataset"], "model": SHORTEST["model"], "run": {"limit": SHORTEST["limit"]}}
    assert wrong(validator, inside) == []
    assert wrong(validator, {**SHORTEST, "budget": {"energy": "20nJ"}, "max_drop": "1%"}) == []
    assert wrong(validator, {key: SHORTEST[key] for key in ("dataset", "model")})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("run.max_trails", 3),
        ("run.max_trials", "3"),
        ("run.max_trials", 0),
        ("run.mode", "gided"),
        ("run.budget.energy", "20"),
        ("run.time_limit", "soon"),
        ("run.max_drop", 2),
        ("run.layer_indexes", {"begin": 1}),
        ("dataset.name", "mnits"),
        ("dataset.nmae", "mnist"),
        ("model.factory", "no_colon"),
        ("reference.optimizer", "adm"),
        ("reference.optimizer", {"learning": 1}),
        ("reference.loss", "mean_squred_error"),
        ("reference.metrics", ["acuracy"]),
        ("reference.metrics", [{"name": "auc", "curv": "PR"}]),
        ("limit.Dense", [4, 4, 4, 4]),
        ("limit.Dense", "4"),
        ("quantization_config.kernal", {"binary": 1}),
        ("goal", {"type": "enrgy"}),
        ("goal", {"type": "energy", "params": {"delta": 8}}),
        ("target", "hls"),
        ("trial", {}),
    ],
)
def test_it_refuses_what_the_loader_refuses(
    validator: Draft202012Validator, tmp_path: Path, key: str, value: Any
) -> None:
    data = changed(SHORTEST, key.split("."), value)
    assert wrong(validator, data)
    path = tmp_path / "c.yaml"
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(ConfigError):
        load_config(path)


def accepted(case: Case, folder: Path) -> Any:
    """The data of a case that the loader takes, else None."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(case.text)
    try:
        load_config(path, case.overrides, case.output_dir)
        return overridden(read_source(path), case.overrides).data
    except ConfigError:
        return None


def test_whatever_is_accepted_is_valid(validator: Draft202012Validator, tmp_path: Path) -> None:
    tried = [*islice(cases(seed=11), 40), *islice(key_cases(seed=12, each=1), 120)]
    found = [data for data in (accepted(case, tmp_path) for case in tried) if data is not None]
    assert len(found) > 5
    assert [(data, told) for data in found if (told := wrong(validator, data))] == []


def test_every_key_is_described_with_its_default(validator: Draft202012Validator) -> None:
    made: Mapping[str, Any] = validator.schema
    assert {section.__name__ for section in sections()} - {"Config"} <= set(made["$defs"])
    for section in sections():
        part = made if section.__name__ == "Config" else made["$defs"][section.__name__]
        assert part["additionalProperties"] is False
        for name in section.model_fields:
            assert part["properties"][name]["description"]
    run = made["$defs"]["RunConfig"]["properties"]
    assert (run["max_trials"]["default"], run["mode"]["default"]) == (10, "random")
    assert len(run) > len([key for key in KEYS if key[0] == "run" and len(key) == 2])  # goal, limit, ...


def test_the_command_prints_and_writes_it(tmp_path: Path) -> None:
    printed = CliRunner().invoke(schema, [])
    assert json.loads(printed.stdout) == json_schema()
    path = tmp_path / "new" / "s.json"
    written = CliRunner().invoke(schema, ["-o", str(path)])
    assert (written.stdout, path.read_text(encoding="utf-8")) == ("", printed.stdout)
