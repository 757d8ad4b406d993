"""`qsearch doctor`: can qsearch run here, and what is missing?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from qsearch.cli import findings
from qsearch.cli.findings import Finding, State
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.output import add_row, say, show, table_of
from qsearch.cli.tables import format_option
from qsearch.errors import one_line, shown
from qsearch.exit_codes import ExitCode
from qsearch.paths import expanded
from qsearch.startup import BACKEND

_SECONDS = 300
"""After which an import has failed."""
_NO_EDGE = 200


@click.command()
@format_option(("table", JSON))
def doctor(output: str) -> int:
    """Look whether qsearch can run here: versions, devices, memory, data, folders, optional parts, tools, terminal.

    Exit code 0 where it can, 2 where it cannot; what is optional or merely unwise is told, and ends with 0.
    """
    found = _by_area([*_examined()])
    broken = [finding for finding in found if finding.state is State.ERROR]
    if output == JSON:
        rows = [asdict(finding) for finding in found]
        say_document("doctor", can_run=not broken, findings=rows)
    else:
        _show(found)
        say("qsearch can run here" if not broken else f"qsearch cannot run here: {broken[0].found}")
    return ExitCode.CONFIG if broken else ExitCode.DONE


def _by_area(found: Sequence[Finding]) -> list[Finding]:
    areas = list(dict.fromkeys(finding.area for finding in found))
    return sorted(found, key=lambda finding: areas.index(finding.area))


def _examined() -> Iterator[Finding]:
    yield from findings.versions()
    yield from findings.combinations()
    yield from _imported()
    yield from _keras_json()
    yield from findings.memory()
    yield from findings.data()
    yield from findings.folders(Path("runs"))
    yield from findings.extras()
    yield from findings.tools()
    streams = {name: getattr(sys, name).isatty() for name in ("stdin", "stdout", "stderr") if getattr(sys, name)}
    yield from findings.terminal(streams, shutil.get_terminal_size().columns, sys.stdout.encoding)


def _imported() -> Iterator[Finding]:
    """Whether TensorFlow, Keras and qsearch's own modules can be imported, and the devices that they see."""
    told = _probed()
    if "problem" in told:
        yield Finding(
            area="import", name="tensorflow and keras", found=told["problem"], state=State.ERROR, fix=told["fix"]
        )
        return
    yield Finding(area="import", name="tensorflow and keras", found=f"{told['tensorflow']} and {told['keras']}")
    yield Finding(area="import", name="numbers", found=f"{told['floatx']}, {told['image_data_format']}")
    devices = [name.removeprefix("/physical_device:") for name in told["devices"]]
    gpus = any("GPU" in name for name in devices)
    yield Finding(area="machine", name="devices", found=", ".join(devices))
    if not gpus:
        reason = "sees none" if told["gpu_built"] else "is built without GPUs"
        yield Finding(
            area="machine", name="GPU", found=f"TensorFlow {reason}", state=State.NOTE, fix="runs use the CPU"
        )
    intra, inter = told["threads"]
    yield Finding(area="machine", name="threads", found=f"{intra or 'all'} within, {inter or 'all'} between operations")


def _probed() -> dict[str, Any]:
    """What a process of its own tells of the imports; `problem` and `fix` where they fail."""
    fix = "pip install --force-reinstall qsearch, in a virtual environment of its own"
    backend = os.environ.get("KERAS_BACKEND")
    if backend not in (None, "", BACKEND):
        fix = f"unset KERAS_BACKEND, or set KERAS_BACKEND={BACKEND}"
    # what quiets a run quiets the probe, so that its standard error is what Python itself says
    command = [sys.executable, "-m", "qsearch.cli.probe"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS, errors="replace")
    except subprocess.TimeoutExpired:
        return {"problem": f"an import that has not ended after {_SECONDS} s", "fix": fix}
    except OSError as error:
        return {"problem": f"{sys.executable} cannot be started: {error.strerror}", "fix": fix}
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        by = "an import ended Python by"
        return {"problem": f"{by} {name}", "fix": "install a TensorFlow that is built for this processor"}
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return {"problem": f"an import failed: {last}", "fix": fix}
    return {"fix": fix, **told}


def _keras_json() -> Iterator[Finding]:
    """Keras' own settings, which it reads when it is imported."""
    path = expanded(os.environ.get("KERAS_HOME") or "~/.keras") / "keras.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        yield _damaged(path, one_line(str(error)))
        return
    if not isinstance(settings, dict):
        yield _damaged(path, f"found {shown(settings)}, expected names and values")
        return
    yield Finding(area="import", name=str(path), found=", ".join(f"{key}: {value}" for key, value in settings.items()))


def _damaged(path: Path, why: str) -> Finding:
    return Finding(
        area="import", name=str(path), found=f"damaged: {why}", state=State.WARNING, fix="mend it, or remove it"
    )


def _show(found: Sequence[Finding]) -> None:
    table = table_of(("", "what", "found", "state"))
    area = ""
    for index, finding in enumerate(found):
        last = index + 1 == len(found) or found[index + 1].area != finding.area
        text = f"{finding.found}; {finding.fix}" if finding.fix else finding.found
        add_row(table, (finding.area if finding.area != area else "", finding.name, text, finding.state), last)
        area = finding.area
    show(table, _NO_EDGE)
