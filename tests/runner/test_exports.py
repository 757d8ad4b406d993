"""`export:` of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from run_record import check_record
from tiny_run import tiny

import qsearch
from qsearch.cli.main import cli
from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.exit_codes import ExitCode

QUICK = ["reference.epochs=1", "run.epochs=1", "run.max_trials=1", "final_training.epochs=0", "export=[codes]"]


def test_the_best_model_is_exported_at_the_end(tmp_path: Path) -> None:
    result = qsearch.run(tiny(tmp_path, tmp_path / "out"), QUICK)
    assert [outcome.written for outcome in result.exports] == [True]
    told = json.loads((tmp_path / "out" / "exports" / "codes" / "verification.json").read_text(encoding="utf-8"))
    assert told["keras_mismatches"] == {"softmax": 0}
    assert told["samples"] == 100 + 205
    assert "export codes: 0 outputs of 305 samples differ from Keras; in exports/codes" in result.result.notes
    check_record(result)


def test_what_cannot_be_exported_is_told_and_the_run_is_whole(tmp_path: Path) -> None:
    sets = [*QUICK, "goal.params.source_quantizers=[fp32]"]
    arguments = ["run", str(tiny(tmp_path, tmp_path / "out")), "--plain"]
    done = CliRunner().invoke(
        cli, [*arguments, *(part for text in sets for part in ("--set", text))], standalone_mode=False
    )
    assert done.return_value == ExitCode.NOT_EXACT
    assert "note: export codes: the run prices its inputs as fp32, which is no integer" in done.output
    assert not (tmp_path / "out" / "exports").exists()
    assert (tmp_path / "out" / "best" / "model.keras").is_file()


def test_targets_have_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"export.*'code'.*did you mean 'codes'"):
        load_config(tiny(tmp_path, tmp_path / "out"), ["export=[code]"])
