"""Trials on a real local cluster of Dask: what they come to is what one process comes to."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from run_left import left, same
from slow import by_hand
from tiny_run import tiny

import qsearch
from qsearch.errors import ConfigError, WorkersError
from qsearch.exit_codes import ExitCode
from qsearch.runner import remote
from qsearch.search.trials import AnyTrial, SilentObserver, Trial
from qsearch.workers import pool as pools
from qsearch.workers.pool import pool

pytest.importorskip("distributed")

SEARCHES = {
    "random": ["run.max_trials=4"],
    "hyperband": ["run.mode=hyperband", "run.max_epochs=4", "run.factor=2"],
    "blocks": ["run.blocks=['^conv', '^(?!conv)']", "run.schedule_block=sequential", "run.max_trials=3"],
}


class Heard(SilentObserver):
    """Notes the trials whose epochs are told, and may kill a worker when the first trial ends."""

    def __init__(self, kill: bool = False) -> None:
        self.kill = kill
        self.epochs_of: set[int | None] = set()

    def epoch_ended(self, epoch: int, epochs: int, metrics: Mapping[str, float], trial: int | None = None) -> None:
        self.epochs_of.add(trial)

    def trial_ended(self, trial: AnyTrial, best: Trial | None, trained: int, total: int) -> None:
        if self.kill:
            self.kill = False
            os.kill(children()[0], signal.SIGKILL)


def children() -> list[int]:
    """Processes of this one's that multiprocessing has spawned."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = (path.parent / "cmdline").read_bytes()
        except OSError:  # it has just ended
            continue
        if parent == os.getpid() and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.parametrize(("search", "kill"), [("random", True), by_hand("blocks", False), by_hand("hyperband", True)])
def test_workers_come_to_what_one_process_comes_to(
    search: str, kill: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        pools, "threads_of", lambda count: None
    )  # as many as here, or sums are rounded in another order
    config = tiny(tmp_path, tmp_path / "alone")
    qsearch.run(config, SEARCHES[search])
    heard = Heard(kill)
    qsearch.run(config, [*SEARCHES[search], f"run.output_dir={tmp_path / 'workers'}"], heard, workers=2)
    same(left(tmp_path / "workers"), left(tmp_path / "alone"))
    assert len({*heard.epochs_of} - {None}) >= 2
    assert not (tmp_path / "workers" / "checkpoints" / "waiting").exists()
    assert not children()


@pytest.mark.slow
def test_a_run_of_workers_goes_on_in_one_process(tmp_path: Path) -> None:
    config = tiny(tmp_path, tmp_path / "out")
    sets = ["run.mode=guided", "run.max_trials=5"]
    qsearch.run(config, sets, workers=2)
    journal = (tmp_path / "out" / "trials.jsonl").read_text()
    assert any("told" in json.loads(line) for line in journal.splitlines())
    found = qsearch.run(config, [*sets, "run.max_trials=7"], resume=True)
    assert (tmp_path / "out" / "trials.jsonl").read_text().startswith(journal)
    assert sum(isinstance(trial, Trial) for trial in found.trials) == 7


@pytest.mark.by_hand
def test_a_worker_with_other_versions_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "versions", lambda: {"keras": "2.0"})
    stages: list[str] = []

    class Staged(SilentObserver):
        def stage(self, title: str) -> None:
            stages.append(title)

    with pytest.raises(WorkersError, match=r"cannot train this run's trials: has keras .*, not 2\.0") as caught:
        qsearch.run(tiny(tmp_path, tmp_path / "out"), ["run.max_trials=4"], Staged(), workers=2)
    assert caught.value.exit_code is ExitCode.WORKERS
    assert any("is left out: has keras" in line for line in stages)
    assert (tmp_path / "out" / "report.md").exists()


def test_what_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_ANSWER", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense", "udp://x:1"):
        with pytest.raises(WorkersError, match=f"scheduler {address}: cannot be reached"), pool(None, address):
            pass
    with pytest.raises(ConfigError, match="give one of --workers, --scheduler"), pool(2, "tcp://127.0.0.1:9"):
        pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'qsearch\[distributed\]'"), pool(2, None):
        pass


def test_several_devices_of_one_process_are_no_workers(tmp_path: Path) -> None:
    def run(**more: Any) -> None:
        qsearch.run(tiny(tmp_path, tmp_path / "out"), ["run.distribution_strategy=mirrored"], **more)

    with pytest.raises(ConfigError, match="distribution_strategy: found 'mirrored'"):
        run(workers=1)
    assert not (tmp_path / "out").exists()


def test_workers_start_beside_another_cluster() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):  # another test run has it: as well
            other.bind(("127.0.0.1", 8787))
            other.listen()
        with pool(1, None) as workers:
            assert workers is not None and workers.count == 1
