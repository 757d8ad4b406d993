"""The page of a run: all runs have one, it tells what the run found, and names stay names."""

from __future__ import annotations

import csv
import io
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from made_run import made_run

from qsearch.cli.main import cli
from qsearch.report.block_rows import RANKED
from qsearch.report.headline import ENERGY_ALONE
from qsearch.report.html import page
from qsearch.report.importance import importance_of
from qsearch.report.markdown import markdown
from qsearch.report.parts import trial_rows
from qsearch.report.shown_run import ShownRun
from qsearch.report.written import tables_of
from qsearch.runs.lock import holder, locked
from qsearch.runs.state import State
from qsearch.search.time_limits import TimeLimit, run_out


class Tags(HTMLParser):
    """The tags of a page and their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def shown(folder: Path, **kinds: Any) -> tuple[ShownRun, Tags]:
    run = ShownRun.read(str(made_run(folder / "run", **kinds)))
    return run, Tags(page(run, None))


@pytest.mark.parametrize(
    "kinds",
    [
        {"trials": 0},
        {"trials": 1},
        {"trials": 0, "missed": 2},
        {"finished": False},
        {"costs": False},
        {"finished": False, "costs": False},
        {"finished": False, "costs": False, "trials": 0},
        {"minimise": True, "missed": 3},
        {"blocks": 2, "finished": False},
        {"priced_share": 0.7, "unsearched_share": 0.4, "interrupted": True},
    ],
    ids=str,
)
def test_every_run_has_a_page(tmp_path: Path, kinds: dict[str, Any]) -> None:
    run, tags = shown(tmp_path, **kinds)
    assert "digits on digits" in tags.text
    assert run.state.value in tags.text
    if kinds.get("trials") != 0:
        assert run.best is not None
        assert f"trial {run.best.number}" in tags.text
        assert (ENERGY_ALONE in tags.text) == (kinds.get("costs") is False)
        assert ("effective bit operations" in tags.text) == (kinds.get("costs") is not False)
    if kinds.get("missed"):
        assert "diverged: the loss is NaN <b>" in tags.text
    if kinds.get("interrupted"):
        assert "30.0% of the multiply-accumulates have no price" in tags.text
        assert "40.0% of the reference's cost is in layers that were not searched" in tags.text


def test_what_a_run_found_is_told(tmp_path: Path) -> None:
    run, tags = shown(tmp_path)
    best, reference = run.best, run.reference
    assert best is not None
    assert reference is not None
    ratio = f"{reference.energy / best.price.energy:.4g}"
    assert f"{ratio}× less" in tags.text
    assert f"{ratio} times less energy than the reference" in tags.text
    assert "selected on 0.2 of the training set, held out" in tags.text
    assert "0 outputs of 100 samples differ from Keras" in tags.text
    assert "qsearch run 'a file.yaml'" in tags.text
    assert "12.35 k" in tags.text  # EBOPs with the trained weights


def test_trials_are_ranked_within_their_block(tmp_path: Path) -> None:
    run, tags = shown(tmp_path, trials=24, blocks=3)
    ranked = run.every_ranked
    assert [trial.block for trial in ranked] == [3] * 8 + [2] * 8 + [1] * 8
    for block in (1, 2, 3):
        scores = [trial.score for trial in ranked if trial.block == block]
        assert scores == sorted(scores, reverse=True)
    assert [row.cells[0].text for row in trial_rows(run).rows] == [str(trial.number) for trial in ranked]
    assert RANKED in tags.text
    assert run.record.result is not None
    assert run.record.energies is not None
    section = markdown(run.record.result, run.record.energies, run.record.trials).partition("trials of each block")[2]
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")][2:]
    numbers = [int(line.split("|")[2]) for line in table]
    by_block = sorted(ranked, key=lambda trial: trial.block or 0)
    assert numbers == [trial.number for trial in by_block]
    assert RANKED in section
    plain = ShownRun.read(str(made_run(tmp_path / "whole", 4)))
    assert RANKED not in page(plain, None)


def test_blocks_are_told_alike_on_the_page_and_in_markdown(tmp_path: Path) -> None:
    run, tags = shown(tmp_path, blocks=2)
    result, energies = run.record.result, run.record.energies
    assert result is not None
    assert energies is not None
    text = markdown(result, energies, run.record.trials)
    (first, _) = result.blocks
    for told in (f"{first.before.score:.4f} → {first.after.score:.4f}", "40.0%", "10 of 10"):
        assert told in text
        assert told in tags.text
    assert "`blocks_to_come: typical`" in text
    assert "blocks_to_come: typical" in tags.text
    assert "conv_0: kernel" in tags.text


def test_no_two_places_of_a_page_have_a_name(tmp_path: Path) -> None:
    _, tags = shown(tmp_path, blocks=2, missed=1)
    names = [attrs["id"] for _, attrs in tags.tags if "id" in attrs]
    assert len(names) == len({*names})
    linked = {(attrs.get("href") or "")[1:] for tag, attrs in tags.tags if tag == "a"}
    assert linked <= {*names}


HOSTILE = "conv_{}</script><script>alert(1)</script><img src=x onerror=alert(1)>[red]{{{{7*7}}}}|\x1b[31m\"'"


def test_names_of_anybody_are_text(tmp_path: Path) -> None:
    hostile = {"names": HOSTILE, "model": "<script>alert(2)</script>", "notes": ["export <b>x</b>", "{{ 7*7 }}"]}
    text = page(ShownRun.read(str(made_run(tmp_path / "run", **hostile))), None)
    tags = Tags(text)
    assert [dict(attrs) for tag, attrs in tags.tags if tag == "script"] == [
        {"type": "application/json", "id": "trials-data"},
        {},
    ]
    assert not [tag for tag, _ in tags.tags if tag in ("img", "iframe", "b", "object", "form")]
    assert not [name for _, attrs in tags.tags for name in attrs if name.startswith("on") or name == "style"]
    assert "\x1b" not in text
    for said in ("export <b>x</b>", "{{ 7*7 }}", "{{7*7}}"):
        assert said in tags.text
    assert "<script>alert(2)</script> on digits" in tags.text


def test_a_page_loads_nothing_and_runs_only_its_own(tmp_path: Path) -> None:
    _, tags = shown(tmp_path)
    (policy,) = (attrs["content"] for _, attrs in tags.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; script-src 'sha256-")
    assert "unsafe" not in policy
    links = [attrs.get(name) or "" for _, attrs in tags.tags for name in ("href", "src") if name in attrs]
    assert {link[0] for link in links} == {"#", "d"}  # places in the page, and an empty icon


def test_a_page_of_500_trials_is_small_and_quickly_made(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 500, layers=20, missed=20)))
    page(run, None)
    started = time.process_time()
    text = page(run, importance_of(()))
    assert time.process_time() - started < 2
    assert len(text.encode()) < 900_000
    (data,) = re.findall(r'id="trials-data">(.*?)</script>', text, re.DOTALL)
    told = json.loads(data)
    assert len(told["plans"]) == len(told["figures"]) == 500
    first = run.completed[0]
    chosen = {tuple(told["columns"][place]): told["choices"][index] for place, index in enumerate(told["plans"]["1"])}
    expected = {(layer, role): str(value) for layer, one in first.plan.to_dict().items() for role, value in one.items()}
    assert chosen == expected


def test_tables_hold_all_trials(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 12, missed=2)))
    read = {name: [*csv.DictReader(io.StringIO(text))] for name, text in tables_of(run).items()}
    trials, front = read["trials.csv"], read["front.csv"]
    assert [line["status"] for line in trials] == ["completed"] * 12 + ["failed", "skipped"] * 2
    assert [float(line["metric"]) for line in trials[:12]] == [trial.metric for trial in run.completed]
    assert trials[0]["bops"] and trials[0]["weight_bytes"]
    assert {int(line["trial"]) for line in front} == {*run.front_numbers}
    assert [float(line["cost"]) for line in front] == sorted(float(line["cost"]) for line in front)
    assert {line["trial"] for line in trials if line["front"] == "yes"} == {line["trial"] for line in front}


def test_what_mattered_is_found_again(tmp_path: Path) -> None:
    run = ShownRun.read(str(made_run(tmp_path / "run", 60, layers=3)))
    given = [
        trial.__class__(**{**vars(trial), "score": float(len(str(trial.values["conv_1_kernel_quantizer"])))})
        for trial in run.completed
    ]
    found = importance_of(given)
    assert found.choices[0].name == "conv_1_kernel_quantizer"
    assert found.choices[0].score > 10 * found.choices[1].score
    assert found.explained is not None
    assert found.explained[0] > 0.9
    assert found == importance_of(given)
    few = importance_of(run.completed[:9])
    assert (few.choices, few.explained) == ((), None)
    assert few.method == "9 completed trials tell too little; at least 10 are needed."


def test_a_run_goes_on_while_a_process_writes_to_it(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", costs=True)
    assert not holder(folder)
    with locked(folder):
        assert holder(folder)
        run = ShownRun.read(str(folder))
        assert run.state is State.RUNNING
        text = page(run, None)
    assert "computed at the end of the run, or by <code>qsearch report</code>" in text
    assert "is selected on 0.2" in text
    assert ShownRun.read(str(folder)).state is State.FINISHED


@pytest.mark.parametrize(
    ("kinds", "state"),
    [
        ({"finished": False}, State.STOPPED),
        ({"interrupted": True, "ended": "interrupted"}, State.INTERRUPTED),
        ({"ended": f"{run_out(TimeLimit(1e-9))}, 3 trials trained"}, State.OUT_OF_TIME),
    ],
)
def test_how_a_run_ended_is_told(tmp_path: Path, kinds: dict[str, Any], state: State) -> None:
    run, tags = shown(tmp_path, **kinds)
    assert run.state is state
    assert state.value in tags.text


def test_the_command_makes_the_files_anew(tmp_path: Path) -> None:
    folder, pictures = made_run(tmp_path / "run", 3), tmp_path / "pictures"
    done = CliRunner().invoke(cli, ["report", str(folder), "--figures", str(pictures)])
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{folder}/report.html\n"
    made = {path.name for path in folder.iterdir()}
    assert {"report.html", "report.md", "trials.csv", "front.csv"} <= made
    assert "trade_off_bops.svg" in {path.name for path in pictures.iterdir()}
    elsewhere = tmp_path / "elsewhere.html"
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    done = CliRunner().invoke(cli, ["report", str(folder), "-o", str(elsewhere)])
    assert done.exit_code == 0, done.output
    assert elsewhere.read_text().startswith("<!doctype html>")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_runs_are_compared(tmp_path: Path) -> None:
    first, second = made_run(tmp_path / "one", 8), made_run(tmp_path / "two", 8, costs=False)
    config = second / "config.yaml"
    config.write_text(config.read_text().replace("seed: 0", "seed: 7"))
    target = tmp_path / "compare.html"
    done = CliRunner().invoke(cli, ["report", str(first), str(second), "-o", str(target)])
    assert done.exit_code == 0, done.output
    tags = Tags(target.read_text())
    assert "2 runs compared" in tags.text
    assert re.search(r"run\.seed\s*0\s*7", tags.text)
    assert len([1 for _, attrs in tags.tags if (attrs.get("class") or "").startswith("pt run")]) == 16 + 2
