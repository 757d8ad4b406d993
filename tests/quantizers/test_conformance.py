"""What every quantizer must do, whatever it is."""

from __future__ import annotations

import json

import keras
import numpy
import pytest
import tensorflow as tf
from hypothesis import given, reject
from hypothesis import strategies as st

from qsearch.errors import ConfigError
from qsearch.quantizers import SIGNATURES, get, parse
from qsearch.quantizers.arithmetic.tensors import power_of_two
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.classes import CLASSES
from qsearch.quantizers.number_types import Kind, NumberFormat
from qsearch.quantizers.parameters import (
    ALPHA,
    AXES,
    BINARY_POINT,
    ELEMENTS,
    EXPONENT,
    FIXED_BITS,
    FLAG,
    LEAST_FLOAT32,
    LOG2_ROUNDING,
    NOISE,
    NUMBER,
    POWER_BITS,
    ROUNDING,
    SCALE,
    SIGMOID,
    SLOPE,
    TEXT,
    UNROLLS,
)
from qsearch.quantizers.spec import QuantizerSpec

TEXTS = [
    "binary",
    "binary(use_01=True)",
    "binary(alpha='auto')",
    "stochastic_binary",
    "ternary",
    "ternary(alpha='auto_po2')",
    "stochastic_ternary",
    "quantized_bits(1)",
    "quantized_bits(2,1,1,alpha=1.0)",
    "quantized_bits(4,0,1,alpha=1.0)",
    "quantized_bits(8,0,1,alpha=1.0)",
    "quantized_bits(4,0,keep_negative=False)",
    "quantized_bits(5,0,1,alpha='auto_po2')",
    "quantized_bits(5,0,1,alpha='auto')",
    "quantized_relu(3,1)",
    "quantized_relu(4,2)",
    "quantized_relu(16,8)",
    "quantized_relu(6,2,negative_slope=0.25)",
    "quantized_relu(4,2,use_sigmoid=1)",
    "quantized_po2(4,1)",
    "quantized_po2(4,8)",
    "quantized_relu_po2(4,4)",
    "quantized_relu_po2(4,4,negative_slope=0.125)",
    "quantized_tanh(5)",
    "quantized_sigmoid(5)",
    "quantized_bits(4,1,1,alpha=0.5)",
    "quantized_bits(4,0,rounding='half_away')",
    "quantized_linear(4,1)",
    "quantized_linear(1)",
    "quantized_linear(4,0,1,False,alpha='auto')",
    "quantized_linear(4,0,1,alpha='auto_po2')",
    "quantized_hswish(6,2)",
    "quantized_ulaw(6,1)",
    "bernoulli",
    "bernoulli(alpha='auto')",
    "quantized_tanh(4,rounding='half_away',internal_sigmoid='smooth')",
    "quantized_relu(4,2,rounding='half_away')",
    "quantized_relu(4,2,relu_upper_bound=1.5,is_quantized_clip=False)",
    "binary_tanh",
    "binary_sigmoid",
]
CURVES = ("sigmoid", "tanh", "hswish", "ulaw")
"""They bend what they get, so a second pass bends it again."""
SPREAD = numpy.random.default_rng(0).normal(scale=2.0, size=(400, 6)).astype("float32")


def quantizer(text: str) -> Quantizer:
    found = get(text)
    assert found is not None
    return found


def test_every_signature_has_a_class_and_a_number_format() -> None:
    assert set(CLASSES) == set(SIGNATURES)
    for name, kind in CLASSES.items():
        assert kind.__name__ == name
        assert isinstance(kind().number_format, NumberFormat)


@pytest.mark.parametrize("text", TEXTS)
def test_levels_are_few_and_bounded(text: str) -> None:
    q = quantizer(text)
    levels = q(tf.constant(SPREAD)).numpy()
    channels = range(SPREAD.shape[1]) if "auto" in text else [slice(None)]
    form = q.number_format
    most = {Kind.TERNARY: 3}.get(form.kind, 2**form.bits)
    if "po2(4,8)" in text or form.kind is Kind.POWER_OF_TWO:
        most *= 2  # the limit on the value moves the exponents, it does not take a bit
    for channel in channels:
        assert len(numpy.unique(levels[:, channel])) <= most
    if "auto" not in text:
        assert levels.max() <= q.max() + 1e-6
        assert levels.min() >= q.min() - 1e-6


@pytest.mark.parametrize("text", [t for t in TEXTS if "auto" not in t and not any(name in t for name in CURVES)])
def test_quantizing_twice_changes_nothing(text: str) -> None:
    if any(part in text for part in ("ternary", "slope", "use_01", "bernoulli", "alpha=0.5")):
        pytest.skip("levels are not fixed points by definition: a leaky part or alpha scales again, 0 is not +1")
    once = quantizer(text)(tf.constant(SPREAD))
    twice = quantizer(text)(once)
    assert numpy.array_equal(once.numpy(), twice.numpy())


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_never_nan_and_the_type_is_kept(text: str, training: bool, dtype: str) -> None:
    for x in (numpy.zeros((4, 3)), numpy.full((4, 3), 6e4), numpy.full((4, 3), -6e4), SPREAD[:4, :3], numpy.ones(())):
        y = quantizer(text)(tf.cast(tf.constant(x, tf.float32), dtype), training=training)
        assert y.dtype == dtype
        assert y.shape == x.shape
        assert not numpy.isnan(tf.cast(y, tf.float32).numpy()).any()


@pytest.mark.parametrize("text", TEXTS)
def test_the_greatest_floats_are_not_nan(text: str) -> None:
    """Sums of squares overflow there; `for_weights` gives automatic scales to those that have them."""
    x = numpy.array([[3.4e38, 1e38, 1.0], [-3.4e38, -1e38, 0.0], [1e-38, 2.0, -0.0]], "float32")
    for q in (quantizer(text), quantizer(text).for_weights()):
        for training in (False, True):
            assert not numpy.isnan(q(tf.constant(x), training=training).numpy()).any()


@pytest.mark.parametrize("text", ["binary", "ternary", "quantized_bits(1,2)", "quantized_bits(4,1)"])
@pytest.mark.parametrize("alpha", ["auto", "auto_po2"])
def test_levels_are_the_scale_times_whole_steps(text: str, alpha: str) -> None:
    q = type(quantizer(text))(**{**quantizer(text).get_config(), "alpha": alpha})
    step = 0.25 if text == "quantized_bits(4,1)" else 1.0
    scale = q.scale(tf.constant(SPREAD)).numpy()
    assert scale.shape == (1, SPREAD.shape[1])
    shares = q(tf.constant(SPREAD)).numpy() / (scale * step)
    assert shares == pytest.approx(numpy.round(shares), abs=1e-5)
    assert numpy.abs(shares).max() == pytest.approx(7 if text == "quantized_bits(4,1)" else 1, abs=1e-5)


@pytest.mark.parametrize("bits", [1, 3, 8, 16])
@pytest.mark.parametrize("integer", [-2, 0, 3])
def test_relu_is_its_formula_on_ties_and_edges(bits: int, integer: int) -> None:
    reach, steps = 2.0**integer, 2.0**bits
    ties = (numpy.arange(-4, min(steps, 4096) + 4) + 0.5) * (reach / steps)
    x = numpy.concatenate([ties, ties + 0.5 * reach / steps]).astype("float32")
    x = numpy.concatenate([x, numpy.nextafter(x, numpy.float32(9e9)), numpy.nextafter(x, numpy.float32(-9e9))])
    expected = reach * numpy.clip(numpy.round(x * (steps / reach)) / steps, 0, 1 - 1 / steps)
    assert numpy.array_equal(quantizer(f"quantized_relu({bits},{integer})")(tf.constant(x)).numpy(), expected)


def test_powers_of_two_are_exact() -> None:
    exponents = numpy.arange(-126.0, 128.0)
    assert numpy.array_equal(power_of_two(tf.constant(exponents, tf.float32)).numpy(), 2.0**exponents)


def test_not_a_number_stays_one() -> None:
    """A trial that diverged must be seen to."""
    texts = ["quantized_relu(4,2)", "quantized_relu(4,2,negative_slope=0.25)", "quantized_bits(4,0,1,alpha=1.0)"]
    texts += ["quantized_po2(4)", "quantized_relu_po2(6,quadratic_approximation=1)"]
    texts += [f"{name}(alpha='{alpha}')" for name in ("quantized_bits", "binary") for alpha in ("auto", "auto_po2")]
    for text in texts:
        assert numpy.isnan(quantizer(text)(tf.constant([numpy.nan, 1.0])).numpy()[0]), text


@pytest.mark.parametrize("text", TEXTS)
def test_infinite_inputs_have_a_level(text: str) -> None:
    if "auto" in text:
        pytest.skip("an automatic scale of infinite weights is infinite")
    assert numpy.isfinite(quantizer(text)(tf.constant([numpy.inf, -numpy.inf, 1e30, -1e30])).numpy()).all()


@pytest.mark.parametrize("text", TEXTS)
def test_string_and_config_read_back(text: str) -> None:
    q = quantizer(text)
    assert str(q) == text
    assert get(str(q)) == q
    config = json.loads(json.dumps(q.get_config()))
    assert type(q).from_config(config) == q
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(q))
    assert again == q
    assert get({"class_name": type(q).__name__, "config": config}) == q


GRADIENTS = [
    ("quantized_bits(4,0,1,alpha=1.0)", lambda x: numpy.ones_like(x)),
    ("quantized_po2(4,1)", lambda x: numpy.ones_like(x)),
    ("binary", lambda x: 1 - numpy.tanh(x) ** 2),
    ("binary(alpha=1.0)", lambda x: numpy.ones_like(x)),
    ("ternary", lambda x: 1 - numpy.tanh(x) ** 2),
    ("quantized_relu(3,1)", lambda x: ((x > 0) & (x <= 1.75)).astype("float32")),
    ("quantized_relu(4,1,negative_slope=0.25)", lambda x: numpy.where(x > 0, x <= 1.75, 0.25)),
    ("quantized_relu_po2(4,2)", lambda x: ((x > 0) & (x <= 2)).astype("float32")),
    ("quantized_tanh(8)", lambda x: (numpy.abs(x + 0.5 / 128) < 1).astype("float32")),
]


@pytest.mark.parametrize(("text", "slope"), GRADIENTS)
def test_gradients(text: str, slope: object) -> None:
    x = tf.Variable(numpy.linspace(-3.01, 3.02, 403, dtype="float32"))
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(quantizer(text)(x))
    expected = slope(x.numpy())  # type: ignore[operator]
    if "tanh(8)" in text:
        expected[numpy.abs(numpy.abs(x.numpy()) - 1) < 0.01] = 0  # the very edge depends on rounding
        found = numpy.where(numpy.abs(numpy.abs(x.numpy()) - 1) < 0.01, 0, tape.gradient(y, x).numpy())
    else:
        found = tape.gradient(y, x).numpy()
    numpy.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize(
    ("identifier", "message"),
    [
        (3, "found 3, expected a quantizer"),
        ({"class_name": "quantized_bit", "config": {}}, "unknown; did you mean 'quantized_bits'?"),
        (
            {"class_name": "binary", "config": [1]},
            "serialised quantizer 'binary': config: found [1], expected arguments",
        ),
        ("quantized_bits(4,0,2)", "symmetric must be True or False, found 2"),
        ("quantized_relu(4,negative_slope=0.3)", "negative_slope must be 0 or a power of two, found 0.3"),
        (
            "quantized_bits(4,alpha='auto_po')",
            "alpha must be None, a number other than 0, a list of such numbers, 'auto'",
        ),
        ("binary(False,None,False,None,None,None,None,9)", "takes at most 7 arguments"),
        ("quantized_bits(4,bits=3)", "argument 'bits' is given twice"),
        ("quantized_bits(0)", "bits must be a whole number from 1 to 1023, found 0"),
        ("quantized_bits(1024)", "bits must be a whole number from 1 to 1023, found 1024"),
        ("quantized_po2(33)", "bits must be a whole number from 1 to 32, found 33"),
        ("quantized_bits(4,2000)", "integer must be a whole number from -126 to 1023, found 2000"),
        ("quantized_bits(4,alpha=0)", "alpha must be None, a number other than 0"),
        ("quantized_bits(4,alpha=[1,0.0])", "alpha must be None, a number other than 0"),
        ("quantized_bits(4,alpha=1e39)", "alpha must be None, a number other than 0"),
        (
            "quantized_bits(4,scale_axis=99)",
            "scale_axis must be None, an axis from -8 to 7 or a list of axes, found 99",
        ),
        ("ternary(number_of_unrolls=1000000000)", "number_of_unrolls must be a whole number from 1 to 100"),
        (
            "binary(min_po2_exponent=3,max_po2_exponent=1)",
            "min_po2_exponent must be <= max_po2_exponent, found 3 and 1",
        ),
        ("binary(min_po2_exponent=-999)", "min_po2_exponent must be a whole number from -126 to 127 or None"),
        ("binary(alpha=" + "9" * 5000 + ")", "found a number of 5,000 digits, allowed: 40"),
        ("binary(alpha=" + "[" * 5000, "more than 8 lists inside each other"),
        ("\x1b[31m", r"quantizer '\x1b[31m': expected the name of a quantizer"),
        ("quantized_po2(4,0)", "max_value must be a number > 0 or None, found 0"),
        ("binary(alpha=float(1))", "expected ',' or ')' at character 19, found '(1))'"),
        ("ternary(", "found the end of the text"),
        ("binary(alpha='auto)", "expected a closing '"),
    ],
)
def test_messages(identifier: object, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        get(identifier)
    assert message in str(error.value)


def _values(parameter: object) -> st.SearchStrategy[object]:
    numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
    scales = numbers.filter(lambda value: abs(value) >= LEAST_FLOAT32)
    table: dict[int, st.SearchStrategy[object]] = {
        id(FIXED_BITS): st.integers(1, 16),
        id(POWER_BITS): st.integers(1, 16),
        id(UNROLLS): st.integers(1, 16),
        id(BINARY_POINT): st.integers(-8, 8),
        id(NUMBER): numbers,
        id(FLAG): st.sampled_from([True, False, 0, 1]),
        id(SLOPE): st.sampled_from([0, 0.0, 0.25, 1, 2.0**-7]),
        id(ALPHA): st.one_of(
            st.none(),
            st.sampled_from(["auto", "auto_po2"]),
            scales,
            st.lists(scales, min_size=1, max_size=3).map(tuple),
        ),
        id(AXES): st.one_of(st.none(), st.integers(-3, 3), st.lists(st.integers(0, 3), min_size=1).map(tuple)),
        id(LOG2_ROUNDING): st.sampled_from(["rnd", "floor"]),
        id(ROUNDING): st.sampled_from([None, "half_even", "half_away"]),
        id(SIGMOID): st.sampled_from(["hard", "smooth", "real"]),
        id(TEXT): st.one_of(st.none(), st.sampled_from(["noise", "a b", "a/b_0"])),
        id(ELEMENTS): st.one_of(st.none(), st.integers(1, 4), st.lists(st.integers(1, 4), min_size=1).map(tuple)),
        id(EXPONENT): st.one_of(st.none(), st.integers(-8, 8)),
        id(SCALE): st.one_of(st.none(), scales, st.tuples(st.tuples(scales, scales))),
        id(NOISE): st.sampled_from([0, 0.25, 1, 1.0]),
    }
    return table.get(id(parameter.kind), st.just(parameter.default))  # type: ignore[attr-defined]


@st.composite
def specs(draw: st.DrawFn) -> QuantizerSpec:
    name = draw(st.sampled_from(sorted(SIGNATURES)))
    parameters = SIGNATURES[name]
    positional = draw(st.integers(0, len(parameters)))
    named = (
        draw(st.lists(st.sampled_from(parameters[positional:]), unique=True)) if positional < len(parameters) else []
    )
    first = tuple(draw(_values(parameter)) for parameter in parameters[:positional])  # type: ignore[misc]
    rest = tuple((parameter.name, draw(_values(parameter))) for parameter in named)  # type: ignore[misc]
    try:
        return QuantizerSpec(name, first, rest)
    except ConfigError as error:
        assert any(rule in str(error) for rule in TOGETHER)
        reject()


TOGETHER = (
    "min_po2_exponent must be <= max_po2_exponent",
    "needs alpha=",
    "needs scale_axis",
    "names an axis twice",
    "axes of scale_axis",
    "sets the threshold itself",
)
"""What is said where several arguments contradict each other."""


@pytest.mark.parametrize("number", [numpy.finfo(numpy.float32).max, numpy.finfo(numpy.float32).tiny])
def test_the_ends_of_float32_are_numbers_however_they_are_spelt(number: numpy.float32) -> None:
    for text in (str(number), repr(float(number)), str(-float(number))):
        assert numpy.isfinite(numpy.float32(text)) and numpy.float32(text)
        assert str(get(f"binary(alpha={text})").spec.arguments["alpha"]) == str(float(text))
    with pytest.raises(ConfigError, match="alpha must be None, a number other than 0"):
        get("binary(alpha=3.4028236e+38)")


@given(specs())
def test_parse_reads_what_str_writes(spec: QuantizerSpec) -> None:
    again = parse(str(spec))
    assert again == spec
    assert hash(again) == hash(spec)
    assert str(again) == str(spec)
    assert QuantizerSpec(spec.name, (), tuple(spec.arguments.items())) == spec


def test_a_changed_spec_is_written_as_it_was() -> None:
    spec = parse("quantized_bits(4,0,1)")
    assert str(spec.replaced({"symmetric": True, "alpha": "auto_po2"})) == "quantized_bits(4,0,1,alpha='auto_po2')"
    assert (
        str(parse("quantized_bits(bits=4)").replaced({"bits": 3, "integer": 1})) == "quantized_bits(bits=3,integer=1)"
    )
    assert str(spec.replaced({"integer": 2})) == "quantized_bits(4,2,1)"
    assert spec.replaced({}) == spec == parse("quantized_bits(4,0,1)")


@given(st.text(max_size=30))
def test_any_text_parses_or_says_why(text: str) -> None:
    try:
        spec = parse(text)
    except ConfigError as error:
        assert str(error)
    else:
        assert parse(str(spec)) == spec


@pytest.mark.parametrize(
    "text",
    [
        "quantized_po2(1)",
        "quantized_po2(32)",
        "quantized_relu_po2(32)",
        "quantized_bits(32,-126)",
        "quantized_sigmoid(1023)",
    ],
)
def test_the_extremes_have_a_range(text: str) -> None:
    quantizer = get(text)
    assert numpy.isfinite(quantizer.max()) and numpy.isfinite(quantizer.min())


def test_numbers_of_python_are_bounded_like_those_of_texts() -> None:
    with pytest.raises(ConfigError, match="alpha must be None, a number other than 0"):
        QuantizerSpec("binary", (), (("alpha", 10**400),))
