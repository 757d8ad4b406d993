"""Several observers, none of which ends a run; those of a configuration; the bar in a notebook."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hand_made import completed, failed, skipped, start

import qsearch
from qsearch.config import load_config
from qsearch.errors import ConfigError
from qsearch.observers import configured as room
from qsearch.observers.notebook import NotebookObserver, notebook_observer
from qsearch.observers.several import Observers
from qsearch.search.trials import SilentObserver


class Heard(qsearch.Observer):
    """Remembers what it is told, and raises at a call."""

    def __init__(self, at: str = "", error: BaseException | None = None) -> None:
        self.at, self.error = at, error
        self.heard: list[str] = []

    def run_started(self, start: qsearch.RunStart) -> None:
        self._hear(f"start {start.trials}")

    def run_ended(self, record: Any) -> None:
        self._hear("end")

    def stage(self, title: str) -> None:
        self._hear(f"stage {title}")

    def trial_ended(self, trial: Any, best: Any, trained: int, total: int) -> None:
        self._hear(f"trial {trial.number}")

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        if what == self.at and self.error is not None:
            raise self.error


def test_one_that_fails_is_left_out_with_a_note(tmp_path: Path) -> None:
    broken, other = Heard("trial 1", ValueError("no\a such table")), Heard()
    told = Observers([broken, SilentObserver(), other])  # the second one knows nothing of runs
    told.run_started(start(tmp_path))
    for number in (1, 2):
        told.trial_ended(completed(number), None, number, 20)
    told.run_ended(None)
    told.run_ended(None)  # once
    assert broken.heard == ["start 20", "trial 1"]
    assert other.heard[0] == "start 20"
    assert other.heard[1].startswith(r"stage observer Heard is left out from here on: ValueError: no\x07 such")
    assert other.heard[2:] == ["trial 1", "trial 2", "end"]
    assert len(told.left_out) == 1


def test_what_ends_a_process_goes_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        Observers([Heard("stage a", KeyboardInterrupt())]).stage("a")


def test_what_is_no_observer() -> None:
    with pytest.raises(ConfigError, match=r"found 3, which has no stage; derive its class from qsearch\.Observer"):
        Observers([3])  # type: ignore[list-item]


CONFIG = """
dataset: {name: digits}
model: {name: digits}
limit: {Dense: [4, 4, 4]}
run:
  observers: OBSERVERS
"""
OWN = """
import qsearch
class Mine(qsearch.Observer):
    def __init__(self, name="a"):
        self.name = 1 / len(name)
nothing = 3
"""


def made(folder: Path, observers: str) -> list[Any]:
    path = folder / "run.yaml"
    path.write_text(CONFIG.replace("OBSERVERS", observers), encoding="utf-8")
    return room.configured(load_config(path))


def test_a_class_of_the_users_own(tmp_path: Path) -> None:
    (tmp_path / "own_observers.py").write_text(OWN, encoding="utf-8")
    (one, other) = made(tmp_path, '["own_observers:Mine", {name: "own_observers:Mine", arguments: {name: ab}}]')
    assert (one.name, other.name) == (1, 0.5)


@pytest.mark.parametrize(
    ("observers", "said"),
    [
        ("[optunna]", r":6:15: run\.observers\[0\]: found 'optunna', allowed: .*; did you mean 'optuna'\?"),
        ("[{name: optuna, experiment: a}]", r"experiment: optuna has no such option, allowed: study"),
        ("[{name: mlflow, experimet: a}]", r"unknown key, allowed: name, .*; did you mean 'experiment'\?"),
        ("[{name: mlflow, arguments: {a: 1}}]", r"mlflow has no such option, allowed: tracking_uri, experiment"),
        ('["own_observers:Mime"]', r":6:15: .*has no 'Mime'; did you mean 'Mine'\?"),
        ('["own_observers:nothing"]', "is no class and no function"),
        ('[{name: "own_observers:Mine", arguments: {name: ""}}]', "fails when it is made: ZeroDivisionError"),
        ('[{name: "own_observers:Mine", arguments: {nam: ""}}]', "fails when it is made: TypeError"),
        ('["os:getcwd"]', "a module of Python itself"),
    ],
)
def test_wrong_ones_in_a_configuration(observers: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "own_observers.py").write_text(OWN, encoding="utf-8")
    with pytest.raises(ConfigError, match=said):
        made(tmp_path, observers)


@pytest.mark.parametrize("name", [*room.KNOWN])
def test_a_package_that_is_not_there(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=rf'{name} needs a package .*: pip install "qsearch\[{name}\]"'):
        made(tmp_path, f"[{name}]")


def test_the_observer_of_the_documentation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    page = (root / "docs" / "observers.md").read_text(encoding="utf-8")
    (tmp_path / "documented_observer.py").write_text(page.split("```python\n")[1].split("```")[0], encoding="utf-8")
    logged: list[Any] = []
    run = SimpleNamespace(log=lambda facts, step: logged.append((step, facts)), finish=lambda exit_code: None)
    wandb = ModuleType("wandb")
    wandb.init = lambda **options: run if json.dumps(options["config"]) else None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    (observer,) = made(tmp_path, '["documented_observer:WeightsAndBiases"]')
    told = Observers([observer])
    told.run_started(start(tmp_path))
    for trial in (completed(1), failed(2), skipped(3)):
        told.trial_ended(trial, None, 1, 20)
    told.run_ended(None)
    assert told.left_out == []
    assert [(step, facts["energy"], facts["val_acc"]) for step, facts in logged] == [(1, 200.0, 0.9)]


class Handle:
    """What IPython gives for a display that can be drawn again."""

    def __init__(self, first: Any) -> None:
        self.shown = [first]

    def update(self, shown: Any) -> None:
        self.shown.append(shown)


def a_notebook(monkeypatch: pytest.MonkeyPatch, kernel: object) -> list[Handle]:
    """Put in place of IPython what looks like it."""
    handles: list[Handle] = []

    def display(shown: Any, display_id: bool) -> Handle:
        assert display_id
        handles.append(Handle(shown))
        return handles[-1]

    package, module = ModuleType("IPython"), ModuleType("IPython.display")
    package.get_ipython = lambda: SimpleNamespace(kernel=kernel)  # type: ignore[attr-defined]
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    return handles


def test_only_a_notebook_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert notebook_observer() is None
    assert "IPython" not in sys.modules
    a_notebook(monkeypatch, None)  # IPython in a terminal
    assert notebook_observer() is None


def test_the_bar_is_drawn_in_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    handles = a_notebook(monkeypatch, object())
    bar = notebook_observer()
    assert bar is not None
    bar.run_started(start(tmp_path))
    bar.stage("<script>")
    best = completed(1)
    for number, trial in enumerate((best, failed(2), completed(4)), 1):
        bar.trial_started(trial.number, trial.proposal, number, 20)
        bar.epoch_ended(1, 10, {}, trial.number)
        bar.trial_ended(trial, best, number, 20)
    bar.trial_ended(skipped(5), best, 3, 20)
    bar.run_ended(None)
    assert len(handles) == 1
    page = handles[0].shown[-2]._repr_html_()
    assert '<progress value="3" max="20"' in page
    assert "<script>" not in page
    assert "3 of 20 trials; 1 failed; best: acc 0.9000, 200 pJ, 5 times less; about " in page
    assert repr(handles[0].shown[-1]).splitlines()[0] == "[####" + "." * 26 + "]"
    assert "ended by an error" in repr(handles[0].shown[-1])


def test_the_bar_is_not_drawn_too_often(tmp_path: Path) -> None:
    now, handles = 0.0, []

    def display(shown: Any, display_id: bool) -> Handle:
        handles.append(Handle(shown))
        return handles[-1]

    bar = NotebookObserver(display, lambda: now)
    bar.run_started(start(tmp_path))
    for epoch in range(1, 101):
        now += 0.1
        bar.epoch_ended(epoch, 100, {})
    assert 15 <= len(handles[0].shown) <= 22
