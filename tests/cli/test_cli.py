"""The command line as a user meets it: in a process of its own."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from command_server import command as forked
from tiny_run import tiny

ROOT = Path(__file__).resolve().parents[2]
QUICK = """
dataset: {name: digits, train_samples: 200, test_samples: 50, validation: 0.2}
model: {name: digits, filters: [4, 6]}
reference: {epochs: 1, optimizer: {learning_rate: 0.01}}
limit: {Conv2D: [4], Activation: [4]}
goal: {type: energy, params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false,
       reference_internal: int8, reference_accumulator: int32}}
run: {max_trials: 2, epochs: 1}
"""


def qsearch(
    *arguments: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    if env is None:
        return forked(*arguments, folder=cwd)
    return subprocess.run(
        [sys.executable, "-m", "qsearch", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, **env},
        check=False,
    )


def quick(folder: Path) -> Path:
    path = folder / "quick.yaml"
    path.write_text(QUICK, encoding="utf-8")
    return path


def test_help_names_the_commands_and_exit_codes() -> None:
    done = qsearch("--help")
    assert done.returncode == 0
    for word in ("run", "energy", "blocks", "Exit codes"):
        assert word in done.stdout
    assert qsearch("--version").stdout.startswith("qsearch, version 0.")


def test_usage_errors() -> None:
    done = qsearch("rum")
    assert done.returncode == 2
    assert "did you mean 'run'?" in done.stderr
    assert qsearch("energy").returncode == 2
    assert "nope.yaml: no such file" in qsearch("run", "nope.yaml").stderr


def test_a_broken_configuration_lists_every_error_and_ends_with_2(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: mnits}\nmodel: {name: digits}\nlimit: {Dense: [0]}\n")
    done = qsearch("run", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    assert [line.split(" ")[0] for line in done.stderr.splitlines()] == [f"{path}:1:17:", f"{path}:3:17:"]


def test_the_default_configuration_is_qsearch_yaml(tmp_path: Path) -> None:
    for command in ("run", "blocks"):
        done = qsearch(command, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("qsearch.yaml: no such file")


def test_a_run_prints_a_line_per_trial_and_where_the_results_are(tmp_path: Path) -> None:
    done = qsearch("run", str(quick(tmp_path)), "--output-dir", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    text = done.stdout.splitlines()
    assert text[0].startswith("model digits, data set digits, ")
    assert text[1].startswith("not searched, ")
    assert text[1].endswith(" bn_1 (BatchNormalization), dense (Dense): no entry of limit matches it")
    run = text[text.index("reference: 1 epochs") :]
    assert run[1].startswith("search, random: 2 trials of 1 epochs")
    assert [line.split(":")[0] for line in run[2:4]] == ["[1/2] trial 1", "[2/2] trial 2"]
    summary = json.loads((tmp_path / "out" / "result.json").read_text())
    assert text[-1] == f"results in {tmp_path / 'out'} (start with report.html)"
    assert f"acc {summary['best']['test']['acc']:.4f} on the test set" in done.stdout
    assert f"{summary['best']['energy_ratio']:.4g} times less energy" in done.stdout


def test_a_terminated_run_keeps_its_trials_and_says_so(tmp_path: Path) -> None:
    arguments = ["run", str(quick(tmp_path)), "--set", "run.max_trials=500", "--output-dir", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "qsearch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "out" / "trials.jsonl"
    deadline = time.monotonic() + 120
    while not journal.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert "interrupted" in output
    assert json.loads((tmp_path / "out" / "result.json").read_text())["interrupted"] is True
    assert (tmp_path / "out" / "best" / "model.keras").exists()


def test_a_folder_that_cannot_be_written_ends_with_5(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = qsearch("run", str(quick(tmp_path)), "--output-dir", str(tmp_path / "file" / "run"))
    assert done.returncode == 5
    assert done.stderr.strip() == (
        f"error: run.output_dir: {tmp_path / 'file' / 'run'} cannot be written: Not a directory; "
        "name a folder that you may write to"
    )


def test_missing_data_end_with_4(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("dataset: {name: cifar10}\nmodel: {name: cifar10}\nlimit: {Dense: [4]}\n")
    done = qsearch("run", str(path), env={"TFDS_DATA_DIR": str(tmp_path)})
    assert done.returncode == 4
    assert f"data set 'cifar10': not in {tmp_path}" in done.stderr
    assert "point TFDS_DATA_DIR at a folder with a prepared copy" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_model_files_that_are_none_end_with_3(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("hello")
    done = qsearch("energy", str(tmp_path / "text.h5"))
    assert done.returncode == 3
    assert "is no HDF5 file" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert qsearch("energy", "mnits").returncode == 3


def test_energy_prints_the_seeds_figures() -> None:
    table = qsearch("energy", "mnist")
    assert table.returncode == 0, table.stderr
    assert "total 204.4 nJ (204,399.67 pJ) per inference" in table.stdout
    assert "conv2d_0" in table.stdout
    text = qsearch(
        "energy", "mnist", "--reference", "fp32", "--min-sram-size", str(8 * 16 * 1024 * 1024), "--format", "json"
    )
    assert int(json.loads(text.stdout)["total"]) == 3295370
    rows = list(csv.DictReader(io.StringIO(qsearch("energy", "mnist", "--format", "csv").stdout)))
    assert rows[0]["layer"] == "conv2d_0"
    assert rows[-1] == {"layer": "total", "class": "", "inputs_pj": "", "parameters_pj": "", "op_cost_pj": "",
                        "outputs_pj": "", "total_pj": "204399.67"}  # fmt: skip


def test_energy_names_a_wrong_source_type() -> None:
    done = qsearch("energy", "mnist", "--source", "int4")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "--source 'int4': number type 'int4': allowed: int8, int16, int32, fp16, fp32 or a quantizer"
    )


def test_blocks_are_shown_in_the_order_of_their_cost() -> None:
    done = qsearch("blocks", str(ROOT / "configs" / "mnist_blocks.yaml"), "--debug")
    assert done.returncode == 0, done.stderr
    order = [line.split("│")[1].strip() for line in done.stdout.splitlines() if line.startswith("│ ^")]
    assert order == ["^.*_1$", "^.*_2$", "^.*_3$", "^.*_4$", "^.*_0$", "^dense"]
    # AutoQKeras' schedule of this experiment: 13, 13, 10, 10, 10, 10
    assert "6 blocks, 66 trials in all" in done.stdout
    assert "in no block: flatten" in done.stdout


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ('["^.*_0$", "^.*_O$"]', "run.blocks[1]: pattern '^.*_O$' matches no layer"),
        ("null", "run.blocks: is missing: list patterns of layer names"),
    ],
)
def test_patterns_that_match_nothing_end_with_2(blocks: str, expected: str) -> None:
    done = qsearch("blocks", str(ROOT / "configs" / "mnist_blocks.yaml"), "--debug", "--set", f"run.blocks={blocks}")
    assert done.returncode == 2
    assert expected in done.stderr


def test_blocks_searches_what_it_shows(tmp_path: Path) -> None:
    path = tiny(tmp_path, tmp_path / "out")
    options = ["--set", 'run.blocks=["^.*_0$", "^dense"]', "--set", "run.min_trials_per_block=1"]
    options += ["--set", "run.max_trials=1", "--set", "run.epochs=1", "--set", "final_training=null"]
    shown = qsearch("blocks", str(path), *options, "--time")
    assert shown.returncode == 0, shown.stderr
    assert "2 blocks, 2 trials in all" in shown.stdout
    assert re.search(r"combinations: [\d,]+ for the whole network at once, [\d,]+ block by block", shown.stdout)
    assert re.search(r"measured: [\d.]+ s an epoch of the reference; [\d.]+ s to build", shown.stdout)
    assert "estimated: reference " in shown.stdout
    assert "in no block, and therefore not quantized: conv2d_1" in shown.stdout
    assert not (tmp_path / "out").exists()
    done = qsearch("blocks", str(path), *options, "--output-dir", str(tmp_path / "other"))
    assert done.returncode == 0, done.stderr
    assert "block 1 of 2, ^.*_0$, random: 1 trials of 1 epochs" in done.stdout
    assert "2 trials completed, 0 failed, 0 skipped" in done.stdout
    assert (tmp_path / "other" / "blocks" / "2" / "model.keras").exists()


def test_hyperband_has_its_own_number_of_trials() -> None:
    options = ["--set", "run.mode=hyperband", "--set", "run.max_epochs=9"]
    done = qsearch("blocks", str(ROOT / "configs" / "mnist_blocks.yaml"), "--debug", *options)
    assert "6 blocks, 138 trials in all" in done.stdout, done.stderr


def test_suggested_blocks_can_be_pasted(tmp_path: Path) -> None:
    path = str(ROOT / "configs" / "mnist_flat.yaml")
    done = qsearch("blocks", path, "--suggest")
    assert done.returncode == 0, done.stderr
    blocks = yaml.safe_load(done.stdout)["run"]["blocks"]
    assert blocks == ["^.*_0$", "^.*_1$", "^.*_2$", "^.*_3$", "^.*_4$", "^dense$"]
    shown = qsearch("blocks", path, "--debug", "--set", f"run.blocks={json.dumps(blocks)}")
    size = done.stdout.splitlines()[-1].removeprefix("# ")
    assert size.startswith("combinations: ")
    assert size in shown.stdout


def test_suggestions_count_what_they_leave_out() -> None:
    path = str(ROOT / "configs" / "mnist_flat.yaml")
    done = qsearch("blocks", path, "--suggest", "--set", "limit={Dense: [8, 8, 8]}")
    assert done.returncode == 0, done.stderr
    left = next(line for line in done.stdout.splitlines() if line.startswith("# in no block"))
    assert left.startswith("# in no block, as nothing of it is searched: ")
    assert re.search(r": \d+ layers, 9\d\.\d% of the cost: ", left)
    assert "no entry of limit matches it" in done.stdout


def test_an_architecture_with_weights_of_its_own_file(tmp_path: Path) -> None:
    import keras

    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    (tmp_path / "net.json").write_text(model.to_json(), encoding="utf-8")
    model.save_weights(tmp_path / "net.weights.h5")
    model.save(tmp_path / "net.keras")
    pair = ("net.json", "--load-weights", "net.weights.h5")
    one, other = (qsearch("energy", *which, "--format", "json", cwd=tmp_path) for which in (pair, ("net.keras",)))
    assert json.loads(one.stdout)["total"] == json.loads(other.stdout)["total"]
    assert "has no quantized layer" in qsearch("verify", *pair, cwd=tmp_path).stderr
    alone = qsearch("energy", "net.json", cwd=tmp_path)
    assert (alone.returncode, alone.stderr) == (
        3,
        "error: net.json: holds an architecture without weights; give --load-weights FILE too\n",
    )


def test_layers_in_two_blocks_are_named() -> None:
    done = qsearch(
        "blocks", str(ROOT / "configs" / "mnist_blocks.yaml"), "--debug", "--set", 'run.blocks=["conv", ".*_1"]'
    )
    assert "in several blocks: conv2d_1 (conv, .*_1)" in done.stdout
