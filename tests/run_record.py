"""What holds of the record of every run."""

from __future__ import annotations

import json

import qsearch
from qsearch.runner.run_result import RunResult


def check_record(result: RunResult) -> None:
    """Reading a run directory and writing what was read gives its files again."""
    folder = result.run_directory
    record = qsearch.RunRecord.read(folder)
    lines = (folder / "trials.jsonl").read_text(encoding="utf-8").splitlines()
    assert [trial.to_dict() for trial in record.trials] == [json.loads(line) for line in lines]
    assert [trial.plan for trial in record.trials] == [trial.plan for trial in result.trials]
    assert record.result is not None
    assert record.energies is not None
    files = {name: json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("result", "energy")}
    assert json.loads(json.dumps(record.result.to_dict())) == files["result"]
    assert json.loads(json.dumps(record.energies.to_dict())) == files["energy"]
    assert record.costs is not None
    assert json.loads(json.dumps(record.costs.to_dict())) == json.loads((folder / "costs.json").read_text("utf-8"))
    assert record.costs.trials.keys() == {trial.number for trial in record.completed}
    assert record.model_path.exists() == (record.result.best is not None)
