"""Signs of life: a clock in a terminal, and a line a minute in a log."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console, Group

from qsearch.cli.progress import _LiveObserver, _PlainObserver
from qsearch.search.trials import FailedTrial

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


def failed(number: int) -> FailedTrial:
    return FailedTrial(number=number, proposal=NO_PROPOSAL, reason="no memory")


def seen(observer: _LiveObserver) -> str:
    """What is drawn below the lines."""
    console = Console(file=io.StringIO(), width=100)
    with console.capture() as drawn:
        console.print(Group(observer.clocks, observer.bars))
    return drawn.get()


def live() -> tuple[_LiveObserver, io.StringIO]:
    file = io.StringIO()
    return _LiveObserver(Console(file=file, width=100)), file


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Lets time go by."""
    clock = [0.0]
    monkeypatch.setattr("qsearch.cli.progress.time", SimpleNamespace(monotonic=lambda: clock[0]))

    def by(seconds: float) -> None:
        clock[0] += seconds

    return by


def test_a_log_gets_a_line_a_minute_from_a_training_that_is_long(wait: Callable[[float], None]) -> None:
    file = io.StringIO()
    observer = _PlainObserver(Console(file=file))
    observer.stage("reference: 9 epochs")
    for epoch in range(1, 10):
        wait(25)
        observer.epoch_ended(epoch, 9, METRICS)
    observer.stage("search, random: 40 trials")
    for number in (1, 2):
        observer.trial_started(number, NO_PROPOSAL, number, 40)
        wait(50)
        observer.epoch_ended(1, 3, METRICS)
        wait(50)
        observer.epoch_ended(2, 3, {"loss": 0.5})
        wait(50)
        observer.trial_ended(failed(number), None, number, 40)
    assert file.getvalue().splitlines() == [
        "reference: 9 epochs",
        "reference: epoch 3 of 9, val_loss 0.6250, val_acc 0.8125",
        "reference: epoch 6 of 9, val_loss 0.6250, val_acc 0.8125",
        "search, random: 40 trials",
        "trial 1: epoch 2 of 3, loss 0.5000",
        "[1/40] trial 1: failed: no memory, 1 h 37 min left",
        "trial 2: epoch 2 of 3, loss 0.5000",
        "[2/40] trial 2: failed: no memory, 1 h 35 min left",
    ]


def test_an_epoch_of_one_of_several_trials(wait: Callable[[float], None]) -> None:
    file = io.StringIO()
    observer = _PlainObserver(Console(file=file))
    observer.trial_started(7, NO_PROPOSAL, 1, 40)
    observer.trial_started(8, NO_PROPOSAL, 2, 40)
    wait(61)
    observer.epoch_ended(1, 3, {"val_acc": 0.5})
    observer.trial_ended(failed(7), None, 7, 40)
    wait(61)
    observer.epoch_ended(2, 3, {"val_acc": 0.5})
    lines = file.getvalue().splitlines()
    assert lines[0] == "one of the trials 7, 8: epoch 1 of 3, val_acc 0.5000"
    assert lines[2] == "trial 8: epoch 2 of 3, val_acc 0.5000"


def test_a_terminal_has_a_clock_of_the_stage_and_of_the_trial() -> None:
    observer, file = live()
    assert "0:00:00 start" in seen(observer)
    observer.stage("search, random: 9 trials [bold]\x1b[31m")
    assert r"0:00:00 search, random: 9 trials [bold]\x1b[31m" in seen(observer)
    observer.trial_started(1, NO_PROPOSAL, 1, 9)
    observer.epoch_ended(2, 5, METRICS)
    assert "0:00:00 trial 1" in seen(observer)
    assert re.search(r"epochs .* 2/5 .*val_acc 0\.8125", seen(observer))
    observer.trial_ended(failed(1), None, 1, 9)
    assert "trial 1" not in seen(observer)
    assert "epochs" not in seen(observer)
    assert re.search(r"trials .* 1/9", seen(observer))
    observer.stage("evaluation on the test set")
    assert seen(observer).split(maxsplit=2)[2].strip() == "evaluation on the test set"
    assert len(file.getvalue().splitlines()) == 3


def test_several_trials_may_be_open() -> None:
    observer, _ = live()
    observer.stage("search")
    observer.trial_started(7, NO_PROPOSAL, 1, 9)
    observer.epoch_ended(1, 5, METRICS)
    observer.trial_started(8, NO_PROPOSAL, 2, 9)
    observer.epoch_ended(2, 5, METRICS)  # of either
    assert "trial 7" in seen(observer)
    assert "trial 8" in seen(observer)
    assert "epochs" not in seen(observer)
    observer.trial_ended(failed(9), None, 2, 9)  # never started
    observer.trial_ended(failed(8), None, 2, 9)
    observer.epoch_ended(2, 5, METRICS)
    assert "trial 7" in seen(observer)
    assert "trial 8" not in seen(observer)
    assert "epochs" in seen(observer)
    observer.stage("stopped")
    assert "trial" not in seen(observer)


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
