"""What `qsearch doctor` finds: what is installed and may be, whether it goes together, and where things are."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from qsearch.config.names import DATASETS
from qsearch.paths import expanded


class State(StrEnum):
    """What a finding means for a run."""

    OK = "ok"
    NOTE = "note"
    """Something optional is not there."""
    WARNING = "warning"
    """Runs may fail, or be slow."""
    ERROR = "error"
    """Nothing can run."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: the heading it stands under.
        fix: what to do; empty where nothing is wrong.
    """

    area: str
    name: str
    found: str
    state: State = State.OK
    fix: str = ""


_OWN = "qsearch"
_EXTRA = re.compile(r"""extra\s*==\s*["']([\w.-]+)["']""")
_NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_FRAMEWORKS = ("tensorflow", "keras", "keras-tuner", "tensorflow-datasets", "scikit-learn")
"""Whose own demands are looked at: they break each other."""
_TOOLS = {
    ("g++",): "runs what is exported as C or hls4ml",
    ("make",): "runs what is exported as Verilog, with verilator",
    ("verilator",): "runs what is exported as Verilog",
    ("chromium", "chromium-browser", "google-chrome"): "is the browser of the tests of the HTML report",
}
_LEAST_ROOM = 1 << 30


def versions() -> Iterator[Finding]:
    """Python, qsearch, and what qsearch needs."""
    from qsearch import __version__

    yield Finding(area="versions", name="python", found=f"{platform.python_version()} ({sys.executable})")
    yield Finding(area="versions", name=_OWN, found=f"{__version__} ({Path(__file__).resolve().parents[1]})")
    yield Finding(area="versions", name="system", found=platform.platform())
    needed = _requirements(_OWN, None)
    if not needed:
        yield Finding(
            area="versions",
            name="packages",
            found="qsearch is not installed as a package, so that what it needs is not known",
            state=State.WARNING,
            fix="pip install qsearch, or pip install -e . in a checkout",
        )
    for requirement in needed:
        name, here = _name(requirement), installed(_name(requirement))
        if here is None:
            yield Finding(
                area="versions", name=name, found="not installed", state=State.ERROR, fix=f"pip install '{requirement}'"
            )
        elif not _meets(here, requirement):
            yield Finding(
                area="versions",
                name=name,
                found=f"{here}, and qsearch needs {requirement}",
                state=State.WARNING,
                fix=f"pip install '{requirement}'",
            )
        else:
            yield Finding(area="versions", name=name, found=here)


def combinations() -> Iterator[Finding]:
    """Packages whose versions do not go together, by what each says of the others."""
    for owner in _FRAMEWORKS:
        for requirement in _requirements(owner, None):
            name, here = _name(requirement), installed(_name(requirement))
            if here is not None and not _meets(here, requirement):
                yield Finding(
                    area="combinations",
                    name=f"{owner} {installed(owner)}",
                    found=f"{name} {here}, and it needs {requirement}",
                    state=State.WARNING,
                    fix=f"pip install '{requirement}'",
                )


def extras() -> Iterator[Finding]:
    """The optional parts of qsearch, as its package lists them."""
    for extra in _extras():
        wanted = _requirements(_OWN, extra)
        missing = [one for one in wanted if (here := installed(_name(one))) is None or not _meets(here, one)]
        there = ", ".join(f"{_name(one)} {installed(_name(one))}" for one in wanted if one not in missing)
        yield Finding(
            area="extras",
            name=extra,
            found=there if not missing else f"missing: {', '.join(missing)}",
            state=State.NOTE if missing else State.OK,
            fix=f'pip install "qsearch[{extra}]"' if missing else "",
        )


def installed(package: str) -> str | None:
    """The version of an installed package; None where there is none."""
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):
        return None


def _extras() -> list[str]:
    from importlib.metadata import metadata

    try:
        return [str(extra) for extra in metadata(_OWN).get_all("Provides-Extra") or ()]
    except PackageNotFoundError:
        return []


def _requirements(package: str, extra: str | None) -> list[str]:
    """What a package needs here, `numpy>=1.26` and the like, without markers."""
    try:
        lines = requires(package) or []
    except PackageNotFoundError:
        return []
    found = []
    for line in lines:
        text, _, marker = line.partition(";")
        named = _EXTRA.search(marker)
        if (named[1] if named else None) == extra and _applies(marker, extra):
            found.append(text.strip())
    return found


def _name(requirement: str) -> str:
    match = _NAME.match(requirement)
    return match[1] if match else requirement


def _applies(marker: str, extra: str | None) -> bool:
    """Whether a requirement is for this Python and system."""
    try:
        from packaging.markers import Marker

        return not marker.strip() or Marker(marker).evaluate({"extra": extra or ""})
    except Exception:  # packaging comes with Keras, which may be missing
        return True


def _meets(here: str, requirement: str) -> bool:
    try:
        from packaging.requirements import Requirement

        return Requirement(requirement).specifier.contains(here, prereleases=True)
    except Exception:
        return True


def memory() -> Iterator[Finding]:
    """Memory and processors that this process may use."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding(area="machine", name="processors", found=f"{usable} of {os.cpu_count()}")
    for variable in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "CUDA_VISIBLE_DEVICES"):
        if variable in os.environ:
            yield Finding(area="machine", name=variable, found=os.environ[variable] or "empty")
    total, free = _memory()
    if total is None or free is None:
        return
    low = free < _LEAST_ROOM
    yield Finding(
        area="machine",
        name="memory",
        found=f"{_gigabytes(free)} free of {_gigabytes(total)}",
        state=State.WARNING if low else State.OK,
        fix="end other programs, or take fewer --workers" if low else "",
    )


def _memory() -> tuple[int | None, int | None]:
    """Bytes in all and free: of the machine, or of the control group where that has less."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        figures = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
        total, free = figures["MemTotal"], figures["MemAvailable"]
    except (OSError, KeyError, ValueError, IndexError):
        return None, None
    group = Path("/sys/fs/cgroup")
    try:
        most = int((group / "memory.max").read_text(encoding="ascii"))
        used = int((group / "memory.current").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no group, or one without a bound
        return total, free
    return min(total, most), max(0, min(free, most - used))


def data() -> Iterator[Finding]:
    """Where data sets are looked for, and which of them are there."""
    given = os.environ.get("TFDS_DATA_DIR")
    folder = expanded(given or "~/tensorflow_datasets")
    yield Finding(area="data", name="TFDS_DATA_DIR" if given else "folder", found=str(folder))
    for name in DATASETS:
        if name == "digits":
            yield Finding(area="data", name=name, found="comes with scikit-learn")
        elif _prepared(folder / name):
            yield Finding(area="data", name=name, found="prepared")
        else:
            yield Finding(
                area="data",
                name=name,
                found="not there: downloaded when it is first used",
                state=State.NOTE,
                fix=f"without a network: TFDS_DATA_DIR=a folder with {name}/<version>/dataset_info.json",
            )


def _prepared(folder: Path) -> bool:
    try:
        return any(folder.glob("*/dataset_info.json"))
    except OSError:
        return False


def folders(output: Path) -> Iterator[Finding]:
    """Whether temporary files and runs can be written.

    Args:
        output: the folder that runs are written to.
    """
    try:
        temporary = Path(tempfile.gettempdir())
    except OSError:
        yield Finding(
            area="folders",
            name="temporary files",
            found="no folder can be written to",
            state=State.ERROR,
            fix="set TMPDIR to a folder that can, or free some space",
        )
    else:
        yield _room("temporary files", temporary, "set TMPDIR to another folder, or free some space")
    yield _room("runs", output, "run.output_dir or --output-dir names another folder")


def _room(name: str, folder: Path, fix: str) -> Finding:
    above = next((one for one in (folder, *folder.absolute().parents) if one.exists()), folder)
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        return Finding(area="folders", name=name, found=f"{folder} cannot be written to", state=State.WARNING, fix=fix)
    free = shutil.disk_usage(above).free
    low = free < _LEAST_ROOM
    found = f"{folder}, {_gigabytes(free)} free"
    return Finding(
        area="folders", name=name, found=found, state=State.WARNING if low else State.OK, fix=fix if low else ""
    )


def _gigabytes(count: int) -> str:
    return f"{count / (1 << 30):.1f} GiB"


def tools() -> Iterator[Finding]:
    """Programs that qsearch calls where they are there."""
    for names, use in _TOOLS.items():
        path = next(filter(None, map(shutil.which, names)), None)
        yield Finding(
            area="tools",
            name=names[0],
            found=path or f"not found; it {use}",
            state=State.OK if path else State.NOTE,
            fix="" if path else f"install {names[0]} with the system's packages",
        )


def terminal(streams: Mapping[str, bool], columns: int, encoding: str) -> Iterator[Finding]:
    """How results are shown.

    Args:
        streams: by name, whether it is a terminal.
    """
    shown = ", ".join(f"{name} {'is a terminal' if is_one else 'is none'}" for name, is_one in streams.items())
    yield Finding(area="terminal", name="streams", found=shown)
    yield Finding(area="terminal", name="width", found=f"{columns} columns")
    ascii_only = encoding.lower().replace("-", "") not in ("utf8", "utf16", "utf32")
    yield Finding(
        area="terminal",
        name="encoding",
        found=encoding,
        state=State.NOTE if ascii_only else State.OK,
        fix="set LANG=C.UTF-8 to see names and lines as they are" if ascii_only else "",
    )
    colours = "off: NO_COLOR" if os.environ.get("NO_COLOR") else f"by TERM={os.environ.get('TERM') or 'unset'}"
    yield Finding(area="terminal", name="colours", found=colours)
