"""Rooms import only from rooms above them, and light rooms stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "qsearch"

ROOMS = (
    "exit_codes",
    "errors",
    "interrupts",
    "files",
    "startup",
    "paths",
    "imports",
    "functions",
    "quantizers",
    "plan",
    "layers",
    "config",
    "datasets",
    "models",
    "graph",
    "quantize",
    "energy",
    "hardware",
    "goal",
    "search",
    "sensitivity",
    "workers",
    "training",
    "blocks",
    "runs",
    "report",
    "observers",
    "runner",
    "cli",
)
NO_TENSORFLOW = (
    "qsearch",
    "qsearch.errors",
    "qsearch.quantizers",
    "qsearch.quantizers.formats",
    "qsearch.plan",
    "qsearch.config",
    "qsearch.datasets",
    "qsearch.models",
    "qsearch.graph.resize",
    "qsearch.energy.estimate",
    "qsearch.goal",
    "qsearch.search.limits",
    "qsearch.search.loop",
    "qsearch.workers.engine",
    "qsearch.workers.worker",
    "qsearch.blocks.table",
    "qsearch.report.markdown",
    "qsearch.report.html",
    "qsearch.report.compare_page",
    "qsearch.report.pictures",
    "qsearch.report.best",
    "qsearch.report.comparison_tables",
    "qsearch.report.registries",
    "qsearch.report.trial_tables",
    "qsearch.runs.record",
    "qsearch.observers.notebook",
    "qsearch.observers.several",
    "qsearch.cli.progress",
    "qsearch.cli.main",
    "qsearch.cli.verify",
    "qsearch.cli.report",
)
MODULES = sorted(PACKAGE.rglob("*.py"))


def room(module: str) -> str | None:
    """`energy` for `qsearch.energy.memory`; None for the package itself."""
    parts = module.split(".")
    if parts[1:] == ["__main__"]:
        return "cli"
    return parts[1] if len(parts) > 1 else None


def module_name(path: Path) -> str:
    parts = ["qsearch", *path.relative_to(PACKAGE).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(str(node.module))
    return found


def test_every_room_is_known() -> None:
    rooms = {room(module_name(path)) for path in MODULES} - {None}
    assert rooms == set(ROOMS)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_go_up(path: Path) -> None:
    name = module_name(path)
    own = room(name)
    if own is None:
        pytest.skip("the package itself offers names from every room, lazily")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for other in imported(tree):
        target = room(other) if other.split(".")[0] == "qsearch" else None
        if target is not None:
            assert ROOMS.index(target) <= ROOMS.index(own), f"{name} imports {other}"
        assert other.split(".")[0] != "keras_tuner" or own == "search", f"{name} imports KerasTuner"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_only_the_command_line_prints_and_nothing_evaluates(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"eval", "exec"}
    assert room(module_name(path)) == "cli" or "print" not in called


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_modules_are_small(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


def test_light_rooms_import_no_tensorflow() -> None:
    program = f"import importlib, sys\nfor name in {NO_TENSORFLOW!r}:\n    importlib.import_module(name)\n" + (
        "    heavy = {'tensorflow', 'keras', 'keras_tuner', 'sklearn'} & set(sys.modules)\n"
        "    assert not heavy, (name, heavy)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
