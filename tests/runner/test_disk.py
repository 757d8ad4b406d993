"""Runs on disks that fill up, are read only, or are taken away."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from run_left import left, same
from slow import by_hand
from tiny_run import tiny

import qsearch
from qsearch.errors import OutputError
from qsearch.exit_codes import ExitCode
from qsearch.runs.record import RunRecord
from qsearch.search.trials import SilentObserver

SETS = ["run.max_trials=3", "reference.epochs=1", "run.epochs=1", "run.prune=false"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run on a disk with room."""
    folder = tmp_path_factory.mktemp("whole")
    return qsearch.run(tiny(folder, folder / "out"), SETS).run_directory


@pytest.mark.parametrize(
    ("number", "reason", "moment"),
    [
        (errno.ENOSPC, "No space left on device", 7),
        by_hand(errno.ENOSPC, "No space left on device", 1),
        by_hand(errno.ENOSPC, "No space left on device", 4),
        by_hand(errno.EROFS, "Read-only file system", 5),
        by_hand(errno.EACCES, "Permission denied", 6),
        by_hand(errno.EDQUOT, "quota", 9),
        by_hand(errno.EIO, "Input/output error", 15),
    ],
)
def test_a_run_goes_on_once_there_is_room(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str, moment: int
) -> None:
    config, out = tiny(tmp_path, tmp_path / "out"), tmp_path / "out"
    fsync, count = os.fsync, 0

    def full(descriptor: int) -> None:
        nonlocal count
        count += 1
        if count >= moment:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=f"cannot be written: .*{reason}") as caught:
        qsearch.run(config, SETS)
    assert caught.value.exit_code == ExitCode.OUTPUT
    assert not [*out.rglob(".partial*"), *out.glob(".reserved"), *out.glob(".lock")]
    monkeypatch.setattr(os, "fsync", fsync)
    if (out / "config.yaml").exists():
        before = RunRecord.read(out).trials
        qsearch.run(config, SETS, resume=True)
        assert [trial.plan for trial in RunRecord.read(out).trials[: len(before)]] == [one.plan for one in before]
        same(left(out), left(whole))


def mounted(folder: Path, size: str) -> bool:
    """Whether a disk of that size could be put there."""
    command = shutil.which("mount")
    if command is None or os.geteuid() != 0:
        return False
    done = subprocess.run([command, "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True)
    return done.returncode == 0


@pytest.mark.slow
def test_a_disk_that_is_full(whole: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if not mounted(disk, "1m"):
        pytest.skip("nothing can be mounted here")
    try:
        config = tiny(tmp_path, disk / "out")
        (disk / "filling").write_bytes(bytes(850_000))
        with pytest.raises(OutputError, match="cannot be written: No space left on device"):
            qsearch.run(config, SETS)
        (disk / "filling").unlink()
        qsearch.run(config, SETS, resume=True)
        same(left(disk / "out"), left(whole))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


class After(SilentObserver):
    """Does something after a trial."""

    def __init__(self, trial: int, do: Callable[[], object]) -> None:
        self.trial, self.do = trial, do

    def trial_ended(self, trial: object, best: object, trained: int, total: int) -> None:
        if trained == self.trial:
            self.do()


@pytest.mark.slow
def test_a_run_directory_that_is_moved_away(whole: Path, tmp_path: Path) -> None:
    config, out, moved = tiny(tmp_path, tmp_path / "out"), tmp_path / "out", tmp_path / "moved"
    with pytest.raises(OutputError, match=r"out is gone: deleted, moved, or") as caught:
        qsearch.run(config, SETS, After(2, lambda: out.rename(moved)))
    assert caught.value.exit_code == ExitCode.OUTPUT
    assert not out.exists()  # no part of it is made again
    qsearch.run(config, [*SETS, f"run.output_dir={moved}"], resume=True)
    same(left(moved), left(whole))


def test_a_run_directory_that_is_deleted(tmp_path: Path) -> None:
    config, out = tiny(tmp_path, tmp_path / "out"), tmp_path / "out"
    with pytest.raises(OutputError, match=r"out is gone: deleted, moved, or"):
        qsearch.run(config, SETS, After(3, lambda: shutil.rmtree(out)))
    assert not out.exists()


def test_the_disk_that_a_run_takes_is_told(whole: Path) -> None:
    result = RunRecord.read(whole).result
    assert result is not None
    files = [path for path in whole.rglob("*") if path.is_file()]
    last = {"result.json", "report.md", "energy.json", "costs.json", "report.html", "weights.json"}
    last |= {"trials.csv", "front.csv"}
    assert result.disk_bytes == sum(path.stat().st_size for path in files if path.name not in last)
    assert result.checkpoint_bytes == sum(path.stat().st_size for path in (whole / "checkpoints").iterdir())
    assert "Disk: " in (whole / "report.md").read_text()
    assert " kB, of which checkpoints for resume " in (whole / "report.md").read_text()
    assert len(left(whole)[0]) == 3
