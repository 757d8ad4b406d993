"""A quantizer that is the mean of several."""

from __future__ import annotations

import numpy
import pytest
import tensorflow as tf

from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.mixed import Mixed


def quantizers(*texts: str) -> list[Quantizer]:
    found = [get(text) for text in texts]
    return [one for one in found if one is not None]


def test_it_is_the_mean_of_its_options_and_learns_how_much_each_counts() -> None:
    options = quantizers("binary(alpha=1)", "quantized_bits(4,0,1,alpha=1)", "ternary(alpha=1)")
    shares = tf.Variable([0.2, 0.5, 0.3])
    x = tf.constant(numpy.random.default_rng(0).normal(size=(5, 4)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = Mixed(options, lambda: tf.convert_to_tensor(shares))(x)
        total = tf.reduce_sum(y * y)
    parts = [option(x) for option in options]
    expected = sum(share * part for share, part in zip(shares.numpy(), parts, strict=True))
    numpy.testing.assert_allclose(y, expected, rtol=1e-6)
    to_x, to_shares = tape.gradient(total, [x, shares])
    numpy.testing.assert_allclose(to_shares, [tf.reduce_sum(2 * y * part) for part in parts], rtol=1e-5)
    own = []
    for option in options:
        with tf.GradientTape() as alone:
            alone.watch(x)
            made = option(x)
        own.append(alone.gradient(made, x, 2 * y))
    numpy.testing.assert_allclose(
        to_x, sum(share * part for share, part in zip(shares.numpy(), own, strict=True)), rtol=1e-4, atol=1e-6
    )


def test_where_there_is_no_doubt_it_is_the_option() -> None:
    options = quantizers("binary", "quantized_bits(4,0,1)")
    x = tf.constant(numpy.random.default_rng(1).normal(size=(7, 3)), tf.float32)
    for place, option in enumerate(options):
        sure = tf.one_hot(place, 2)
        mixed = Mixed(options, lambda sure=sure: sure)
        assert numpy.array_equal(mixed(x), option(x))
        assert numpy.array_equal(mixed.for_weights()(x), option.for_weights()(x))


def test_options_that_draw_draw_in_training_alone() -> None:
    mixed = Mixed(
        quantizers("stochastic_binary(alpha=1)", "stochastic_ternary(alpha=1)"), lambda: tf.constant([0.5, 0.5])
    )
    x = tf.constant(numpy.random.default_rng(2).normal(0, 0.3, (40, 40)), tf.float32)
    assert numpy.array_equal(mixed(x), mixed(x))
    assert not numpy.array_equal(mixed(x, training=True), mixed(x, training=True))


def test_weights_may_go_where_any_option_can_follow() -> None:
    mixed = Mixed(quantizers("quantized_bits(4,2,1)", "binary"), lambda: tf.constant([0.5, 0.5]))
    assert mixed.max() == pytest.approx(max(one.max() for one in mixed.options))
    assert mixed.min() == pytest.approx(min(one.min() for one in mixed.options))
