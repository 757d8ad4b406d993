"""The written Verilog, compiled by Verilator, on samples."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from qsearch.errors import ExportError, shown
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.targets.verilog_harness import verilator_flags
from qsearch.hardware.targets.verilog_project import SIMULATION, Ports, codes_of, lines_of
from qsearch.paths import temporary_folder

_NEEDED = ("verilator", "g++", "make")
_LEAST_VERSION = 5
_SECONDS = 1800


def simulated(ports: Ports, folder: Path, codes: Mapping[str, Codes]) -> dict[str, Codes] | None:
    """The codes of the outputs, by the step that they are of; None where there is no simulator on this machine.

    Raises:
        ExportError: the files do not compile, or the simulation ends with an error.
    """
    if any(shutil.which(name) is None for name in _NEEDED) or not _is_new():
        return None
    with temporary_folder() as aside:
        sources = [*sorted((folder / "src").rglob("*.v")), folder / SIMULATION / "main.cpp"]
        command = ["verilator", *verilator_flags(ports.top, str(aside)), *(str(path.resolve()) for path in sources)]
        try:
            _done(command, "")
            text = _done([str(aside / "simulate")], lines_of(ports.inputs, codes))
        except (subprocess.TimeoutExpired, PermissionError):
            return None  # too large to wait for, or a folder in which nothing may be run
    return codes_of(ports.outputs, text)


def _is_new() -> bool:
    """Whether Verilator has the options that are used."""
    told = subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"Verilator (\d+)", told)
    return found is not None and int(found[1]) >= _LEAST_VERSION


def _done(command: list[str], given: str) -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_SECONDS, check=False)
    if done.returncode:
        told = done.stderr.strip() or done.stdout.strip()
        raise ExportError(f"target verilog: {Path(command[0]).name} ended with {done.returncode}: {shown(told[-800:])}")
    return done.stdout
