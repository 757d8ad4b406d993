"""Losses and metrics of a configuration as the objects that Keras takes."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.config.chosen import Chosen
from qsearch.config.keras_options import LOSS_CLASSES, METRIC_CLASSES, SHORT
from qsearch.errors import ConfigError, QsearchError, did_you_mean, reason_of, shown
from qsearch.imports import imported
from qsearch.training.adapted import Adapted, SmoothedSparseCategoricalCrossentropy

_F_SCORES = ("f1_score", "fbeta_score")
_COUNTING = (
    "auc",
    "precision",
    "recall",
    "precision_at_recall",
    "recall_at_precision",
    "sensitivity_at_specificity",
    "specificity_at_sensitivity",
    "true_positives",
    "true_negatives",
    "false_positives",
    "false_negatives",
)
_NUMBERS = ("sparse_categorical_accuracy", "sparse_top_k_categorical_accuracy", "sparse_categorical_crossentropy")
"""Metrics that compare outputs with class numbers."""
_OVERLAPS = ("iou", "mean_iou")
"""Metrics of class numbers on both sides, which take whatever they are told that they are given."""
_ONE_HOT_OVERLAPS = ("one_hot_iou", "one_hot_mean_iou")
_TOP = ("top_k_categorical_accuracy", "sparse_top_k_categorical_accuracy")
_KERAS_K = 5
_THRESHOLDS = (*_F_SCORES, *_COUNTING, "binary_accuracy", "binary_iou", "kl_divergence")
"""Metrics that take outputs as numbers between 0 and 1."""
_CROSSENTROPIES = ("binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy")
_IGNORING = ("sparse_categorical_crossentropy", "iou", "mean_iou")
"""Metrics of class numbers that leave out a class where they are told so."""
_MADE = ("binary_iou",)
"""Names that are not Keras' own spelling."""
_HINGES = ("hinge", "squared_hinge")
"""Losses of labels -1 and 1 (or 0 and 1), of which outputs above 0 are for 1."""
_FLAT = (*_F_SCORES, "r2_score")
"""Metrics that take (samples, units) only."""


@dataclass(frozen=True)
class Output:
    """What a metric looks at: an output of a model, of some shape without the batch axis, and its loss."""

    loss: Chosen
    shape: tuple[int | None, ...]

    @property
    def units(self) -> int | None:
        return self.shape[-1] if self.shape else None

    @property
    def binary(self) -> bool:
        """Whether each unit is a question of its own."""
        return self.loss.name.startswith("binary") or self.units == 1

    @property
    def sparse(self) -> bool:
        """Whether labels are class numbers."""
        return not self.loss.custom and self.loss.name.startswith("sparse")

    @property
    def one_hot(self) -> bool:
        """Whether labels are one-hot."""
        return not self.loss.custom and self.loss.name.startswith("categorical")

    @property
    def signed(self) -> bool:
        """Whether its sign is the answer, as of a hinge loss on one unit."""
        return not self.loss.custom and self.loss.name in _HINGES and self.units == 1

    @property
    def logits(self) -> str | None:
        """What makes probabilities of it, where its loss says that it is none."""
        if self.signed:
            return "sigmoid"
        if not self.loss.options.get("from_logits") or self.loss.custom:
            return None
        return "sigmoid" if self.loss.name.startswith("binary") else "softmax"


def made_loss(loss: Chosen) -> Any:
    """A loss as `compile` takes it.

    Raises:
        ConfigError: an import path that leads nowhere, or options that its class does not take.
    """
    if loss.custom:
        return custom_object(loss, None)
    if not loss.options:
        return loss.name
    name = SHORT.get(loss.name, loss.name)
    options = dict(loss.options)
    if name == "sparse_categorical_crossentropy" and "label_smoothing" in options:
        if "ignore_class" in options:
            raise ConfigError("label_smoothing and ignore_class do not go together; leave out one of them")
        options.pop("axis", None)
        return _constructed(SmoothedSparseCategoricalCrossentropy, options, loss.name)
    return _constructed(getattr(keras.losses, LOSS_CLASSES[name].class_name), options, loss.name)


def made_metric(metric: Chosen, output: Output, name: str) -> Any:
    """A metric as `compile` takes it; a fresh one, as metrics keep a state.

    Args:
        name: what it is reported by.

    Raises:
        ConfigError: an import path that leads nowhere, or options that its class does not take.
    """
    if metric.custom:
        return custom_object(metric, name)
    canonical = SHORT.get(metric.name, metric.name)
    if canonical == "accuracy":
        if output.logits != "sigmoid":
            return metric.name  # Keras finds out which accuracy it is
        canonical = "binary_accuracy"
    options = {**_defaults(canonical, output), **metric.options}
    _check_classes(canonical, options, output.units)
    _check_shape(canonical, options, output)
    if canonical in _F_SCORES:  # which take no whole numbers
        options |= {option: float(value) for option, value in options.items() if isinstance(value, int)}
    several = (output.units or 0) > 1
    classes = several and output.sparse and canonical not in (*_NUMBERS, *_OVERLAPS)
    numbers = several and output.one_hot and canonical in _NUMBERS
    signs = output.signed and canonical in _THRESHOLDS
    logits = output.logits if canonical in _THRESHOLDS and "from_logits" not in options else None
    # labels that the loss leaves out are in no class
    ignored = output.loss.ignored if classes and not output.loss.custom else None
    flat = (canonical in _FLAT or ignored is not None) and len(output.shape) > 1
    greatest = canonical in _F_SCORES and options.get("threshold") is None and several
    if not (options or classes or numbers or logits or flat) and name == metric.name and name not in _MADE:
        return metric.name
    made = _constructed(getattr(keras.metrics, METRIC_CLASSES[canonical].class_name), {**options, "name": name}, name)
    if not (classes or numbers or logits or flat or greatest):
        return made
    return Adapted(made, classes, logits, flat, ignored, greatest, numbers, signs)


def _check_classes(name: str, options: Mapping[str, Any], units: int | None) -> None:
    """Refuse options that an output of so many classes cannot have, or with which a metric tells nothing.

    Raises:
        ConfigError: with what is allowed.
    """
    if name in (*_OVERLAPS, *_ONE_HOT_OVERLAPS):
        if units == 1 and options.get("sparse_y_pred") is not True:
            raise ConfigError(f"{name} is of several classes, and the output has one unit; take {{name: binary_iou}}")
        if "num_classes" not in options:
            raise ConfigError(f"{name} needs the option 'num_classes', as in {{name: {name}, num_classes: 3}}")
        if units is not None and units > 1 and options["num_classes"] < units:
            raise ConfigError(f"num_classes: found {options['num_classes']}, the output has {units} classes")
    if units is None or units < 2:
        return
    if name in _TOP and options.get("k", _KERAS_K) >= units:
        raise ConfigError(
            f"the first {options.get('k', _KERAS_K)} of {units} classes always hold the right one; "
            f"give a smaller k: {{name: {name}, k: {max(1, units // 2)}}}"
        )
    for option, most in (("class_id", units - 1), ("top_k", units)):
        if options.get(option) is not None and options[option] > most:
            raise ConfigError(f"{option}: found {options[option]}, the output has {units} classes: at most {most}")


def _check_shape(name: str, options: Mapping[str, Any], output: Output) -> None:
    """Refuse options that an output of such a shape cannot have.

    Raises:
        ConfigError: with what is allowed.
    """
    rank, axis = len(output.shape) + 1, options.get("axis")
    for each in axis if isinstance(axis, list) else [] if axis is None else [axis]:
        if not -rank <= each < rank:
            raise ConfigError(
                f"axis: found {each}, the output has {rank} axes, samples included: {-rank} to {rank - 1}"
            )
    if options.get("num_regressors"):
        raise ConfigError(
            "num_regressors: Keras cannot compute it in training; leave it out, or give a function of the whole set"
        )
    if name == "auc" and options.get("multi_label") and output.units is not None:
        weights = options.get("label_weights")
        for option, given in (
            ("num_labels", options.get("num_labels")),
            ("label_weights", None if weights is None else len(weights)),
        ):
            if given not in (None, output.units):
                raise ConfigError(f"{option}: found {given}, the output has {output.units} units")


def _defaults(name: str, output: Output) -> dict[str, Any]:
    """Options that follow from what a metric looks at."""
    if name in _F_SCORES:
        # Keras' own default gives a value for each class, and calls the greatest unit of one a hit
        return {"average": "macro", **({"threshold": 0.5} if output.binary else {})}
    options: dict[str, Any] = {}
    if name in _CROSSENTROPIES and output.logits is not None:
        options["from_logits"] = True
    if name in _IGNORING and output.loss.ignored is not None and not output.loss.custom:
        options["ignore_class"] = output.loss.ignored
    if name in (*_OVERLAPS, *_ONE_HOT_OVERLAPS) and (output.units or 0) > 1:
        options["num_classes"] = output.units
    if name in _OVERLAPS and (output.units or 0) > 1:
        options["sparse_y_pred"] = False
        if not output.loss.custom:
            options["sparse_y_true"] = output.sparse
    return options


def custom_object(chosen: Chosen, name: str | None) -> Any:
    """A loss or metric of the user's own: a class is made, a function taken as it is, or with options filled in.

    Args:
        name: of a metric; None: leave it.

    Raises:
        ConfigError: there is none, or it does not take the options.
    """
    custom = imported(chosen.name, ConfigError)
    if isinstance(custom, type):
        options = dict(chosen.options)
        if name is not None and _takes(custom, "name"):
            options["name"] = name
        _check_options(custom, chosen)
        return _constructed(custom, options, chosen.name)
    if not callable(custom):
        kind = type(custom).__name__
        raise ConfigError(f"{chosen.name}: found a {kind}, expected a class or a function (y_true, y_pred)")
    if not chosen.options:
        return custom
    _check_options(custom, chosen)
    return _filled(custom, chosen.options)


def asked_arrays(chosen: Chosen) -> tuple[str, ...]:
    """What a function of the user's own needs beside (y_true, y_pred) and its options: parameters without a default."""
    custom = imported(chosen.name, ConfigError)
    given = chosen.options
    if isinstance(custom, type):
        custom, given = custom_object(chosen, None), {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    more = list(_parameters(custom).values())[2:]
    return tuple(
        each.name for each in more if each.kind in kinds and each.default is each.empty and each.name not in given
    )


def custom_name(path: str) -> str:
    """The name that a loss or metric of the user's own is reported by.

    Raises:
        ConfigError: there is none.
    """
    custom = imported(path, ConfigError)
    if not isinstance(custom, type):
        return str(getattr(custom, "name", None) or getattr(custom, "__name__", path))
    if _takes(custom, "name"):
        default = _parameters(custom)["name"].default
        # without one, Keras counts the objects of a class
        return default if isinstance(default, str) else _snake(custom.__name__)
    return str(getattr(_constructed(custom, {}, path), "name", _snake(custom.__name__)))


def keras_name(path: str) -> str | None:
    """The name in the tables of a class of Keras that is named by its import path."""
    custom = imported(path, ConfigError)
    names = (name for name, known in METRIC_CLASSES.items() if getattr(keras.metrics, known.class_name) is custom)
    return next(names, None)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _filled(function: Callable[..., Any], options: Mapping[str, Any]) -> Callable[..., Any]:
    def filled(y_true: Any, y_pred: Any, **more: Any) -> Any:
        return function(y_true, y_pred, **options, **more)

    filled.__name__ = getattr(function, "__name__", "function")
    return filled


def _parameters(custom: Any) -> Mapping[str, inspect.Parameter]:
    try:
        return inspect.signature(custom).parameters
    except (TypeError, ValueError):  # of something that is not written in Python
        return {}


def _takes(custom: Any, option: str) -> bool:
    return option in _parameters(custom)


def _check_options(custom: Any, chosen: Chosen) -> None:
    parameters = _parameters(custom)
    if not parameters or any(known.kind is inspect.Parameter.VAR_KEYWORD for known in parameters.values()):
        return
    reserved = ("name", "dtype") if isinstance(custom, type) else tuple(parameters)[:2]
    allowed = [name for name in parameters if name not in reserved]
    for option in chosen.options:
        if option not in allowed:
            listed = ", ".join(allowed) or "none"
            raise ConfigError(
                f"{chosen.name} has no option {shown(option)}, allowed: {listed}{did_you_mean(option, allowed)}"
            )


def _constructed(kind: Any, options: Mapping[str, Any], name: str) -> Any:
    try:
        return kind(**options)
    except QsearchError:
        raise
    except Exception as error:  # Keras, or a class of the user's own, on options that it does not take
        raise ConfigError(f"{name} cannot be made with these options: {reason_of(error)}") from None
