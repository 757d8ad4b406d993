"""`qsearch trials`, `best`, `compare` and `list`: what they print, in each format, of runs in any state."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from run_by_hand import completed, failed, made_run, skipped

from qsearch import __version__
from qsearch.cli.main import cli
from qsearch.errors import OutputError, QsearchError, SearchError
from qsearch.exit_codes import ExitCode
from qsearch.plan import QuantizationPlan

HOSTILE = "\x1b[31m|<script>[red]`x`"


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments, catch_exceptions=False)


def printed(*arguments: str) -> str:
    done = ran(*arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(printed(*arguments, "--format", "json"))
    assert found["qsearch"] == __version__
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    best = completed(3, 0.95, 5000.0)
    trials = [completed(1, 0.9, 4000.0), failed(2, HOSTILE), best, skipped(4, 9000.0)]
    return made_run(tmp_path_factory.mktemp("runs") / "made", trials, best=best)


def test_trials_in_each_format(run: Path) -> None:
    table = printed("trials", str(run))
    assert f"{run} (finished): 4 trials: 2 completed, 1 failed, 1 skipped" in table
    assert "reference: 10 nJ, val_acc 0.9800" in table
    lines = list(csv.DictReader(io.StringIO(printed("trials", str(run), "--format", "csv"))))
    assert [line["energy_pj"] for line in lines] == ["4000.0", "", "5000.0", "9000.0"]
    assert [line["role"] for line in lines] == ["front", "", "best, front", ""]
    markdown = printed("trials", str(run), "--format", "md", "--where", "status=failed")
    assert "1 of 4 trials" in markdown
    assert r"\|\<script\>\[red\]\`x\`" in markdown
    for text in (table, markdown):
        assert "\x1b" not in text


def test_trials_as_a_document(run: Path) -> None:
    found = told("trials", str(run), "--top", "1")
    assert found["schema"] == "qsearch.trials/1"
    assert (found["best"], found["front"], found["state"]) == (3, [1, 3], "finished")
    (trial,) = found["trials"]
    assert (trial["id"], trial["energy_ratio"], trial["roles"]) == (3, 2.0, ["best", "front"])
    few = told("trials", str(run), "--columns", "number,score,conv.kernel")["trials"]
    assert [*few[0]] == ["number", "score", "conv.kernel"]
    assert few[1]["score"] is None


def test_the_best_model_in_each_format(run: Path) -> None:
    table = printed("best", str(run))
    assert f"{run} (finished): trial 3, the best model" in table
    assert "acc 0.9500 on the selection set, 0.9400 on the test set" in table
    assert "energy 5 nJ, 2 times less energy than the reference" in table
    assert f"model in {run / 'best' / 'model.keras'}" in table
    assert printed("best", str(run), "--format", "yaml") == (run / "best" / "plan.yaml").read_text(encoding="utf-8")
    found = told("best", str(run))
    assert (found["schema"], found["trial"]["id"], found["trial"]["model"]) == (
        "qsearch.best/1",
        3,
        str(run / "best" / "model.keras"),
    )
    assert found["trial"]["test"] == {"acc": pytest.approx(0.94)}


def test_the_plan_of_another_trial(run: Path) -> None:
    plan = QuantizationPlan.from_dict(yaml.safe_load(printed("best", str(run), "--trial", "1", "--format", "yaml")))
    assert plan.to_dict()["dense"]["filters"] == 1
    assert "run.best_models keeps more" in printed("best", str(run), "--trial", "1")
    assert told("best", str(run), "--trial", "1")["trial"]["model"] is None
    assert "failed: " in printed("best", str(run), "--trial", "2")
    with pytest.raises(OutputError, match="has no trial 9; there are trials 1 to 4"):
        ran("best", str(run), "--trial", "9")


def test_a_run_in_progress(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", [], ended=False)
    (folder / ".lock").write_text("process 7 on elsewhere\n", encoding="utf-8")
    with pytest.raises(SearchError, match="no trial is completed; there are none yet; wait for the first one") as none:
        ran("best", str(folder))
    assert none.value.exit_code is ExitCode.NO_TRAINING
    assert "process 7 on elsewhere is at it; 50 trials are to be trained" in printed("trials", str(folder))
    assert told("trials", str(folder))["trials"] == []


def test_five_hundred_trials_take_no_time(tmp_path: Path) -> None:
    trials = [completed(number, 0.5 + number / 2000, 3000.0 + number) for number in range(1, 501)]
    folder = made_run(tmp_path / "run", trials[:1], ended=False)
    lines = [json.dumps(trial.to_dict()) for trial in trials]
    (folder / "trials.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    began = time.process_time()
    found = told("trials", str(folder), "--where", "metric>0.6", "--sort", "energy", "--top", "3")
    assert [trial["id"] for trial in found["trials"]] == [201, 202, 203]
    assert time.process_time() - began < 2.0


def test_runs_are_compared(run: Path, tmp_path: Path) -> None:
    other = made_run(tmp_path / "other", [completed(1, 0.97, 4500.0)], best=None, ended=False)
    table = printed("compare", str(run), str(other))
    assert "the configurations are the same" in table
    assert "the common front of metric and cost" in table
    found = told("compare", str(run), str(other))
    assert found["schema"] == "qsearch.compare/1"
    assert [(point["run"], point["trial"]) for point in found["front"]["points"]] == [(0, 1), (1, 1)]
    lines = list(csv.reader(io.StringIO(printed("compare", str(run), str(other), "--format", "csv"))))
    assert lines[0] == ["part", "key", "made", "other"]
    assert ["figures", "best_energy", "5000.0", "4500.0"] in lines
    assert "## its points" in printed("compare", str(run), str(other), "--format", "md")
    for arguments, message in (
        (("compare", str(run)), "found one run"),
        (("compare", str(run), f"{run}/"), "named twice"),
    ):
        with pytest.raises(QsearchError, match=message):
            ran(*arguments)


def test_lists(run: Path) -> None:
    assert "quantized_bits(bits=8, integer=0" in printed("list", "quantizers")
    assert told("list", "modes")["items"][0] == {"name": "random", "options": [], "what": "uniform choices"}
    lines = list(csv.DictReader(io.StringIO(printed("list", "models", "--format", "csv"))))
    assert lines[0]["input"] == "28, 28, 1"


def test_none_of_them_imports_tensorflow(run: Path) -> None:
    program = (
        "import sys\nfrom qsearch.cli.main import cli\n"
        f"for words in (['trials', {str(run)!r}], ['best', {str(run)!r}, '--format', 'json'], ['list', 'layers'],\n"
        f"              ['list', 'targets'], ['list', 'datasets'], ['list', 'models']):\n"
        "    cli(words, standalone_mode=False)\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'sklearn'} & {*sys.modules}\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
