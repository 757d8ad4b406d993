"""Standard streams that are taken away."""

from __future__ import annotations

import io
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from qsearch.cli.plain_progress import PlainObserver
from qsearch.cli.streams import GuardedFile, reader_is_gone, trouble_of


def guarded(descriptor: int, encoding: str = "utf-8") -> io.TextIOWrapper:
    return io.TextIOWrapper(
        io.BufferedWriter(GuardedFile(descriptor)), encoding, "backslashreplace", line_buffering=True
    )


def test_nothing_is_raised_and_the_first_trouble_is_kept() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    stream = guarded(full)
    for _ in range(3):
        print("a" * 100_000, file=stream)
    trouble = trouble_of(stream)
    assert trouble is not None
    assert trouble.strerror == "No space left on device"
    os.close(full)


def test_a_pipe_that_is_full_is_waited_for() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    stream = guarded(write)
    if os.fork() == 0:  # a reader of its own
        os.close(write)
        while os.read(read, 1 << 16):
            pass
        os._exit(0)
    os.close(read)
    print("a" * 1_000_000, file=stream)
    assert trouble_of(stream) is None
    os.close(write)
    os.wait()


def test_names_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "out"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    print(os.fsdecode(b"\xff\xc3\xbc.keras"), file=guarded(descriptor, "ascii"))
    os.close(descriptor)
    assert path.read_bytes() == b"\\udcff\\xfc.keras\n"


def test_a_run_that_nobody_reads_is_stopped_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(sys, "stdout", guarded(write))
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: sent.append(number))
    observer = PlainObserver(Console())
    observer.stage("a")
    observer.stage("b")
    assert reader_is_gone()
    assert sent == [signal.SIGTERM]
    os.close(write)


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("--version >/dev/full", 5, "error: the standard output cannot be written: No space left on device\n"),
        ("--help | true", 0, ""),
        ("--version >&- 2>&-", 0, ""),
        ("run nothing.yaml 2>/dev/full", 2, ""),
        ("energy digits", 2, "KERAS_BACKEND: found 'jax', and qsearch needs 'tensorflow'; unset it, or set "
                             "KERAS_BACKEND=tensorflow\n"),
    ],
)  # fmt: skip
def test_a_process_of_its_own(command: str, code: int, said: str, tmp_path: Path) -> None:
    """None of these imports TensorFlow."""
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", f"{shlex.quote(sys.executable)} -m qsearch {command}"],
        env={**os.environ, "KERAS_BACKEND": "jax", "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, said)
