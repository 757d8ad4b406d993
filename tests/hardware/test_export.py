"""`qsearch export`: what is written, what is compared, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy
import pytest
from click.testing import CliRunner
from integer_networks import layers, made, samples, several, small

import qsearch
from qsearch.cli.main import cli
from qsearch.errors import ConfigError, ExportError, OutputError
from qsearch.exit_codes import ExitCode
from qsearch.hardware.targets import TARGETS
from qsearch.runner.run_result import RunResult


def test_a_model_is_written_and_compared(tmp_path: Path) -> None:
    model = made(small())
    exported = qsearch.export(model, "codes", tmp_path / "out", samples=samples(model, 50))
    assert exported.executed
    assert exported.comparison.samples == 50 + 205
    told = json.loads((tmp_path / "out" / "verification.json").read_text(encoding="utf-8"))
    assert told["keras_mismatches"] == {"dense": 0}
    assert told["artefact_mismatches"] == 0
    assert told["inexact_in_float32"] == []
    assert 8 < told["accumulator_bits"] < 24
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "255 samples: 0 outputs" in text
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_is_compared_again(tmp_path: Path) -> None:
    model = made(small())
    model.save(tmp_path / "net.keras")
    qsearch.export(model, "codes", tmp_path / "out")
    arguments = ["verify", str(tmp_path / "net.keras"), "--against"]
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "dense: 0 of 205 samples of the written files differ from Keras" in done.output
    made(small(), seed=5).save(tmp_path / "net.keras")
    done = CliRunner().invoke(cli, [*arguments, str(tmp_path / "out")])
    assert isinstance(done.exception, ExportError)
    assert "it is of another model, or has been changed" in str(done.exception)
    (tmp_path / "out" / "codes.npz").write_bytes(b"PK")
    for folder, message in (
        (tmp_path / "out", "its files cannot be read"),
        (tmp_path, "is no folder that qsearch export"),
    ):
        done = CliRunner().invoke(cli, [*arguments, str(folder)])
        assert isinstance(done.exception, OutputError)
        assert message in str(done.exception)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    given = {name: numpy.random.default_rng(0).normal(size=(20, 6)) for name in ("one", "other")}
    exported = qsearch.export(
        made(several()), "codes", tmp_path / "out", samples=given, sources="quantized_bits(6,1,1)"
    )
    assert exported.comparison.keras_mismatches == {"a": 0, "b": 0}
    assert [source.form.bits for source in exported.model.sources] == [6, 6]


def test_what_cannot_be_exact_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="is no quantized layer"):
        qsearch.export(keras.Sequential([keras.Input((4,)), layers.Dense(2)]), "codes", tmp_path / "out")
    with pytest.raises(ConfigError, match="target 'code': unknown; did you mean 'codes'"):
        qsearch.export(made(small()), "code", tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    with pytest.raises(OutputError, match="out: is there already; name a new folder"):
        qsearch.export(made(small()), "codes", tmp_path / "out")


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_says_what_it_is(name: str) -> None:
    from qsearch.hardware.targets import target_named

    try:
        target = target_named(name)
    except (ConfigError, ImportError) as error:
        pytest.skip(str(error))
    assert target.name == name
    assert len(target.readme) > 50


def test_the_command_on_a_run(tiny_result: RunResult, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_result.run_directory, tmp_path / "run"))
    done = CliRunner().invoke(cli, ["export", str(folder), "--to", "codes"])
    assert done.exit_code == 0, done.output
    assert "softmax: 0 of 305 samples of the written files differ from Keras" in done.output
    assert (folder / "exports" / "codes" / "network.json").is_file()
    again = CliRunner().invoke(cli, ["export", str(folder), "--to", "codes"])
    assert isinstance(again.exception, OutputError)


def test_mistakes_of_the_command(tmp_path: Path) -> None:
    made(small()).save(tmp_path / "net.keras")
    for arguments, error, message in (
        (["--to", "codes", "--option", "x"], ConfigError, "--option 'x': expected KEY=VALUE"),
        (["--to", "codes", "--input-quantizer", "quantized_bit(4)"], ConfigError, "unknown quantizer"),
        (["--to", "cods"], ConfigError, "did you mean 'codes'"),
    ):
        done = CliRunner().invoke(cli, ["export", str(tmp_path / "net.keras"), *arguments])
        assert isinstance(done.exception, error)
        assert message in str(done.exception)
    keras.Sequential([keras.Input((4,)), layers.Dense(2)]).save(tmp_path / "float.keras")
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "float.keras"), "--to", "codes"])
    assert isinstance(done.exception, ExportError)
    assert done.exception.exit_code == ExitCode.NOT_EXACT == 9
    done = CliRunner().invoke(cli, ["export", str(tmp_path / "net.keras"), "--to", "codes"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "net_codes" / "codes.npz").is_file()
