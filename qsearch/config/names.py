"""The names a configuration may use, as literals: a config is checked without importing TensorFlow.

Tests hold these against the registries and classes that they name.
"""

from __future__ import annotations

from collections.abc import Mapping

DATASETS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits")
MODELS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits")
MEMORIES = ("fixed", "sram", "dram")
PROCESSES = ("horowitz", "jouppi_7nm")
NUMBER_TYPES = ("int8", "int16", "int32", "fp16", "fp32")
MODES = ("random",)
LATER_MODES = ("bayesian", "hyperband")

QUANTIZED_CLASSES = (
    "Dense",
    "Conv1D",
    "Conv2D",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "Activation",
    "BatchNormalization",
)
"""Keras classes that a limit can name."""

LATER_CLASSES = ("SimpleRNN", "LSTM", "GRU", "Bidirectional")
"""Classes that AutoQKeras' limits name and this version leaves unquantized."""

METRICS = ("acc", "accuracy", "categorical_accuracy", "top_k_categorical_accuracy")
LOSSES = (
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "kl_divergence",
    "mean_squared_error",
    "mse",
)

_ALL = ("learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue")
OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    "adam": (*_ALL, "beta_1", "beta_2", "epsilon", "amsgrad"),
    "adamw": (*_ALL, "beta_1", "beta_2", "epsilon", "amsgrad"),
    "nadam": (*_ALL, "beta_1", "beta_2", "epsilon"),
    "adamax": (*_ALL, "beta_1", "beta_2", "epsilon"),
    "sgd": (*_ALL, "momentum", "nesterov"),
    "rmsprop": (*_ALL, "rho", "momentum", "epsilon", "centered"),
    "adagrad": (*_ALL, "initial_accumulator_value", "epsilon"),
    "lion": (*_ALL, "beta_1", "beta_2"),
}
"""Keras optimizers and the options that each takes."""

_PRICED = (
    "Dense",
    "Conv1D",
    "Conv2D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "DepthwiseConv2D",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "LSTM",
    "GRU",
    "Bidirectional",
    "Embedding",
    "BatchNormalization",
    "Activation",
)
BITS_CLASSES = (*_PRICED, *(f"Q{name}" for name in _PRICED), "InputLayer", "default")
"""Keys of a bits goal's `config`."""

NOT_YET: Mapping[str, str] = {
    "head_name": "models with several heads",
    "score_metric": "a metric of its own for the score (the first of reference.metrics is used)",
    "executions_per_trial": "several trainings per trial",
    "max_epochs": "mode hyperband",
    "factor": "mode hyperband",
    "hyperband_iterations": "mode hyperband",
    "num_initial_points": "mode bayesian",
    "alpha": "mode bayesian",
    "beta": "mode bayesian",
}
"""Keys of AutoQKeras' run_config that a later version takes, and what each is for."""
