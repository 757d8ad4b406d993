"""Target c: the compiled header gives the integer model's codes, without warnings and without undefined behaviour."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
from integer_layers import LAYERS, weighted
from integer_networks import made, several
from keras.layers import (
    Activation,
    Add,
    AveragePooling2D,
    BatchNormalization,
    Concatenate,
    Conv1D,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Flatten,
    GlobalAveragePooling2D,
    MaxPooling2D,
    SeparableConv2D,
    ZeroPadding2D,
)

import qsearch
from qsearch.errors import ConfigError, ExportError
from qsearch.hardware.integer import operations
from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.integer.formats import Format
from qsearch.hardware.integer.model import IntegerModel, Output, Source, Step
from qsearch.hardware.targets import c_programs
from qsearch.hardware.targets.c import SELFTEST, TARGET
from qsearch.hardware.targets.c_header import header_of
from qsearch.hardware.targets.c_programs import FLAGS, compiled, compiler_found, outputs_of
from qsearch.hardware.targets.c_text import comment, identifier, number, prefix_of
from qsearch.paths import temporary_folder

RNG = numpy.random.default_rng(5)
COMPILER = compiler_found()
SANITIZED = ("-O1", "-fsanitize=undefined,address", "-fno-sanitize-recover=all")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler on this machine")

WEIGHTS = {"kernel_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(6,1,1)"}
DEPTHWISE = {"depthwise_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(6,1,1)"}
SEPARABLE = {
    "depthwise_quantizer": "quantized_bits(4,0,1)",
    "pointwise_quantizer": "quantized_bits(5,0,1)",
    "bias_quantizer": "quantized_bits(6,1,1)",
}
RELU = {"relu": "quantized_relu(4,1)", "tanh": "quantized_tanh(4)"}
PLAN: dict[str, Any] = {
    **dict.fromkeys(("QDense", "QConv2D", "QConv1D"), WEIGHTS),
    "QDepthwiseConv2D": DEPTHWISE,
    "QSeparableConv2D": SEPARABLE,
    "QActivation": RELU,
    "QBatchNormalization": {},
}


@cache
def sanitized() -> tuple[str, ...]:
    """The flags, where the compiler has the libraries behind them."""
    with temporary_folder() as folder:
        try:
            compiled(str(COMPILER), "int main(void)\n{\n    return 0;\n}\n", folder, folder, SANITIZED)
        except ExportError:
            return ()
    return SANITIZED


def plain(inputs: Any) -> Any:
    return Dense(3)(Activation("relu")(Dense(8)(inputs)))


def image(inputs: Any) -> Any:
    x = MaxPooling2D(3, 2, padding="same")(
        Activation("relu")(BatchNormalization()(Conv2D(4, 3, padding="same")(inputs)))
    )
    return Dense(5, activation="softmax")(Flatten()(x))


def residual(inputs: Any) -> Any:
    x = Activation("relu")(Conv2D(4, 3, padding="same")(inputs))
    y = Conv2D(4, 3, padding="same", use_bias=False)(x)
    return Conv2D(2, 3, strides=2, padding="same")(Activation("relu")(Add()([x, y])))


def depthwise(inputs: Any) -> Any:
    x = Activation("relu")(DepthwiseConv2D(3, depth_multiplier=2, padding="same")(inputs))
    x = Activation("relu")(SeparableConv2D(4, 3, depth_multiplier=2)(ZeroPadding2D(((1, 0), (0, 2)))(x)))
    return Conv2D(4, 3, groups=2, dilation_rate=2, padding="same")(x)


def signal(inputs: Any) -> Any:
    x = Activation("tanh")(Conv1D(4, 3, dilation_rate=2, padding="causal")(inputs))
    return Conv1D(3, 2, strides=2)(x)


def branches(inputs: Any) -> Any:
    x = Activation("relu")(Conv2D(3, 3, padding="same")(inputs))
    y = Activation("tanh")(Conv2D(2, 1)(inputs))
    return Conv2D(2, 1)(Concatenate()([x, y, inputs]))


def average(inputs: Any) -> Any:
    x = Activation("relu")(Conv2D(4, 3)(inputs))
    return Dense(3)(Activation("relu")(GlobalAveragePooling2D()(AveragePooling2D(2)(x))))


def network(build: Callable[[Any], Any], shape: tuple[int, ...], **plan: Any) -> keras.Model:
    """A quantized model with weights all over their ranges."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input(shape)
    model = qsearch.quantize_model(keras.Model(inputs, build(inputs), name=build.__name__), PLAN | plan)
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(0.1, 0.6, variable.shape))
    return model


def weights(kernel: str) -> dict[str, Any]:
    return {"kernel_quantizer": kernel, "bias_quantizer": "quantized_bits(6,1,1)"}


MODELS: dict[str, Callable[[], keras.Model]] = {
    "dense": lambda: network(plain, (6,)),
    "image": lambda: network(image, (7, 6, 2)),
    "residual": lambda: network(residual, (6, 5, 2)),
    "depthwise": lambda: network(depthwise, (7, 6, 2)),
    "conv1d": lambda: network(signal, (9, 3)),
    "concatenate": lambda: network(branches, (4, 4, 2)),
    "average over an odd area": lambda: network(average, (8, 12, 2)),
    "binary": lambda: network(image, (6, 6, 2), QConv2D=weights("binary"), QDense=weights("binary(alpha=1.0)")),
    "ternary": lambda: network(plain, (6,), QDense=weights("ternary")),
    "several inputs and outputs": lambda: made(several()),
    **{name: lambda build=build: weighted(build()) for name, build in LAYERS.items()},  # type: ignore[misc]
    "powers of two": lambda: network(plain, (6,), QDense=weights("quantized_po2(4,1)")),
}


@needs_compiler
@pytest.mark.parametrize(
    ("name", "packed"),
    [*((name, False) for name in MODELS), *((name, True) for name in ("image", "binary", "ternary"))],
)
def test_compiled_code_gives_the_codes_of_the_integer_model(name: str, packed: bool, tmp_path: Path) -> None:
    found = qsearch.export(MODELS[name](), "c", tmp_path / "out", options={"packed": packed})
    assert found.executed
    assert found.comparison.artefact_mismatches == 0
    assert found.comparison.samples >= 200
    _undefined_behaviour_free(found.model, tmp_path / "out", packed)
    program = str(tmp_path / "selftest")
    subprocess.run([str(COMPILER), *FLAGS, str(tmp_path / "out" / SELFTEST), "-o", program], check=True)
    told = subprocess.run([program], capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (0, "10 vectors: all values are right\n")


@needs_compiler
def test_selftest_finds_a_wrong_weight(tmp_path: Path) -> None:
    qsearch.export(network(plain, (6,)), "c", tmp_path / "out")
    (header,) = (tmp_path / "out").glob("*.h")
    header.write_text(re.sub(r"(kernel\[48\] = \{\s*)-?\d+", r"\g<1>99", header.read_text(), count=1))
    program = str(tmp_path / "selftest")
    subprocess.run([str(COMPILER), "-std=c99", str(tmp_path / "out" / SELFTEST), "-o", program], check=True)
    told = subprocess.run([program], capture_output=True, text=True)
    assert told.returncode == 1
    assert "values are wrong" in told.stdout


@needs_compiler
def test_kernel_of_zeros(tmp_path: Path) -> None:
    model = network(plain, (6,))
    for variable in model.trainable_variables:
        variable.assign(numpy.zeros(variable.shape))
    assert qsearch.export(model, "c", tmp_path / "out").comparison.artefact_mismatches == 0


def _undefined_behaviour_free(model: IntegerModel, folder: Path, packed: bool = False) -> None:
    codes = extremes(model, 20)
    found = outputs_of(model, header_of(model, packed), folder, codes, sanitized())
    assert found is not None
    wanted = model.run(codes)
    for output in model.outputs:
        expected = codes[output.step] if output.step in codes else wanted[output.step]
        numpy.testing.assert_array_equal(found[output.name], expected.reshape(len(expected), -1))


def steps(shape: tuple[int, ...], reach: int, *made: Any) -> IntegerModel:
    """Operations one behind the other, or on the steps that they name; formats from what they give."""
    source = Source(
        name="x/1", quantizer="", form=Format(fraction=3, least=-reach, greatest=reach), shape=shape, function=abs
    )
    known = {"x/1": extremes(IntegerModel(name="", sources=(source,), steps=(), outputs=()), 50)["x/1"]}
    found: list[Step] = []
    last = "x/1"
    for index, item in enumerate(made):
        operation, inputs = item if isinstance(item, tuple) else (item, (last,))
        last = f"{index}. step"
        known[last] = operation(*(known[name] for name in inputs))
        bound = max(2 * int(numpy.abs(known[last]).max()), getattr(operation, "bound", 0))
        form = Format(fraction=3, least=-bound, greatest=bound)
        step_shape = known[last].shape[1:]
        found.append(Step(name=last, layer="layer", inputs=inputs, operation=operation, form=form, shape=step_shape))
    outputs = (Output(name="y", step=last), Output(name="x", step="x/1"), Output(name="first", step=found[0].name))
    return IntegerModel(name="2 nets?", sources=(source,), steps=tuple(found), outputs=outputs)


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


FIRST = operations.Clamp(-40, 50)
OPERATIONS: dict[str, IntegerModel] = {
    "half to even": steps((90,), 100, operations.Uniform(-3, 1, -9, 8)),
    "half away": steps((90,), 100, operations.Uniform(-3, 1, -20, 20, True)),
    "even, divisor": steps((90,), 100, operations.Uniform(1, 12, -15, 15)),
    "away, divisor": steps((90,), 100, operations.Uniform(1, 12, -15, 15, True)),
    "odd divisor": steps((90,), 2**40, operations.Uniform(-20, 49, -(2**15), 2**15 - 1)),
    "wide, away": steps((90,), 2**40, operations.Uniform(-38, 1, -(2**15), 2**15 - 1, True)),
    "a larger divisor than codes": steps((9,), 100, operations.Uniform(-61, 1, -1, 1)),
    "shift alone": steps((9,), 100, operations.Uniform(4, 1, -800, 900)),
    "thresholds": steps(
        (90,), 100, operations.Thresholds(numpy.array([-50, -2, 0, 1, 70]), numpy.array([-300, 4, 0, -1, 9, 40000]))
    ),
    "two tables": steps(
        (90,),
        100,
        FIRST,
        operations.Thresholds(numpy.array([-50, 3]), numpy.array([9, 0, -9])),
        operations.Thresholds(numpy.array([0]), numpy.array([2**40, -(2**40)])),
    ),
    "one level": steps((9,), 100, operations.Thresholds(numpy.zeros(0, int), numpy.array([7]))),
    "dense on the last axis": steps((4, 3, 5), 100, FIRST, operations.Dense(kernel(5, 6), kernel(6) * 999, 2**20)),
    "dense, 64 bits": steps((5,), 2**30, operations.Dense(kernel(5, 6) << 20, None, 2**57)),
    "strides and padding": steps(
        (9, 8, 3), 100, convolution((3, 2, 3, 4), bias=kernel(4), strides=(2, 3), padding=((1, 2), (0, 1)))
    ),
    "dilation": steps((9, 8, 1), 100, convolution((3, 2, 1, 4), dilation=(3, 2), padding=((2, 1), (1, 1)))),
    "groups": steps((5, 6, 6), 100, convolution((2, 2, 2, 9), groups=3)),
    "groups of one": steps((5, 6, 3), 100, convolution((2, 2, 1, 6), groups=3)),
    "depthwise": steps((5, 6, 3), 100, convolution((2, 3, 3, 2), depthwise=True, padding=((1, 0), (1, 1)))),
    "flat": steps(
        (11, 3), 100, convolution((1, 3, 3, 4), flat=True, strides=(1, 2), dilation=(1, 2), padding=((0, 0), (4, 0)))
    ),
    "flat, depthwise": steps((11, 3), 100, convolution((1, 3, 3, 1), flat=True, depthwise=True)),
    "thresholds of channels": steps(
        (4, 3),
        100,
        operations.ChannelThresholds(
            numpy.array([[-50, 0, 70], [101, 101, 101], [-101, 3, 3]]),
            numpy.array([[-3, 0, 1, 9], [4, 5, 6, 7], [9, 8, 7, -(2**40)]]),
        ),
    ),
    "levels of channels": steps(
        (4, 3), 100, FIRST, operations.ChannelThresholds(numpy.zeros((3, 0), int), numpy.array([[7], [-2], [0]]))
    ),
    "scale of channels": steps((4, 3), 100, FIRST, operations.Scale(kernel(3) << 30, kernel(3) << 33)),
    "scale of all": steps((4, 3), 100, FIRST, operations.Scale(numpy.array([-3]), None)),
    "offsets of channels": steps((4, 3), 100, FIRST, operations.Scale(numpy.array([5]), kernel(3))),
    "scale behind a reshape": steps(
        (4, 3, 2),
        100,
        FIRST,
        operations.Reshape((2, 12)),
        operations.Scale(kernel(12), None),
        operations.Reshape((24,)),
    ),
    "average, flat": steps(
        (8, 2),
        100,
        operations.Pool(
            largest=False, window=(1, 3), strides=(1, 2), padding=((0, 0), (1, 1)), outside=0, flat=True, factor=-5
        ),
    ),
    "largest, negative": steps(
        (4, 5, 2),
        100,
        operations.Pool(
            largest=True, window=(3, 2), strides=(2, 2), padding=((1, 1), (0, 1)), outside=-100, flat=False
        ),
    ),
    "global largest": steps((3, 4, 2), 100, operations.Global(largest=True), operations.Reshape((1, 2))),
    "global sum": steps((3, 4, 2), 2**30, operations.Global(largest=False, keepdims=True, factor=-3)),
    "permuted": steps((2, 3, 4), 100, operations.Permute((0, 3, 1, 2)), operations.Scale(kernel(3), kernel(3))),
    "padded": steps((2, 3, 4), 100, operations.Pad(((1, 2), (0, 3))), operations.Repeat((2, 3))),
    "stuffed": steps((3, 4, 2), 100, operations.Stuff((2, 3)), operations.Uniform(0, 1, -40, 40)),
    "stuffed along one axis": steps((3, 4, 2), 100, FIRST, operations.Stuff((1, 4))),
    "stuffed, flat": steps((5, 2), 100, operations.Stuff((3,))),
    "part of an axis": steps((5, 4, 2), 100, FIRST, operations.Slice(1, 2, 5), operations.Slice(2, 0, 3)),
    "part of the channels": steps((5, 4), 100, operations.Slice(2, 1, 3), operations.Scale(kernel(2), kernel(2))),
    "looked up": steps((4, 3), 0, operations.Lookup(kernel(1, 5) << 33), operations.Clamp(-(2**35), 2**34)),
    "repeated": steps((3, 4), 100, FIRST, operations.Repeat((3,))),
    "concatenated": steps(
        (2, 3, 4), 100, FIRST, (operations.Concatenate(2, (3, -5, 1)), ("x/1", "0. step", "x/1")), FIRST
    ),
    "concatenated, last axis": steps(
        (2, 3), 100, FIRST, (operations.Concatenate(-1, (1, 2)), ("x/1", "0. step")), operations.Scale(kernel(6), None)
    ),
    **{
        kind: steps((4, 3), 100, FIRST, (operations.Merge(kind, (3, 4)), ("x/1", "0. step")), FIRST)
        for kind in ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
    },
    **{
        f"{kind} of a sum and {other}": steps(
            (5,),
            100,
            FIRST,
            operations.Dense(kernel(5, 5), None, 2**20),
            (operations.Merge(kind, (3, 4)), names),
            FIRST,
        )
        for kind in ("Subtract", "Maximum")
        for other, names in (("the input", ("1. step", "x/1")), ("a step", ("0. step", "1. step")))
    },
    "merged with itself": steps((4,), 100, FIRST, (operations.Merge("Add", (1, 1, 1)), ("0. step",) * 3)),
    "merged with one": steps(
        (3, 4, 2),
        100,
        operations.Global(largest=True, keepdims=True),
        (operations.Merge("Multiply", (1, 1)), ("x/1", "0. step")),
    ),
    "merged, 64 bits": steps(
        (4,), 2**31 - 1, FIRST, (operations.Merge("Maximum", (2**20, 1)), ("x/1", "0. step")), FIRST
    ),
}


@needs_compiler
@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation(name: str, tmp_path: Path) -> None:
    model = OPERATIONS[name]
    TARGET.prepare(model, {})
    packed = bool(len(name) % 2)
    TARGET.prepare(model, {"packed": packed})(tmp_path)
    _undefined_behaviour_free(model, tmp_path, packed)


@needs_compiler
def test_header_alone_gives_no_warning(tmp_path: Path) -> None:
    TARGET.prepare(OPERATIONS["dilation"], {"packed": True})(tmp_path)
    (tmp_path / "alone.c").write_text('#include "net_2_nets.h"\n#include "net_2_nets.h"\nextern int x;\n')
    done = subprocess.run(
        [str(COMPILER), *FLAGS, "-c", "alone.c", "-o", "alone.o"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_header_has_no_floats_and_no_heap(tmp_path: Path) -> None:
    TARGET.prepare(OPERATIONS["scale of channels"], {})(tmp_path)
    text = re.sub(r"/\*.*?\*/", "", (tmp_path / "net_2_nets.h").read_text(encoding="ascii"))
    assert not re.search(r"\b(float|double|malloc|math)\b|[^<]<<[^<]|>>", text)
    assert re.findall(r"#include (.*)", text) == ["<stdint.h>"]


def test_memory_is_used_again(tmp_path: Path) -> None:
    """Of a long chain of steps that keep nothing, two tensors are held at a time."""
    permute = operations.Permute((0, 2, 1))
    chain = steps((6, 6), 100, *[permute] * 8)
    model = IntegerModel(name="chain", sources=chain.sources, steps=chain.steps, outputs=chain.outputs[:1])
    text = header_of(model, False).text
    assert text.count("static union") == 2
    assert "144 bytes of static memory" in text


def test_a_residual_is_added_before_anything_is_stored() -> None:
    dense = operations.Dense(kernel(8, 8), None, 2**20)
    add = (operations.Merge("Add", (2**20, 1)), ("0. step", "1. step"))
    model = steps((8,), 100, operations.Uniform(0, 1, 0, 15), dense, add, operations.Uniform(-30, 1, 0, 15))
    alone = IntegerModel(name="r", sources=model.sources, steps=model.steps, outputs=model.outputs[:1])
    assert "16 bytes of static memory" in header_of(alone, False).text


def test_packed_kernels_are_smaller() -> None:
    model = steps((64,), 100, operations.Dense(RNG.integers(-1, 2, (64, 64)), None, 2**20))
    sizes = [
        int(found.group(1))
        for packed in (False, True)
        if (found := re.search(r"(\d+) bytes of constants", header_of(model, packed).text))
    ]
    assert sizes == [64 * 64, 64 * 64 // 4 + 2]


def test_more_bits_than_c_has_are_refused() -> None:
    model = steps((4,), 2**60, operations.Uniform(0, 1, -9, 9), operations.Scale(numpy.array([2]), None))
    step = model.steps[0]
    wide = Step(
        name=step.name,
        layer="wide",
        inputs=step.inputs,
        operation=operations.Uniform(9, 1, -9, 9),
        form=step.form,
        shape=step.shape,
    )
    with pytest.raises(ExportError, match=r"wide: computes with more than 64 bits.*quantizer of fewer bits"):
        TARGET.prepare(IntegerModel(name="wide", sources=model.sources, steps=(wide,), outputs=model.outputs[:0]), {})


@pytest.mark.parametrize(
    ("options", "told"),
    [({"pakced": True}, "did you mean 'packed'"), ({"packed": "yes"}, "allowed: true, false")],
)
def test_options_that_are_none(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told):
        TARGET.prepare(OPERATIONS["repeated"], options)(tmp_path)


def test_without_a_compiler_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_programs, "compiler_found", lambda: None)
    model = OPERATIONS["repeated"]
    assert TARGET.run(model, tmp_path, extremes(model, 1)) is None


def test_a_compiler_that_compiles_nothing_counts_as_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(c_programs, "compiler_found", lambda: "false")
    model = OPERATIONS["repeated"]
    TARGET.prepare(model, {})(tmp_path)
    assert TARGET.run(model, tmp_path, extremes(model, 1)) is None


def test_text() -> None:
    assert [identifier(name) for name in ("conv/2d:0", "größe", "//")] == ["conv_2d_0", "gr_e", "x"]
    assert [prefix_of(name) for name in ("2 nets", "int")] == ["net_2_nets", "int"]
    assert comment("a */ b /* c ??/ \\ é\nd") == "/* a _ b _ c ___/ _ _ d */".replace("___/", "__/")
    assert [number(code) for code in (-(2**31), 5, -(2**31) - 1)] == ["(-2147483647 - 1)", "5", "-INT64_C(2147483649)"]
