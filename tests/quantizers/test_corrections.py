"""Where QKeras is demonstrably wrong, what ours does; each test names the oddity."""

from __future__ import annotations

import numpy
import pytest
import tensorflow as tf

from qsearch.errors import ConfigError
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer


def quantizer(text: str) -> Quantizer:
    found = get(text)
    assert found is not None
    return found


def values(text: str, x: object, training: bool | None = None) -> numpy.ndarray:
    return numpy.asarray(quantizer(text)(tf.constant(x, tf.float32), training=training))


def test_b9_levels_are_exact_for_huge_inputs() -> None:
    assert values("quantized_bits(8,0,1,alpha=1.0)", [1e6, 1e8, -1e8]).tolist() == [0.9921875, 0.9921875, -0.9921875]


def test_b19_the_smallest_power_of_two_is_not_lost() -> None:
    assert values("quantized_po2(8)", [9.9e-8]).tolist() == [2.0**-64]


@pytest.mark.parametrize("alpha", ["auto", "auto_po2"])
def test_b5_one_bit_with_an_automatic_scale_is_binary(alpha: str) -> None:
    x = numpy.random.default_rng(0).normal(size=(50, 3)).astype("float32")
    assert values(f"quantized_bits(1,0,1,alpha='{alpha}')", x) == pytest.approx(values(f"binary(alpha='{alpha}')", x))
    scale = numpy.abs(values("quantized_bits(1,alpha='auto')", x))[0]
    assert scale == pytest.approx(numpy.abs(x).mean(axis=0), rel=1e-5)


def test_b6_b7_a_vector_has_one_scale() -> None:
    x = numpy.array([0.1, -0.2, 3.0, 0.4], "float32")
    assert values("binary(alpha='auto')", x) == pytest.approx(numpy.sign(x) * numpy.abs(x).mean(), rel=1e-5)
    steps = values("quantized_bits(4,0,1,alpha='auto')", x) / (3.0 / 7.0)
    assert steps == pytest.approx(numpy.round(steps), abs=1e-5)


def test_b27_alpha_may_be_a_list() -> None:
    x = numpy.full((2, 3), 0.5, "float32")
    assert values("quantized_bits(4,0,1,alpha=[1,2,4])", x).tolist() == [[0.5, 1.0, 2.0]] * 2


def test_b28_scale_axis_counts_from_the_end() -> None:
    x = numpy.random.default_rng(1).normal(size=(4, 5, 6)).astype("float32")
    last, named = (values(f"quantized_bits(4,0,1,alpha='auto_po2',scale_axis={a})", x) for a in (-1, 2))
    assert last.tolist() == named.tolist()


def test_b31_a_scalar_can_be_scaled() -> None:
    assert values("quantized_bits(4,alpha='auto')", 0.7) == pytest.approx(0.7)


def test_b11_relu_takes_negative_integer_bits() -> None:
    assert values("quantized_relu(4,-1)", [0.1, 0.9]).tolist() == [0.09375, 0.46875]


def test_a5_stochastic_binary_weights_work_at_inference() -> None:
    x = numpy.random.default_rng(2).normal(size=(6, 3)).astype("float32")
    assert (
        values("binary(alpha=1.0,use_stochastic_rounding=True)", x).tolist() == numpy.where(x >= 0, 1.0, -1.0).tolist()
    )


def test_a7_an_all_zero_tensor_is_no_nan_in_training() -> None:
    found = values("binary(alpha=1.0,use_stochastic_rounding=True)", numpy.zeros((4, 4)), training=True)
    assert set(found.ravel()) <= {-1.0, 1.0}


def test_d1_d2_a_kernels_own_scale_is_set_on_a_copy() -> None:
    given = quantizer("quantized_bits(4,0,0)")
    used = given.for_weights()
    assert (used.argument("alpha"), used.argument("symmetric")) == ("auto_po2", True)
    assert (given.argument("alpha"), given.argument("symmetric")) == (None, 0)
    for text in ("binary", "ternary", "stochastic_ternary"):
        assert quantizer(text).for_weights().argument("alpha") == "auto_po2"
    for text in ("quantized_bits(4,alpha=1.0)", "quantized_po2(4)", "quantized_relu(4)"):
        assert quantizer(text).for_weights() == quantizer(text)


def test_d3_a_kernels_threshold_is_kept() -> None:
    used = quantizer("ternary(threshold=0.5)").for_weights()
    assert used(tf.constant([0.4, 0.6, -0.7])).numpy().tolist() == [0.0, 1.0, -1.0]


def test_a_threshold_with_an_automatic_scale_is_refused() -> None:
    with pytest.raises(ConfigError, match="an automatic alpha sets the threshold itself"):
        get("ternary(alpha='auto',threshold=0.5)")


def test_a4_stochastic_ternary_samples_with_a_fixed_scale_too() -> None:
    tf.random.set_seed(1)
    found = values("stochastic_ternary(alpha=1.0)", numpy.full((2000,), 0.33), training=True)
    assert set(found) <= {-1.0, 0.0, 1.0}
    assert found.mean() == pytest.approx(0.5, abs=0.06)  # σ(0) + σ(8 · 0.66) − 1


DRAWS = [
    # text, x, expected mean of a draw, from the formulas
    ("stochastic_binary(alpha=1.0)", 0.1, 2 / (1 + numpy.exp(-0.6)) - 1),
    ("stochastic_binary(alpha=1.0,use_real_sigmoid=False)", 0.1, 2 * (0.5 * 0.6 + 0.5) - 1),
    ("quantized_bits(4,0,1,use_stochastic_rounding=True)", 0.3, 0.3),
    ("quantized_relu(4,1,use_stochastic_rounding=True)", 0.3, 0.3),
    ("quantized_tanh(4,use_stochastic_rounding=True)", 0.3, 0.3),
    ("quantized_sigmoid(4,use_stochastic_rounding=True)", 0.3, 0.65),
    ("quantized_po2(4,use_stochastic_rounding=True)", 0.3, 0.3),
    ("quantized_relu_po2(4,use_stochastic_rounding=True)", 3.0, 3.0),
]


@pytest.mark.parametrize(("text", "x", "mean"), DRAWS)
def test_stochastic_quantizers_sample_in_training_only(text: str, x: float, mean: float) -> None:
    tf.random.set_seed(7)
    drawn = values(text, numpy.full((4000,), x), training=True)
    assert len(set(drawn)) == 2
    assert drawn.mean() == pytest.approx(mean, abs=float(5 * drawn.std() / 4000**0.5 + 1e-6))
    for training in (False, None):
        assert len(set(values(text, numpy.full((100,), x), training=training))) == 1


def test_a8_stochastic_rounding_stays_on_the_grid() -> None:
    drawn = values("quantized_relu(4,1,use_stochastic_rounding=True)", numpy.full((500,), 0.3), training=True)
    assert set(drawn) == {0.25, 0.375}
