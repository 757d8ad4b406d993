"""`qsearch doctor`: what is found, and that nothing found ends it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from qsearch.cli import doctor as room
from qsearch.cli import findings
from qsearch.cli.findings import Finding, State
from qsearch.cli.main import cli

ROOT = Path(__file__).resolve().parents[2]
TOLD = {
    "keras": "3.0",
    "tensorflow": "2.0",
    "backend": "tensorflow",
    "floatx": "float32",
    "image_data_format": "channels_last",
    "devices": ["/physical_device:CPU:0"],
    "gpu_built": True,
    "threads": [0, 4],
}


def told(monkeypatch: pytest.MonkeyPatch, probed: Mapping[str, Any], code: int) -> dict[tuple[str, str], Any]:
    monkeypatch.setattr(room, "_probed", lambda: probed)
    done = CliRunner().invoke(cli, ["doctor", "--format", "json"], standalone_mode=False)
    assert done.exception is None
    assert done.return_value == code
    whole = json.loads(done.output)
    assert whole["schema"] == "qsearch.doctor/1"
    assert whole["can_run"] is (code == 0)
    return {(row["area"], row["name"]): row for row in whole["findings"]}


def test_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tfds" / "mnist" / "3.0.1").mkdir(parents=True)
    (tmp_path / "tfds" / "mnist" / "3.0.1" / "dataset_info.json").touch()
    (tmp_path / "keras").mkdir()
    (tmp_path / "keras" / "keras.json").write_text("{", encoding="utf-8")
    (tmp_path / "runs").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("PATH", str(tmp_path))
    found = told(monkeypatch, TOLD, 0)
    assert {area for area, _ in found} == {
        "versions", "import", "machine", "data", "folders", "extras", "tools", "terminal"
    }  # fmt: skip
    assert found["versions", "numpy"]["found"][0].isdigit()
    assert found["machine", "devices"]["found"] == "CPU:0"
    assert found["machine", "GPU"]["state"] == "note"
    assert found["data", "mnist"]["found"] == "prepared"
    assert found["data", "cifar10"]["state"] == "note"
    assert found["folders", "runs"]["state"] == "warning"
    assert found["tools", "verilator"]["fix"] == "install verilator with the system's packages"
    assert found["import", str(tmp_path / "keras" / "keras.json")]["found"].startswith("damaged: Expecting property")
    # of the package's own list, and all of it
    assert {"hls4ml", "onnx", "distributed"} <= {name for area, name in found if area == "extras"}


def test_where_nothing_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(monkeypatch, {"problem": "no\x1b[31mne", "fix": "do"}, 2)
    assert found["import", "tensorflow and keras"]["state"] == "error"
    done = CliRunner().invoke(cli, ["doctor"], standalone_mode=False)
    assert done.output.splitlines()[-1] == r"qsearch cannot run here: no\x1b[31mne"
    assert "\x1b" not in done.output
    assert done.return_value == 2


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("raise ImportError('numpy.core.multiarray failed')", "Keras cannot be imported: ImportError: numpy.core"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "an import ended Python by SIGILL"),
        ("import os; os._exit(3)", "an import failed: exit code 3"),
    ],
)
def test_a_tensorflow_that_is_broken(
    program: str, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tensorflow.py").write_text(program, encoding="utf-8")
    (tmp_path / "keras.py").write_text("import tensorflow", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{ROOT}")
    assert room._probed()["problem"].startswith(problem)


def test_another_backend_and_no_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    probed = room._probed()
    assert probed["problem"].startswith("KERAS_BACKEND: found 'jax'")
    assert probed["fix"] == "unset KERAS_BACKEND, or set KERAS_BACKEND=tensorflow"
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert room._probed()["problem"] == "/no/python cannot be started: No such file or directory"


def test_versions_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {
        "qsearch": ["numpy>=1.26", "gone>=1", "old>=3; python_version > '3'", 'onnx>=2; extra == "onnx"'],
        "tensorflow": ["numpy<2", 'nvidia; extra == "and-cuda"', "numpy<1; python_version < '3'"],
    }
    here = {"numpy": "2.4.0", "old": "2.9", "onnx": "1.9", "tensorflow": "2.19"}

    def version(name: str) -> str:
        if name not in here:
            raise findings.PackageNotFoundError(name)
        return here[name]

    monkeypatch.setattr(findings, "requires", lambda name: needs.get(name, []))
    monkeypatch.setattr(findings, "version", version)
    monkeypatch.setattr(findings, "_extras", lambda: ["onnx"])
    state = {finding.name: (finding.state, finding.fix) for finding in findings.versions()}
    assert state["numpy"] == (State.OK, "")
    assert state["gone"] == (State.ERROR, "pip install 'gone>=1'")
    assert state["old"] == (State.WARNING, "pip install 'old>=3'")
    assert [*findings.combinations()] == [
        Finding(
            area="combinations",
            name="tensorflow 2.19",
            found="numpy 2.4.0, and it needs numpy<2",
            state=State.WARNING,
            fix="pip install 'numpy<2'",
        )
    ]
    (extra,) = findings.extras()
    assert (extra.state, extra.found, extra.fix) == (
        State.NOTE, "missing: onnx>=2", 'pip install "qsearch[onnx]"'
    )  # fmt: skip


def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[str]:
        raise findings.PackageNotFoundError(name)

    monkeypatch.setattr(findings, "requires", none)
    last = [*findings.versions()][-1]
    assert (last.name, last.state) == ("packages", State.WARNING)
