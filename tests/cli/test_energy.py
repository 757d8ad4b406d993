"""`qsearch energy`: comparisons, what-if, sorting, formats, and files that cannot be priced."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

import qsearch
from qsearch.cli.main import cli
from qsearch.errors import QsearchError


def printed(*arguments: str) -> str:
    done = CliRunner().invoke(cli, ["energy", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def refused(*arguments: str) -> str:
    with pytest.raises(QsearchError) as caught:
        CliRunner().invoke(cli, ["energy", *arguments], catch_exceptions=False)
    return str(caught.value)


def test_what_if_prices_a_change_of_one_layer() -> None:
    found = json.loads(printed("digits", "--what-if", "conv2d_1.kernel=ternary", "--format", "json"))
    before, after = found["models"]
    changed = {name for name, layer in before["layers"].items() if layer["op_cost"] != after["layers"][name]["op_cost"]}
    assert changed == {"conv2d_1"}
    assert found["ratio"] == pytest.approx(after["total"] / before["total"])
    assert after["metrics"]["parameter_bits"] < before["metrics"]["parameter_bits"]
    assert before["metrics"]["macs"] == after["metrics"]["macs"]


def test_what_if_with_filters_follows_into_the_next_layers() -> None:
    lines = list(csv.DictReader(io.StringIO(printed("digits", "--what-if", "conv2d_1.filters=24", "--format", "csv"))))
    ratios = {line["layer"]: float(line["ratio"]) for line in lines}
    assert ratios["conv2d_0"] == 1
    assert ratios["conv2d_1"] == pytest.approx(0.75, abs=0.005)  # 24 of 32, still 8 bits each
    assert ratios["conv2d_2"] == pytest.approx(0.75, abs=0.02)
    found = json.loads(printed("digits", "--what-if", "conv2d_1.filters=24", "--format", "json"))
    before, after = (side["metrics"] for side in found["models"])
    assert after["macs"] < before["macs"]
    assert after["parameter_bits"] < before["parameter_bits"]


def test_several_changes_are_made_at_once() -> None:
    one = json.loads(printed("digits", "--what-if", "dense.kernel=binary", "--format", "json"))
    two = json.loads(
        printed("digits", "--what-if", "dense.kernel=binary", "--what-if", "conv2d_2.kernel=binary", "--format", "json")
    )
    assert two["ratio"] < one["ratio"] < 1


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("conv2d_9.kernel=ternary", "has no layer 'conv2d_9'; did you mean"),
        ("conv2d_1.kernl=ternary", "did you mean 'kernel'"),
        ("conv2d_1.kernel=ternry", "did you mean 'ternary'"),
        ("conv2d_1.filters=0", "expected a whole number from 1 to 999999"),
        ("conv2d_1.filters=²", "expected a whole number from 1 to 999999"),
        ("conv2d_1.filters=" + "9" * 5000, "... (5,017 characters): found '999"),
        (
            "conv2d_1.kernel=ternary(number_of_unrolls=1000000000)",
            "number_of_unrolls must be a whole number from 1 to 100",
        ),
        ("\x1b[31m.kernel=ternary", r"has no layer '\x1b[31m'"),
        ("conv2d_1", "expected LAYER.ROLE=QUANTIZER"),
        ("flatten.kernel=ternary", "it has nothing to quantize"),
    ],
)
def test_changes_that_mean_nothing(change: str, expected: str) -> None:
    assert expected in refused("digits", "--what-if", change)


def test_comparison_of_two_models() -> None:
    text = printed("digits", "--compare", "mnist", "--format", "md")
    assert "| total | 12,626.47 | 204,399.67 | 16.2 |" in text
    assert "MACs" in text
    assert "give one of the two" in refused("digits", "--compare", "mnist", "--what-if", "dense.kernel=binary")


def test_sorting() -> None:
    rows = list(csv.DictReader(io.StringIO(printed("digits", "--sort", "total", "--format", "csv"))))[:-1]
    totals = [float(row["total_pj"]) for row in rows]
    assert totals == sorted(totals, reverse=True)
    rows = list(csv.DictReader(io.StringIO(printed("digits", "--sort", "name", "--format", "csv"))))[:-1]
    assert [row["layer"] for row in rows] == sorted(row["layer"] for row in rows)


def test_a_file_of_a_quantized_model_tells_its_effective_bit_operations(tmp_path: Path) -> None:
    model = qsearch.quantize_model(qsearch.build_model("digits"), {"QConv2D": {"kernel_quantizer": "ternary"}})
    model.save(tmp_path / "m.keras")
    found = json.loads(printed(str(tmp_path / "m.keras"), "--format", "json"))
    assert found["reference"] is None
    assert found["metrics"]["ebops"] > 0
    assert found["metrics"]["macs"] > 0


class Halved(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: object) -> object:
        return x / 2  # type: ignore[operator]


def test_models_that_cannot_be_priced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = keras.Input((8,))
    keras.Model(inputs, Halved(name="half")(inputs)).save(tmp_path / "custom.keras")
    assert "Halved" in refused(str(tmp_path / "custom.keras"))
    (tmp_path / "halves.py").write_text(
        "import keras\nclass Halved(keras.layers.Layer):\n    def call(self, x):\n        return x / 2\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    text = printed("custom.keras", "--custom-object", "halves:Halved")
    assert "half: no rule for Halved; only the reading of its inputs is priced" in text
    assert "has no 'Halvd'; did you mean 'Halved'" in refused("custom.keras", "--custom-object", "halves:Halvd")
    inputs = keras.Input((None, 8))
    keras.Model(inputs, keras.layers.Dense(2, name="d")(inputs)).save(tmp_path / "dynamic.keras")
    assert "every size except the batch must be known" in refused(str(tmp_path / "dynamic.keras"))
    (tmp_path / "cut.keras").write_bytes((tmp_path / "dynamic.keras").read_bytes()[:500])
    (tmp_path / "empty.h5").write_bytes(b"")
    for name in ("cut.keras", "empty.h5", "missing.keras"):
        assert name in refused(str(tmp_path / name))


def test_what_if_a_sum_had_a_quantizer(tmp_path: Path) -> None:
    inputs = keras.Input((8, 8, 4))
    x = keras.layers.Conv2D(4, 3, padding="same", name="c")(inputs)
    x = keras.layers.Conv2D(4, 3, name="d")(keras.layers.Add(name="sum")([x, inputs]))
    keras.Model(inputs, x).save(tmp_path / "m.keras")
    text = printed(str(tmp_path / "m.keras"), "--what-if", "sum.output=quantized_bits(4,1)", "--format", "json")
    before, after = json.loads(text)["models"]
    assert after["layers"]["sum_output"]["formats"]["output"] == "fixed(4,1)"
    assert after["layers"]["d"]["inputs"] < before["layers"]["d"]["inputs"]


@pytest.mark.parametrize("text", ["halves", "a b:c", "halves:", ":x", "\x1b:x", "a.b"])
def test_a_custom_object_is_an_import_path(text: str) -> None:
    assert "expected MODULE:CLASS, as my_package.layers:MyLayer" in refused("x.keras", "--custom-object", text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31m", r"number type '\x1b[31m': allowed: int8, "),
        ("quantized_po2(64)", "quantized_po2: bits must be a whole number from 1 to 32, found 64"),
        ("9" * 5000, "number type '999"),
        ("quantized_bits(" + "[" * 5000, "more than 8 lists inside each other"),
    ],
)
def test_sources_that_are_none(text: str, expected: str) -> None:
    assert expected in refused("digits", "--source", text)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--what-if", "conv2d_0.kernel=binary(alpha=[1,2,3])"), "never works on the shape (3, 3, 1, 16): alpha has 3"),
        (("--what-if", "conv2d_0.kernel=binary(alpha=auto,scale_axis=7)"), "scale_axis: found 7, of 4 axes"),
        (("--what-if", "conv2d_0.kernel=quantized_bits(65)"), "quantized_bits: bits: found 65, allowed: 1 to 64"),
        (("--what-if", "conv2d_0.kernel=binary(alpha=-1)"), "binary: alpha must be above 0, found -1"),
        (
            ("--what-if", "dense.kernel=binary", "--what-if", "dense.kernel=ternary"),
            "dense.kernel is changed already: ",
        ),
        (("--what-if", "dense.kernel=" + "(" * 100_000), "(100,013 characters): quantizer '(((("),
        (("--source", "quantized_bits(1023)"), "--source 'quantized_bits(1023)': number type "),
        (("--source", "quantized_bits(\u0664)"), "expected a value: a number"),
        (
            ("--custom-object", "os:system"),
            "--custom-object: is for a model file, and digits is a network of qsearch's",
        ),
        (("--load-weights", "x.h5"), "--load-weights: is for a model file"),
        (("--allow-code",), "--allow-code: is for a model file"),
    ],
)
def test_options_that_mean_nothing_are_refused(arguments: tuple[str, ...], told: str) -> None:
    assert told in refused("digits", *arguments)


@pytest.mark.parametrize("ending", [".keras", ".json"])
def test_a_name_that_is_too_long(ending: str) -> None:
    assert refused("x" * 5000 + ending).endswith("(5,006 characters): cannot be read: File name too long") or (
        refused("x" * 5000 + ending).endswith("(5,005 characters): cannot be read: File name too long")
    )


def test_the_same_change_twice_is_one() -> None:
    once = printed("digits", "--what-if", "dense.kernel=binary", "--format", "csv")
    assert printed("digits", *["--what-if", "dense.kernel=binary"] * 2, "--format", "csv") == once
