"""Signs of life: a clock in a terminal, and a line a minute in a log."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hand_made import completed, failed, skipped, start
from rich.console import Console

from qsearch.cli.live import LiveObserver
from qsearch.cli.plain_progress import PlainObserver
from qsearch.runs.figures import Evaluation

NO_PROPOSAL: Any = None
METRICS = {"loss": 0.5, "acc": 0.75, "val_loss": 0.625, "val_acc": 0.8125}
SLOW = """
import sys, time
from qsearch.cli.progress import observe, ticking
with ticking(False, "something is loaded"):
    time.sleep(1.3)
with observe("plain" in sys.argv) as observer:
    observer.stage("reference: 2 epochs")
    time.sleep(2.3)
    observer.epoch_ended(1, 2, {"val_acc": 0.5})
    observer.trial_started(7, None, 1, 9)
    time.sleep(1.3)
    print("said by a library")
print("done")
"""


def live(clock: Callable[[], float] = time.monotonic) -> tuple[LiveObserver, io.StringIO]:
    file = io.StringIO()
    return LiveObserver(Console(file=file, width=100), clock), file


def seen(observer: LiveObserver, width: int = 100, height: int = 40, ascii_only: bool = False) -> list[str]:
    """What is drawn below the lines."""
    encoding = "ascii" if ascii_only else "utf-8"
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=file, width=width, height=height)
    with console.capture() as drawn:
        console.print(observer)
    return drawn.get().splitlines()


class Now:
    """A clock that is set."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_log_gets_a_line_a_minute_from_a_training_that_is_long(tmp_path: Path) -> None:
    file, now = io.StringIO(), Now()
    observer = PlainObserver(Console(file=file), now)
    observer.run_started(start(tmp_path, sets=["final_training.epochs=0"], trials=40, epochs=120))
    observer.stage("reference: 9 epochs")
    for epoch in range(1, 10):
        now.seconds += 25
        observer.epoch_ended(epoch, 9, METRICS)
    observer.stage("search, random: 40 trials")
    for number in (1, 2):
        observer.trial_started(number, NO_PROPOSAL, number, 40)
        now.seconds += 50
        observer.epoch_ended(1, 3, METRICS, number)
        now.seconds += 50
        observer.epoch_ended(2, 3, {"loss": 0.5}, number)
        now.seconds += 50
        observer.trial_ended(completed(number, seconds=150, epochs=3, planned=3), None, number, 40)
    assert file.getvalue().splitlines() == [
        "reference: 9 epochs",
        "reference: epoch 3 of 9, val_loss 0.6250, val_acc 0.8125",
        "reference: epoch 6 of 9, val_loss 0.6250, val_acc 0.8125",
        "search, random: 40 trials",
        "trial 1: epoch 2 of 3, loss 0.5000",
        "[1/40] trial 1: acc 0.9000, 200 pJ, score 1.1250 (best so far), 2 min 30 s, 1 h 37 min left",
        "trial 2: epoch 2 of 3, loss 0.5000",
        "[2/40] trial 2: acc 0.9000, 200 pJ, score 1.1250 (best so far), 2 min 30 s, 1 h 35 min left",
    ]


def test_a_terminal_has_a_clock_of_the_stage_and_of_the_trial() -> None:
    now = Now()
    observer, file = live(now)
    assert seen(observer) == ["⠋ 0:00:00 start"]
    observer.stage("search, random: 9 trials [bold]\x1b[31m")
    now.seconds = 3723
    assert seen(observer)[0].endswith(r" 1:02:03 search, random: 9 trials [bold]\x1b[31m")
    observer.trial_started(1, NO_PROPOSAL, 1, 9)
    observer.epoch_ended(2, 5, METRICS, 1)
    assert seen(observer)[1].endswith(" 0:00:00 trial 1")
    assert re.search(r"epochs .* 2/5 .*val_acc 0\.8125", seen(observer)[3])
    observer.trial_ended(failed(1), None, 1, 9)
    shown = seen(observer)
    assert re.search(r"trials .* 1/9 .*1 failed", shown[1])
    assert not any("epochs" in line for line in shown)
    observer.stage("evaluation on the test set")
    assert seen(observer)[0].endswith("evaluation on the test set")
    assert len(file.getvalue().splitlines()) == 3


def test_several_trials_may_be_open() -> None:
    observer, _ = live()
    observer.stage("search")
    for number in (7, 8):
        observer.trial_started(number, NO_PROPOSAL, 1, 9)
    observer.epoch_ended(2, 5, METRICS, 8)
    shown = "\n".join(seen(observer))
    assert "trial 7" in shown
    assert "trial 8: epoch 2 of 5, loss 0.5000" in shown
    assert "epochs" not in shown
    observer.trial_ended(skipped(9), None, 2, 9)  # never started
    observer.trial_ended(failed(8), None, 2, 9)
    observer.epoch_ended(2, 5, METRICS, 7)
    shown = "\n".join(seen(observer))
    assert "trial 8:" not in shown
    assert "epochs" in shown
    assert "1 failed, 1 skipped" in shown
    for number in range(10, 30):
        observer.trial_started(number, NO_PROPOSAL, 1, 90)
    assert sum("trial" in line for line in seen(observer)[1:]) < 10


def searched(folder: Path) -> LiveObserver:
    observer, _ = live()
    observer.run_started(start(folder))
    figures = {"acc": 0.99, "loss": 0.1}
    observer.reference_evaluated(Evaluation(selection=figures, test=figures, parameters=1))
    observer.stage("search, guided: 20 trials")
    trials = [completed(1, 0.9, 400), completed(2, 0.8, 100), completed(3, 0.7, 300)]
    for trial in trials:
        observer.trial_started(trial.number, NO_PROPOSAL, trial.number, 20)
        observer.trial_ended(trial, trials[0], trial.number, 20)
    return observer


def test_a_table_and_a_picture_of_the_front(tmp_path: Path) -> None:
    shown = seen(searched(tmp_path), width=80)
    place = next(index for index, line in enumerate(shown) if line.startswith("best"))
    assert shown[place - 1].split() == ["trial", "acc", "energy", "less", "score"]
    assert shown[place].split() == ["best", "1", "0.9", "400", "pJ", "2.5x", "1.125"]
    assert [line.split()[-6] for line in shown[place + 1 : place + 3]] == ["3", "2"]  # the last ones
    picture = shown[place + 3 :]
    assert picture[0] == "acc against energy: · trial, o front, ★ best, R reference"
    assert picture[1].startswith("0.99 │")
    assert picture[1].endswith("R")
    assert picture[-3].startswith(" 0.7 │")
    rows = {mark: next(row for row, line in enumerate(picture[1:]) if mark in line[6:]) for mark in "R★o·"}
    assert rows["R"] < rows["★"] < rows["o"] < rows["·"]
    assert picture[-1].split() == ["100", "pJ", "1000", "pJ"]


@pytest.mark.parametrize("width", [40, 80, 200])
@pytest.mark.parametrize("height", [3, 7, 12, 24, 60])
def test_the_view_fits(width: int, height: int, tmp_path: Path) -> None:
    shown = seen(searched(tmp_path), width, height, ascii_only=True)
    assert len(shown) < height
    assert max(map(len, shown)) <= width
    assert "".join(shown).isascii()
    assert any(line.startswith("best") for line in shown) == (height > 7)
    assert any("reference" in line for line in shown) == (height > 12)


def test_a_run_that_goes_on_shows_what_it_had(tmp_path: Path) -> None:
    observer, _ = live()
    observer.run_started(start(tmp_path, [completed(1, 0.7), failed(2), completed(3, 0.8), skipped(4)]))
    observer.stage("search")
    shown = seen(observer)
    assert re.search(r"^about \d+ s left$", shown[1])  # no trial has begun
    assert [line.split()[0] for line in shown[3:6]] == ["best", "last", "1"]
    observer.trial_started(5, NO_PROPOSAL, 3, 20)
    assert "1 failed, 1 skipped" in "\n".join(seen(observer))


def test_no_colour_where_none_is_wanted(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, no_color=True)
    with console.capture() as drawn:
        console.print(searched(tmp_path))
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", drawn.get())


def in_a_terminal(*arguments: str) -> str:
    """All that a Python process writes there."""
    terminal, stream = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24", "PYTHONIOENCODING": "utf-8"}
    process = subprocess.Popen([sys.executable, "-c", SLOW, *arguments], stdout=stream, stdin=stream, env=env)
    os.close(stream)
    written = b""
    while True:
        try:
            part = os.read(terminal, 1 << 16)
        except OSError:  # Linux' way to say that nobody has the other side any more
            break
        if not part:
            break
        written += part
    os.close(terminal)
    assert process.wait() == 0
    return written.decode()


def left_on_screen(written: str) -> list[str]:
    """The lines that a terminal shows in the end, as far as rich steers it."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[\??[0-9;]*[A-Za-z]|[\r\n]|[^\x1b\r\n]+", written):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\r":
            column = 0
        elif part.startswith("\x1b"):
            row -= int(part[2:-1] or 1) if part.endswith("A") else 0
            lines[row] = "" if part.endswith("K") else lines[row]
        else:
            lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
            column += len(part)
    return [line for line in lines if line]


def test_the_clock_goes_on_during_a_long_call_and_leaves_nothing_behind() -> None:
    written = in_a_terminal()
    for shown in (
        "0:00:01[0m something is loaded",
        "0:00:01[0m reference",
        "0:00:02[0m reference",
        "0:00:01[0m trial 7",
    ):
        assert shown.replace("[0m", "\x1b[0m") in written
    assert left_on_screen(written) == ["reference: 2 epochs", "said by a library", "done"]


def test_plain_lines_in_a_terminal_are_plain() -> None:
    written = in_a_terminal("plain")
    assert "reference: 2 epochs\r\nsaid by a library\r\ndone\r\n" in written
