"""Options of quantizers beyond bits: rounding, noise, groups of scales, gradients that are switched off."""

from __future__ import annotations

import numpy
import pytest
import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers import get
from qsearch.quantizers.base import Noisy, Quantizer

GRID = numpy.arange(-20, 21, dtype="float32") / 16


def quantizer(text: str) -> Quantizer:
    found = get(text)
    assert found is not None
    return found


def values(text: str, x: object, training: bool | None = None) -> numpy.ndarray:
    return numpy.asarray(quantizer(text)(tf.constant(x, tf.float32), training=training))


def half_away(x: numpy.ndarray) -> numpy.ndarray:
    exact = x.astype("float64")
    return numpy.sign(exact) * numpy.floor(numpy.abs(exact) + 0.5)


ROUNDED = [
    # text without rounding, steps per unit, lowest and highest code, what is rounded
    ("quantized_bits(4,0,1,alpha=1.0{})", 8, -7, 7, lambda x: x),
    ("quantized_linear(4,0,1{})", 8, -7, 7, lambda x: x),
    ("quantized_relu(4,1{})", 8, 0, 15, lambda x: x),
    ("quantized_tanh(4{})", 8, -8, 7, lambda x: numpy.clip(x, -1, 1)),
    ("quantized_sigmoid(4{})", 16, 0, 15, lambda x: numpy.clip(x / 2 + 0.5, 0, 1)),
]


@pytest.mark.parametrize(("text", "steps", "lowest", "highest", "curve"), ROUNDED)
@pytest.mark.parametrize(("mode", "rounded"), [("half_even", numpy.round), ("half_away", half_away)])
def test_ties_go_where_the_target_sends_them(
    text: str, steps: int, lowest: int, highest: int, curve: object, mode: str, rounded: object
) -> None:
    ties = numpy.concatenate([GRID, (numpy.arange(-40, 40, dtype="float32") + 0.5) / 32])
    expected = numpy.clip(rounded(curve(ties) * steps), lowest, highest) / steps  # type: ignore[operator]
    assert values(text.format(f",rounding='{mode}'"), ties).tolist() == expected.tolist()
    if mode == "half_even":
        assert values(text.format(""), ties).tolist() == expected.tolist()
    else:
        assert values(text.format(""), ties).tolist() != expected.tolist()


def test_half_away_does_not_carry_the_float_below_a_tie() -> None:
    below = numpy.nextafter(numpy.float32(0.5), numpy.float32(0)) / 8
    found = values("quantized_bits(4,0,1,rounding='half_away')", [below, 0.5 / 8, -0.5 / 8, -below])
    assert found.tolist() == [0.0, 0.125, -0.125, 0.0]


def test_automatic_scales_round_half_away_unless_told() -> None:
    x = numpy.array([[0.4375], [0.0625], [0.1875]], "float32")  # scale 1/16 at 4 bits: 7, 1 and 3 steps; halves below
    halves = numpy.array([[0.875], [0.0625], [0.1875]], "float32")  # step 1/8: 7, 0.5 and 1.5
    assert values("quantized_bits(4,0,1,alpha='auto')", x).ravel().tolist() == [0.4375, 0.0625, 0.1875]
    assert values("quantized_bits(4,0,1,alpha='auto')", halves).ravel().tolist() == [0.875, 0.125, 0.25]
    assert values("quantized_bits(4,0,1,alpha='auto',rounding='half_even')", halves).ravel().tolist() == [
        0.875,
        0.0,
        0.25,
    ]


@pytest.mark.parametrize("text", ["quantized_bits(4,use_ste=False)", "quantized_po2(4,use_ste=False)"])
def test_b24_weights_that_could_never_change_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="has a gradient of zero everywhere, so weights would never change"):
        quantizer(text).for_weights()
    softer = quantizer(text[:-1] + ",qnoise_factor=0.5)")
    assert softer.for_weights() is not None


@pytest.mark.parametrize(
    ("text", "slope"),
    [
        ("quantized_bits(4,qnoise_factor=0.25,use_ste=False)", [0.75, 0.75]),
        ("quantized_relu(4,1,qnoise_factor=0.25,use_ste=False)", [0.0, 0.75]),
        ("quantized_linear(4,qnoise_factor=0.25)", [0.75, 1.0]),
    ],
)
def test_gradients_with_noise(text: str, slope: list[float]) -> None:
    x = tf.Variable([-3.0, 0.3])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(quantizer(text)(x))
    assert tape.gradient(y, x).numpy().tolist() == pytest.approx(slope)


@pytest.mark.parametrize(
    "text", ["quantized_bits(4,0,1", "quantized_relu(4,1", "quantized_po2(4", "quantized_linear(4"]
)
def test_noise_can_change_inside_a_traced_function(text: str) -> None:
    changing = quantizer(f"{text},qnoise_factor=0.0,use_variables=True,var_name=slow)")
    assert isinstance(changing, Noisy)
    traced = tf.function(lambda x: changing(x), autograph=False)
    x = tf.constant([0.3, 0.7])
    whole = values(f"{text})", x)
    assert traced(x).numpy().tolist() == x.numpy().tolist()
    changing.update_qnoise_factor(0.5)
    assert traced(x).numpy() == pytest.approx((x.numpy() + whole) / 2)
    changing.update_qnoise_factor(1.0)
    assert traced(x).numpy().tolist() == whole.tolist()
    with pytest.raises(ConfigError, match="make it with use_variables=True to change it"):
        quantizer(f"{text})").update_qnoise_factor(0.5)  # type: ignore[attr-defined]


def test_groups_of_channels_share_a_scale() -> None:
    x = numpy.random.default_rng(0).normal(size=(16, 8)).astype("float32") * numpy.arange(1, 9)
    q = quantizer("quantized_bits(4,0,1,alpha='auto_po2',scale_axis=1,elements_per_scale=4)")
    scale = q.scale(tf.constant(x)).numpy()
    assert scale.shape == (1, 8)
    assert len(set(scale[0, :4])) == len(set(scale[0, 4:])) == 1
    both = quantizer("binary(alpha='auto',scale_axis=[0,1],elements_per_scale=[8,2])").scale(tf.constant(x)).numpy()
    assert both == pytest.approx(numpy.repeat(numpy.repeat(_blocks(numpy.abs(x)), 8, 0), 2, 1), rel=1e-5)


def _blocks(x: numpy.ndarray) -> numpy.ndarray:
    return x.reshape(2, 8, 4, 2).mean(axis=(1, 3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("quantized_bits(4,alpha=1.0,elements_per_scale=4,scale_axis=0)", "elements_per_scale needs alpha='auto_po2'"),
        ("quantized_bits(4,alpha='auto',min_po2_exponent=-1)", "min_po2_exponent needs alpha='auto_po2'"),
        ("binary(alpha='auto',elements_per_scale=4)", "elements_per_scale needs scale_axis"),
        ("binary(alpha='auto',scale_axis=0,elements_per_scale=[2,2])", "found 2 numbers for 1 axes of scale_axis"),
        ("quantized_bits(4,alpha=1.0,post_training_scale=0.5)", "post_training_scale needs alpha='auto' or"),
        ("quantized_bits(4,rounding='up')", "rounding must be None, 'half_even' or 'half_away', found 'up'"),
        ("quantized_tanh(4,internal_sigmoid='soft')", "internal_sigmoid must be 'hard', 'smooth' or 'real'"),
    ],
)
def test_options_that_contradict_each_other(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        get(text)
    assert message in str(caught.value)


def test_groups_must_divide_the_axis() -> None:
    q = quantizer("binary(alpha='auto',scale_axis=1,elements_per_scale=3)")
    with pytest.raises(ConfigError, match="axis 1 has 8 entries, which is no multiple of 3"):
        q(tf.ones((2, 8)))


def test_a3_bernoulli_does_not_sample_at_inference() -> None:
    x = [-0.2, 0.0, 0.3]
    assert values("bernoulli", x).tolist() == [0.0, 1.0, 1.0]
    assert set(values("bernoulli", numpy.zeros(500), training=True)) == {0.0, 1.0}


def test_b26_fast_inference_keeps_slope_and_gradient() -> None:
    x = tf.Variable([-1.0, 0.3, 1.0])
    for text in ("quantized_relu(4,2,negative_slope=0.25", "quantized_relu(4,2"):
        with tf.GradientTape(persistent=True) as tape:
            fast, plain = quantizer(f"{text},enable_fast_inference=True)")(x), quantizer(f"{text})")(x)
        assert fast.numpy().tolist() == plain.numpy().tolist()
        assert tape.gradient(fast, x).numpy().tolist() == tape.gradient(plain, x).numpy().tolist()


def test_b34_hswish_has_a_lower_bound() -> None:
    q = quantizer("quantized_hswish(8,2)")
    assert q.min() == -0.375
    lowest = values("quantized_hswish(8,2)", numpy.linspace(-6, 6, 4001)).min()
    assert lowest == pytest.approx(q.min(), abs=4 / 128)


@pytest.mark.parametrize("bits", [1, 2, 5, 8, 13, 16, 24])
@pytest.mark.parametrize("integer", [-3, 0, 2, 8])
def test_the_one_kernel_relu_is_the_plain_formula(bits: int, integer: int) -> None:
    step = 2.0 ** (integer - bits)
    codes = numpy.random.default_rng(bits).integers(-5, 2**bits + 5, size=500)
    x = numpy.concatenate(
        [(codes + 0.5) * step, codes * step, numpy.random.default_rng(1).normal(size=999) * 2.0**integer]
    )
    x = numpy.concatenate([x, [0.0, -0.0, 1e-40, -1e-40, 3e38, -3e38]]).astype("float32")
    expected = numpy.clip(numpy.round(x.astype("float64") / step), 0, 2.0**bits - 1) * step
    top = (2.0**bits - 1) * step
    slopes = []
    for options in ("", ",qnoise_factor=1.0,use_variables=True"):
        variable = tf.Variable(x)
        with tf.GradientTape() as tape:
            y = quantizer(f"quantized_relu({bits},{integer}{options})")(variable)
        assert y.numpy().tolist() == expected.astype("float32").tolist()
        slopes.append(tape.gradient(y, variable).numpy())
    normal = numpy.abs(x) > 1e-37
    assert slopes[0][normal].tolist() == ((x > 0) & (x <= top))[normal].astype("float32").tolist()
    assert slopes[1][normal].tolist() == slopes[0][normal].tolist()
