"""Options of Keras' losses and metrics, as literals: a configuration is checked without importing TensorFlow.

Tests hold these against the signatures of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_LOSS = ("reduction",)
_LOGITS = ("from_logits", "label_smoothing", "axis", *_LOSS)


@dataclass(frozen=True)
class KerasClass:
    """A class of Keras and what it is made with.

    Attributes:
        options: without `name` and `dtype`; the `required` ones are among them.
    """

    class_name: str
    options: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


LOSS_CLASSES: Mapping[str, KerasClass] = {
    "categorical_crossentropy": KerasClass("CategoricalCrossentropy", _LOGITS),
    # label_smoothing is qsearch's own addition here
    "sparse_categorical_crossentropy": KerasClass("SparseCategoricalCrossentropy", (*_LOGITS, "ignore_class")),
    "binary_crossentropy": KerasClass("BinaryCrossentropy", _LOGITS),
    "categorical_focal_crossentropy": KerasClass("CategoricalFocalCrossentropy", ("alpha", "gamma", *_LOGITS)),
    "binary_focal_crossentropy": KerasClass(
        "BinaryFocalCrossentropy", ("apply_class_balancing", "alpha", "gamma", *_LOGITS)
    ),
    "categorical_hinge": KerasClass("CategoricalHinge", _LOSS),
    "hinge": KerasClass("Hinge", _LOSS),
    "squared_hinge": KerasClass("SquaredHinge", _LOSS),
    "kl_divergence": KerasClass("KLDivergence", _LOSS),
    "mean_squared_error": KerasClass("MeanSquaredError", _LOSS),
    "mean_absolute_error": KerasClass("MeanAbsoluteError", _LOSS),
    "mean_absolute_percentage_error": KerasClass("MeanAbsolutePercentageError", _LOSS),
    "mean_squared_logarithmic_error": KerasClass("MeanSquaredLogarithmicError", _LOSS),
    "huber": KerasClass("Huber", ("delta", *_LOSS)),
    "log_cosh": KerasClass("LogCosh", _LOSS),
    "dice": KerasClass("Dice", ("axis", *_LOSS)),
    "tversky": KerasClass("Tversky", ("alpha", "beta", "axis", *_LOSS)),
    "poisson": KerasClass("Poisson", _LOSS),
    "cosine_similarity": KerasClass("CosineSimilarity", ("axis", *_LOSS)),
}
"""Losses by their Keras name."""

_COUNTED = KerasClass("", ("thresholds",))
_AT = ("num_thresholds", "class_id")
_IOU = ("num_classes", "ignore_class", "sparse_y_pred", "axis")
_IOU_SPARSE = (*_IOU, "sparse_y_true")

METRIC_CLASSES: Mapping[str, KerasClass] = {
    "accuracy": KerasClass("Accuracy"),
    "binary_accuracy": KerasClass("BinaryAccuracy", ("threshold",)),
    "categorical_accuracy": KerasClass("CategoricalAccuracy"),
    "sparse_categorical_accuracy": KerasClass("SparseCategoricalAccuracy"),
    "top_k_categorical_accuracy": KerasClass("TopKCategoricalAccuracy", ("k",)),
    "sparse_top_k_categorical_accuracy": KerasClass("SparseTopKCategoricalAccuracy", ("k", "from_sorted_ids")),
    "auc": KerasClass(
        "AUC",
        (
            "curve",
            "num_thresholds",
            "summation_method",
            "thresholds",
            "multi_label",
            "num_labels",
            "label_weights",
            "from_logits",
        ),
    ),
    "precision": KerasClass("Precision", ("thresholds", "top_k", "class_id")),
    "recall": KerasClass("Recall", ("thresholds", "top_k", "class_id")),
    "f1_score": KerasClass("F1Score", ("average", "threshold")),
    "fbeta_score": KerasClass("FBetaScore", ("average", "beta", "threshold")),
    "precision_at_recall": KerasClass("PrecisionAtRecall", ("recall", *_AT), ("recall",)),
    "recall_at_precision": KerasClass("RecallAtPrecision", ("precision", *_AT), ("precision",)),
    "sensitivity_at_specificity": KerasClass("SensitivityAtSpecificity", ("specificity", *_AT), ("specificity",)),
    "specificity_at_sensitivity": KerasClass("SpecificityAtSensitivity", ("sensitivity", *_AT), ("sensitivity",)),
    "true_positives": KerasClass("TruePositives", _COUNTED.options),
    "true_negatives": KerasClass("TrueNegatives", _COUNTED.options),
    "false_positives": KerasClass("FalsePositives", _COUNTED.options),
    "false_negatives": KerasClass("FalseNegatives", _COUNTED.options),
    "iou": KerasClass("IoU", (*_IOU_SPARSE, "target_class_ids"), ("target_class_ids",)),
    "binary_iou": KerasClass("BinaryIoU", ("target_class_ids", "threshold")),
    "mean_iou": KerasClass("MeanIoU", _IOU_SPARSE),
    "one_hot_iou": KerasClass("OneHotIoU", (*_IOU, "target_class_ids"), ("target_class_ids",)),
    "one_hot_mean_iou": KerasClass("OneHotMeanIoU", _IOU),
    "r2_score": KerasClass("R2Score", ("class_aggregation", "num_regressors")),
    "cosine_similarity": KerasClass("CosineSimilarity", ("axis",)),
    "pearson_correlation": KerasClass("PearsonCorrelation", ("axis",)),
    "concordance_correlation": KerasClass("ConcordanceCorrelation", ("axis",)),
    "mean_squared_error": KerasClass("MeanSquaredError"),
    "root_mean_squared_error": KerasClass("RootMeanSquaredError"),
    "mean_absolute_error": KerasClass("MeanAbsoluteError"),
    "mean_absolute_percentage_error": KerasClass("MeanAbsolutePercentageError"),
    "mean_squared_logarithmic_error": KerasClass("MeanSquaredLogarithmicError"),
    "log_cosh_error": KerasClass("LogCoshError"),
    "hinge": KerasClass("Hinge"),
    "squared_hinge": KerasClass("SquaredHinge"),
    "categorical_hinge": KerasClass("CategoricalHinge"),
    "binary_crossentropy": KerasClass("BinaryCrossentropy", ("from_logits", "label_smoothing")),
    "categorical_crossentropy": KerasClass("CategoricalCrossentropy", ("from_logits", "label_smoothing", "axis")),
    "sparse_categorical_crossentropy": KerasClass(
        "SparseCategoricalCrossentropy", ("from_logits", "ignore_class", "axis")
    ),
    "kl_divergence": KerasClass("KLDivergence"),
    "poisson": KerasClass("Poisson"),
}
"""Metrics by their Keras name."""

SHORT: Mapping[str, str] = {
    "acc": "accuracy",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error",
}
"""Short names, and the names they stand for."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "average": ("macro", "micro", "weighted"),
    "curve": ("ROC", "PR"),
    "summation_method": ("interpolation", "minoring", "majoring"),
    "class_aggregation": ("uniform_average", "variance_weighted_average"),
    "reduction": ("sum_over_batch_size", "sum", "mean", "mean_with_sample_weight"),
}
"""Options with a few values; those that would give several numbers are left out."""
SWITCHES = (
    "from_logits",
    "apply_class_balancing",
    "multi_label",
    "sparse_y_true",
    "sparse_y_pred",
    "from_sorted_ids",
)
"""Options that are true or false."""
COUNTS: Mapping[str, int] = {"num_classes": 1, "k": 1, "top_k": 1, "class_id": 0, "num_thresholds": 2, "num_labels": 1}
"""Options that are whole numbers, and the least of each."""
WHOLE = ("ignore_class",)
"""Options that are whole numbers, of either sign."""
SHARES = ("label_smoothing", "threshold", "recall", "precision", "specificity", "sensitivity")
"""Options that are numbers from 0 to 1."""
POSITIVE = ("delta",)
"""Options that are numbers above 0."""
AXES = ("axis",)
"""Options that number an axis, or several."""
CLASS_NUMBERS = "a list of class numbers, as [0, 1]"
NUMBERS = "a list of numbers >= 0, one for each unit"
LISTS: Mapping[str, str] = {
    "target_class_ids": CLASS_NUMBERS,
    "label_weights": NUMBERS,
    "thresholds": "a number from 0 to 1, or a list of such numbers",
}
"""Options that are lists, and what they hold."""
