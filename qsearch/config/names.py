"""The names a configuration may use, as literals: a config is checked without importing TensorFlow.

Tests hold these against the registries and classes that they name.
"""

from __future__ import annotations

from collections.abc import Mapping

from qsearch.layers.table import QUANTIZED_CLASSES

DATASETS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits")
MODELS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "digits", "resnet8", "digits_resnet")
MEMORIES = ("fixed", "sram", "dram")
PROCESSES = ("horowitz", "jouppi_7nm")
NUMBER_TYPES = ("int8", "int16", "int32", "fp16", "fp32")
STRATEGIES = ("auto", "none", "mirrored", "tpu")
TARGETS = ("codes", "c", "finn", "hls4ml", "litert", "onnx", "qonnx", "verilog")
"""What a model can be exported as."""
TARGET_ALIASES = {"rtl": "verilog"}
OBSERVERS: Mapping[str, tuple[str, ...]] = {
    "tensorboard": (),
    "mlflow": ("tracking_uri", "experiment"),
    "optuna": ("study",),
}
"""Observers that qsearch has, and the options of each."""

LIMIT_CLASSES = (
    *QUANTIZED_CLASSES,
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "Softmax",
    "EinsumDense",
    "Bidirectional",
    "TimeDistributed",
)
"""Keras classes that a limit can name: those, other spellings of them, and wrappers."""

_MOST_1 = ("max", 1.0)
_LEAST_0 = ("min", 0.0)
METRICS: Mapping[str, tuple[str, float | None]] = {
    **dict.fromkeys(
        (
            "acc",
            "accuracy",
            "binary_accuracy",
            "categorical_accuracy",
            "sparse_categorical_accuracy",
            "top_k_categorical_accuracy",
            "sparse_top_k_categorical_accuracy",
            "auc",
            "precision",
            "recall",
            "f1_score",
            "fbeta_score",
            "precision_at_recall",
            "recall_at_precision",
            "sensitivity_at_specificity",
            "specificity_at_sensitivity",
            "iou",
            "binary_iou",
            "mean_iou",
            "one_hot_iou",
            "one_hot_mean_iou",
            "r2_score",
            "cosine_similarity",
            "pearson_correlation",
            "concordance_correlation",
        ),
        _MOST_1,
    ),
    **dict.fromkeys(
        (
            "loss",
            "mse",
            "mean_squared_error",
            "root_mean_squared_error",
            "mae",
            "mean_absolute_error",
            "mape",
            "mean_absolute_percentage_error",
            "msle",
            "mean_squared_logarithmic_error",
            "log_cosh_error",
            "hinge",
            "squared_hinge",
            "categorical_hinge",
            "binary_crossentropy",
            "categorical_crossentropy",
            "sparse_categorical_crossentropy",
            "kl_divergence",
            "false_positives",
            "false_negatives",
        ),
        _LEAST_0,
    ),
    "poisson": ("min", None),
    "true_positives": ("max", None),
    "true_negatives": ("max", None),
}
"""Keras metrics: whether more or less is better, and the best value there is, if there is one."""
LOSSES = (
    "categorical_crossentropy",
    "sparse_categorical_crossentropy",
    "binary_crossentropy",
    "categorical_focal_crossentropy",
    "binary_focal_crossentropy",
    "categorical_hinge",
    "hinge",
    "squared_hinge",
    "kl_divergence",
    "mean_squared_error",
    "mse",
    "mean_absolute_error",
    "mae",
    "mean_absolute_percentage_error",
    "mape",
    "mean_squared_logarithmic_error",
    "msle",
    "huber",
    "log_cosh",
    "dice",
    "tversky",
    "poisson",
    "cosine_similarity",
)
"""Keras losses."""
SIGNED_LOSSES = ("poisson", "cosine_similarity")
"""Those that may be below 0."""

_FIRST = ("learning_rate", "weight_decay", "clipnorm", "global_clipnorm", "clipvalue")
_LAST = (
    "use_ema",
    "ema_momentum",
    "ema_overwrite_frequency",
    "loss_scale_factor",
    "gradient_accumulation_steps",
)
_OPTIMIZERS: Mapping[str, tuple[str, ...]] = {
    "adam": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "adamw": ("beta_1", "beta_2", "epsilon", "amsgrad"),
    "nadam": ("beta_1", "beta_2", "epsilon"),
    "adamax": ("beta_1", "beta_2", "epsilon"),
    "sgd": ("momentum", "nesterov"),
    "rmsprop": ("rho", "momentum", "epsilon", "centered"),
    "adagrad": ("initial_accumulator_value", "epsilon"),
    "adadelta": ("rho", "epsilon"),
    "adafactor": ("beta_2_decay", "epsilon_1", "epsilon_2", "clip_threshold", "relative_step"),
    "lion": ("beta_1", "beta_2"),
}
OPTIMIZERS: Mapping[str, tuple[str, ...]] = {name: (*_FIRST, *own, *_LAST) for name, own in _OPTIMIZERS.items()}
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
