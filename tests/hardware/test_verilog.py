"""Target verilog: circuits give the integer model's codes, by alkaid's interpreter and by Verilator."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from integer_networks import NETWORKS, dense, made, several, small
from slow import by_hand

import qsearch
from qsearch import layers
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer import operations
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.model import IntegerModel, Output, Source, Step
from qsearch.hardware.targets import verilog_run
from qsearch.hardware.targets.verilog import TARGET, operations_of

pytestmark = [
    pytest.mark.extras,
    pytest.mark.skipif(
        importlib.util.find_spec("alkaid") is None, reason="alkaid (pip install qsearch[rtl]) is not installed"
    ),
]
needs_simulator = pytest.mark.skipif(
    shutil.which("verilator") is None or shutil.which("g++") is None or shutil.which("make") is None,
    reason="verilator, g++ or make is not on this machine",
)
RNG = numpy.random.default_rng(5)
WEIGHT, BIAS = "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(6,2,1,alpha=1.0)"
QUANTIZED = {"kernel_quantizer": WEIGHT, "bias_quantizer": BIAS, "bias_initializer": "random_normal"}
DEPTHWISE = {"depthwise_quantizer": WEIGHT, "bias_quantizer": BIAS, "bias_initializer": "random_normal"}
RELU = "quantized_relu(4,1)"


# by alkaid's interpreter, which `write` asks


def source(shape: tuple[int, ...], least: int, greatest: int) -> Source:
    form = Format(fraction=3, least=least, greatest=greatest)
    return Source(name="x", quantizer="", form=form, shape=shape, function=abs)


def network(given: Source, *made: Any) -> IntegerModel:
    """Operations one behind the other, or on the steps that they name; formats from what they give."""
    known = {"x": extremes(IntegerModel(name="", sources=(given,), steps=(), outputs=()), 50)["x"]}
    found: list[Step] = []
    last = "x"
    for index, item in enumerate(made):
        operation, inputs = item if isinstance(item, tuple) else (item, (last,))
        last = f"step{index}"
        known[last] = operation(*(known[name] for name in inputs))
        bound = max(2 * int(numpy.abs(known[last]).max()), getattr(operation, "bound", 0))
        form = Format(fraction=3, least=-bound, greatest=bound)
        shape = known[last].shape[1:]
        found.append(Step(name=last, layer=f"layer{index}", inputs=inputs, operation=operation, form=form, shape=shape))
    outputs = tuple(Output(name=step.name, step=step.name) for step in found)
    return IntegerModel(name="2 nets?", sources=(given,), steps=tuple(found), outputs=outputs[-2:])


def kernel(*shape: int) -> numpy.ndarray:
    return RNG.integers(-9, 10, shape)


def convolution(shape: tuple[int, ...], **options: Any) -> operations.Convolution:
    given: dict[str, Any] = {
        "kernel": kernel(*shape),
        "bias": None,
        "strides": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
        "groups": 1,
        "depthwise": False,
        "flat": False,
        "bound": 2**20,
    }
    return operations.Convolution(**given | options)


SMALL, WIDE = source((4, 3), -100, 100), source((4, 3), -(2**36), 2**36)
FIRST = operations.Clamp(-40, 50)
CIRCUITS: dict[str, IntegerModel] = {
    "dense": network(SMALL, FIRST, operations.Dense(kernel(3, 6), kernel(6) * 999, 2**20)),
    "dense, long weights": network(SMALL, operations.Dense(kernel(3, 4) * 12345677, kernel(4) * 7654321987, 2**40)),
    "dense on sums": network(SMALL, *(operations.Dense(kernel(3, 3), kernel(3), 2**20) for _ in range(3))),
    "strides and padding": network(
        source((9, 8, 3), -100, 100),
        convolution((3, 2, 3, 4), bias=kernel(4), strides=(2, 3), padding=((1, 2), (0, 1))),
    ),
    "dilation": network(
        source((7, 6, 1), -100, 100), convolution((3, 2, 1, 4), dilation=(3, 2), padding=((2, 1), (1, 1)))
    ),
    "groups": network(source((3, 4, 6), -100, 100), convolution((2, 2, 2, 9), groups=3)),
    "depthwise": network(
        source((4, 5, 3), -100, 100), convolution((2, 3, 3, 2), depthwise=True, padding=((1, 0), (1, 1)))
    ),
    "flat": network(
        source((11, 3), -100, 100),
        convolution((1, 3, 3, 4), flat=True, strides=(1, 2), dilation=(1, 2), padding=((0, 0), (4, 0))),
    ),
    "scale": network(SMALL, FIRST, operations.Scale(kernel(3), kernel(3) << 3), FIRST),
    "scale, long numbers": network(
        SMALL, operations.Scale(RNG.integers(2**29, 2**30, 3), RNG.integers(2**39, 2**40, 3) - 2**39)
    ),
    "scale, then a sum": network(
        SMALL,
        operations.Scale(RNG.integers(2**22, 2**24, 3), kernel(3) << 20),
        (operations.Merge("Add", (2**20, 1)), ("x", "step0")),
    ),
    "power of two, long offset": network(WIDE, operations.Scale(numpy.array([8]), numpy.array([-(2**39) + 12345]))),
    "average of nine": network(
        source((6, 6, 2), -100, 100),
        operations.Pool(largest=False, window=(3, 3), strides=(3, 3), padding=((0, 0), (0, 0)), outside=0, flat=False),
        operations.Uniform(1, 9, -150, 150),
    ),
    "largest, with padding": network(
        source((4, 5, 2), -100, 100),
        operations.Pool(
            largest=True, window=(3, 2), strides=(2, 2), padding=((1, 1), (0, 1)), outside=-100, flat=False
        ),
    ),
    "global": network(SMALL, operations.Global(largest=False, keepdims=True, factor=-3)),
    "global largest": network(SMALL, operations.Global(largest=True), operations.Reshape((1, 3))),
    "moved": network(
        source((2, 3, 4), -100, 100),
        operations.Permute((0, 3, 1, 2)),
        operations.Pad(((1, 2), (0, 3))),
        operations.Repeat((2, 3)),
    ),
    "concatenated": network(SMALL, FIRST, (operations.Concatenate(2, (3, -5)), ("x", "step0")), FIRST),
    **{
        kind: network(SMALL, FIRST, (operations.Merge(kind, (3, 4)), ("x", "step0")), FIRST)
        for kind in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
    },
    "merged with itself": network(SMALL, FIRST, (operations.Merge("Add", (1, 1, 1)), ("step0",) * 3)),
    "constants": network(SMALL, operations.Clamp(0, 0), operations.Dense(kernel(3, 2), kernel(2), 2**20)),
    "nothing": network(SMALL, operations.Clamp(0, 0)),
    "levels": network(
        SMALL, operations.Thresholds(numpy.array([-50, -2, 0, 1, 70]), numpy.array([-300, 4, 0, -1, 9, 40000]))
    ),
    "levels of a wide sum": network(
        WIDE, operations.Thresholds(numpy.sort(RNG.integers(-(2**36), 2**36, 5)), numpy.array([9, 1, 2, -3, 4, 0]))
    ),
    "one level": network(SMALL, operations.Thresholds(numpy.zeros(0, int), numpy.array([7]))),
    "wide": network(WIDE, operations.Uniform(-30, 1, -(2**5), 2**5 - 1), operations.Uniform(2, 1, -100, 90)),
    "wide, away": network(WIDE, operations.Uniform(-30, 1, -(2**5), 2**5 - 1, True)),
    "more than the range": network(SMALL, operations.Uniform(-61, 1, -1, 1)),
}


@pytest.mark.parametrize("name", CIRCUITS)
def test_a_circuit_computes_what_the_integers_say(tmp_path: Path, name: str) -> None:
    TARGET.prepare(CIRCUITS[name], {})
    TARGET.prepare(CIRCUITS[name], {})(tmp_path)  # refuses a circuit that differs
    assert json.loads((tmp_path / "cost.json").read_text())["estimated_luts"] >= 0


@pytest.mark.parametrize("half_away", [False, True])
def test_rounding_is_exact_at_every_code(tmp_path: Path, half_away: bool) -> None:
    """Rules on all codes of 9 bits, with and without scales before them."""
    codes = numpy.arange(-200, 256).reshape(-1, 1)
    rules = [operations.Uniform(*rule, half_away) for rule in ((-3, 1, -9, 8), (-1, 1, -200, 200), (2, 1, -50, 60))]
    rules += [operations.Uniform(*rule, half_away) for rule in ((1, 3, -99, 99), (-1, 9, -15, 15), (-2, 5, 0, 7))]
    steps: list[Step] = []
    for rule in rules:
        for factor, offset in ((None, 0), (1, 0), (-3, 5), (1234567, -7654321), (-(2**20), 2**19), (0, 77)):
            before, form = "x", Format(fraction=3, least=-200, greatest=255)
            if factor is not None:
                scale = operations.Scale(numpy.array([factor]), numpy.array([offset]))
                before, reach = f"scale{len(steps)}", sorted((-200 * factor + offset, 255 * factor + offset))
                form = Format(fraction=3, least=reach[0], greatest=reach[1])
                steps.append(Step(name=before, layer="s", inputs=("x",), operation=scale, form=form, shape=(1,)))
                rule = operations.Uniform(rule.shift - factor.bit_length() // 2, *_rest(rule))
            form = Format(fraction=3, least=rule.least, greatest=rule.greatest)
            name = f"rule{len(steps)}"
            steps.append(Step(name=name, layer="r", inputs=(before,), operation=rule, form=form, shape=(1,)))
    outputs = tuple(Output(name=step.name, step=step.name) for step in steps if step.name.startswith("rule"))
    given = source((1,), -200, 255)
    model = IntegerModel(name="rules", sources=(given,), steps=tuple(steps), outputs=outputs)
    _same_by_interpreter(model, {"x": codes})


def _rest(rule: operations.Uniform) -> tuple[int, int, int, bool]:
    return rule.divisor, rule.least, rule.greatest, rule.half_away


def _same_by_interpreter(model: IntegerModel, codes: dict[str, numpy.ndarray]) -> None:
    from qsearch.hardware.targets.verilog_project import circuit_of, ports_of
    from qsearch.hardware.targets.verilog_trace import Trace

    circuit, results = circuit_of(Trace(model, 2), ports_of(model))
    found = iter(circuit.predict(codes["x"].astype(float), n_threads=1).T)
    wanted = model.run(codes)
    for output, element in zip(model.outputs, results, strict=True):
        given = element if isinstance(element, int) else next(found)
        assert (wanted[output.step][:, 0] == given).all(), output


# by Verilator


def filled(model: keras.Model, seed: int = 3) -> keras.Model:
    """The model with statistics that are not those of a new one."""
    random = numpy.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            layer.gamma.assign(random.uniform(0.5, 2, shape) * random.choice([-1, 1], shape))
            layer.beta.assign(random.normal(size=shape))
            layer.moving_mean.assign(random.normal(size=shape))
            layer.moving_variance.assign(random.uniform(0.2, 2, shape))
    return model


def kinds() -> keras.Model:
    """Kernels and activations of many kinds, an output for each."""
    given = keras.Input((6,))
    found = []
    for quantizer in (
        *("binary(alpha=1.0)", "ternary(alpha=1.0)", "binary", "quantized_po2(4,1)"),
        *("quantized_bits(4,0,1,alpha='auto_po2')", "quantized_bits(4,0,1,alpha='auto')"),
    ):
        x = layers.QDense(3, **QUANTIZED | {"kernel_quantizer": quantizer})(given)
        found.append(layers.QActivation(RELU)(x))
    sums = layers.QDense(4, **QUANTIZED)(given)
    for activation in (
        *("quantized_tanh(5)", "quantized_sigmoid(4)", "ternary(alpha=1.0)", "binary(alpha=1.0)"),
        *("quantized_bits(4,1)", "quantized_bits(4,1,rounding='half_away')"),
    ):
        found.append(layers.QActivation(activation)(sums))
    normed = keras.layers.BatchNormalization()(sums)
    found += [layers.QActivation("quantized_bits(5,2)")(normed), layers.QDense(2, name="zero", **QUANTIZED)(sums)]
    model = filled(keras.Model(given, found))
    model.get_layer("zero").kernel.assign(numpy.zeros((4, 2)))
    dead = next(layer.kernel for layer in model.layers if hasattr(layer, "kernel"))
    dead.assign(numpy.asarray(dead) * numpy.array([1, 0, 1, 1], numpy.float32)[: dead.shape[1]])
    return model


def image() -> keras.Model:
    """A residual with a normalization in it, separable and depthwise layers, pools, up-sampling, two outputs."""
    given = keras.Input((6, 6, 1))
    x = layers.QActivation(RELU)(layers.QConv2D(2, 3, padding="same", **QUANTIZED)(given))
    y = keras.layers.BatchNormalization()(layers.QConv2D(2, 2, padding="same", **QUANTIZED)(x))
    y = layers.QActivation("quantized_bits(4,1)")(y)
    y = layers.QActivation("quantized_relu(3,1)")(keras.layers.Add()([x, y]))
    both = keras.layers.Concatenate()([keras.layers.MaxPooling2D(2)(x), keras.layers.AveragePooling2D(2)(y)])
    separable = layers.QSeparableConv2D(2, 3, pointwise_quantizer=WEIGHT, **DEPTHWISE)(both)
    deep = layers.QDepthwiseConv2D(2, **DEPTHWISE)(both)
    mean = layers.QActivation("quantized_bits(5,1)")(keras.layers.AveragePooling2D(3)(y))
    return filled(keras.Model(given, [keras.layers.UpSampling2D(2)(separable), deep, keras.layers.Flatten()(mean)]))


def normed() -> keras.Model:
    x = given = keras.Input((8,))
    for _ in range(2):
        x = keras.layers.BatchNormalization()(layers.QDense(6, **QUANTIZED)(x))
        x = layers.QActivation("quantized_relu(4,2)")(x)
    return filled(keras.Model(given, layers.QDense(3, **QUANTIZED, activation="softmax")(x)))


def sequence() -> keras.Model:
    given = keras.Input((9, 2))
    x = layers.QActivation(RELU)(layers.QConv1D(3, 3, padding="causal", dilation_rate=2, **QUANTIZED)(given))
    x = keras.layers.MaxPooling1D(2, padding="same")(x)
    return keras.Model(given, keras.layers.GlobalAveragePooling1D()(x))


SIMULATED: dict[str, tuple[Callable[[], keras.Model], dict[str, Any]]] = {
    "kinds": (kinds, {}),
    "image": (image, {}),
    "sequence": (sequence, {"latency_cutoff": 2, "clock_period": 4, "part": "xc7z020clg400-1"}),
    "several": (lambda: made(several()), {"latency_cutoff": 3.5}),
    **{name: (lambda name=name: made(NETWORKS[name]()), {}) for name in ("dense", "one_dimensional", "images")},
    "image, pipelined": (image, {"latency_cutoff": 3}),
    "normed, pipelined": (normed, {"latency_cutoff": 2.5}),
    "kinds, pipelined": (kinds, {"latency_cutoff": 1, "hard_dc": 0}),
}
QUICK = ("kinds", "image", "sequence", "several")


@needs_simulator
@pytest.mark.parametrize("name", [name if name in QUICK else by_hand(name) for name in SIMULATED])
def test_verilog_computes_what_the_integers_say(tmp_path: Path, name: str) -> None:
    keras.utils.set_random_seed(1)
    build, options = SIMULATED[name]
    done = qsearch.export(build(), "verilog", tmp_path / "out", options=options)
    assert done.executed
    assert done.comparison.artefact_mismatches == 0
    assert done.comparison.samples >= 200
    cost = json.loads((tmp_path / "out" / "cost.json").read_text())
    assert cost["estimated_luts"] > 0
    clocked = bool(options.get("latency_cutoff"))
    assert (cost["cycles"] > 0, cost["register_bits"] > 0, cost["stages"] > 0) == (clocked,) * 3
    assert list((tmp_path / "out" / "src").glob("*.xdc")) if clocked else True
    assert not [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".so", ".gz", ".o")]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual", "groups"])
def test_larger_networks_are_exact_by_the_interpreter(tmp_path: Path, name: str) -> None:
    """Verilator takes minutes for them."""
    TARGET.prepare(integer_model(made(NETWORKS[name]())), {})(tmp_path)  # refuses a circuit that differs
    assert (tmp_path / "cost.json").is_file()


@needs_simulator
def test_a_thousand_samples_and_the_simulation_of_the_folder(tmp_path: Path) -> None:
    random = numpy.random.default_rng(1)
    keras.utils.set_random_seed(1)
    samples = random.uniform(-1, 1, (1000, 8)).astype("float32")
    done = qsearch.export(normed(), "verilog", tmp_path / "out", samples=samples)
    assert done.executed
    assert done.comparison.artefact_mismatches == 0
    assert done.comparison.samples >= 1200
    command = ["make", "-C", str(tmp_path / "out" / "simulation"), "check"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "10 vectors: all values are right" in told.stdout
    expected = tmp_path / "out" / "simulation" / "outputs.hex"
    lines = expected.read_text()
    expected.write_text(f"{int(lines[0], 16) ^ 1:x}{lines[1:]}")
    assert subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.parametrize("reason", ["none", "old"])
def test_without_a_simulator_the_files_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    if reason == "none":
        monkeypatch.setattr(verilog_run.shutil, "which", lambda name: None)
    else:
        old = subprocess.CompletedProcess([], 0, "Verilator 4.038 2020-07-11", "")
        monkeypatch.setattr(verilog_run.shutil, "which", lambda name: name)
        monkeypatch.setattr(verilog_run.subprocess, "run", lambda command, **options: old)
    done = qsearch.export(made(several()), "verilog", tmp_path / "out")
    assert not done.executed
    assert done.comparison.artefact_mismatches == 0
    ports = json.loads((tmp_path / "out" / "cost.json").read_text())["ports"]
    assert [port["name"] for port in ports] == ["in_one", "in_other", "out_a", "out_b"]
    assert [port["elements"] for port in ports] == [6, 6, 2, 3]


# refusals


def test_a_network_that_is_too_large_is_refused(tmp_path: Path) -> None:
    model = made(small())
    count = sum(operations_of(integer_model(model)).values())
    with pytest.raises(ExportError, match=rf"conv: .*{count:,} operations.*at most 100 .*most_operations") as raised:
        qsearch.export(model, "verilog", tmp_path / "out", options={"most_operations": 100})
    assert raised.value.exit_code == 9
    assert not list(tmp_path.iterdir())


def test_sums_that_are_too_wide_are_refused(tmp_path: Path) -> None:
    wide = operations.Dense(kernel(3, 2) << 44, None, 2**57)
    with pytest.raises(ExportError, match=r"layer0: has sums of more than 52 bits.*quantizer"):
        TARGET.prepare(network(SMALL, wide), {})(tmp_path)
    many = operations.Uniform(-20, 49, -(2**15), 2**15 - 1)
    with pytest.raises(ExportError, match=r"layer0: rounds 38 bits to .* levels.*fewer bits"):
        TARGET.prepare(network(WIDE, many), {})(tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_unknown_operation_is_refused() -> None:
    with pytest.raises(ExportError, match="layer0: target verilog has no circuit for function"):
        TARGET.prepare(network(SMALL, lambda codes: codes), {})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"latency_cutof": 2}, "did you mean 'latency_cutoff'"),
        ({"latency_cutoff": -1}, "latency_cutoff: -1; allowed: numbers from 0"),
        ({"hard_dc": 1.5}, "hard_dc: 1.5; allowed: whole numbers from -1"),
        ({"most_operations": True}, "most_operations: True; allowed: whole numbers from 1"),
        ({"clock_period": float("inf")}, "clock_period: inf"),
        ({"part": "x; exit"}, "the name of a device"),
    ],
)
def test_options_are_checked(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TARGET.prepare(CIRCUITS["dense"], options)(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "alkaid", None)
    with pytest.raises(ConfigError, match=r"alkaid.*pip install 'qsearch\[rtl\]'"):
        TARGET.prepare(integer_model(made(dense())), {})
