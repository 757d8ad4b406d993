"""`quantize_model` and `left_alone`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import keras

from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.dictionary import DictionaryOptions, read_dictionary
from qsearch.quantize.transfer import transfer_weights as transfer

_LOG = logging.getLogger(__name__)


def quantize_model(
    model: keras.Model,
    quantizers: QuantizationPlan | Mapping[str, Any],
    activation_bits: int = 4,
    transfer_weights: bool = False,
    enable_bn_folding: bool = False,
    prefer_qadaptiveactivation: bool = False,
) -> keras.Model:
    """A quantized copy of a model.

    Args:
        model: functional or Sequential, with nested models and shared layers. It is not changed.
        quantizers: a plan, or a dictionary by layer name ("conv2d_0", "inner/conv2d_0") or by class ("QConv2D") of
            `{"kernel_quantizer": ..., "bias_quantizer": ..., "activation": ...}`; for an Activation, ReLU or
            LeakyReLU layer a quantizer, or `{"relu": quantizer}`; for batch normalization `{}` leaves its
            parameters unquantized. A name's entry hides its class's entry.
        activation_bits: bits of the quantizer that an activation inside a quantized layer gets when
            its entry names none: relu -> quantized_relu, tanh -> quantized_tanh, sigmoid -> quantized_sigmoid.
        transfer_weights: copy the float weights wherever shapes agree, folded batch normalizations included.
        enable_bn_folding: a batch normalization directly behind a convolution or dense layer becomes part of it,
            with the entry of e.g. "QConv2DBatchnorm" where there is one (`folding_mode`, `ema_freeze_delay`).
        prefer_qadaptiveactivation: Activation layers take the entry of "QAdaptiveActivation" before that of
            "QActivation", not after it, and become a QAdaptiveActivation where their own name has an entry.

    Layers that stay as they are are logged with the reason (logger "qsearch.quantize.public", level INFO);
    `left_alone` returns them.

    Raises:
        ConfigError: an entry for a layer that is not there, an unknown key, a string that does not parse.
        ModelError: a layer that has no quantized form.
    """
    if isinstance(quantizers, QuantizationPlan):
        plan = quantizers
    else:
        options = DictionaryOptions(activation_bits, enable_bn_folding, prefer_qadaptiveactivation)
        reading = read_dictionary(model, quantizers, options)
        plan = reading.plan
        for path, reason in reading.left_alone.items():
            _LOG.info("%s: %s stays as it is: %s", model.name, path, reason)
    quantized = apply_plan(model, plan)
    if transfer_weights:
        transfer(model, quantized)
    return quantized


def left_alone(
    model: keras.Model, quantizers: Mapping[str, Any], activation_bits: int = 4, enable_bn_folding: bool = False
) -> Mapping[str, str]:
    """The layers that `quantize_model` would leave as they are, by path, with the reason.

    Raises:
        ConfigError: as `quantize_model`.
    """
    return read_dictionary(model, quantizers, DictionaryOptions(activation_bits, enable_bn_folding)).left_alone
