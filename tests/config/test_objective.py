"""Losses, metrics, schedules and augmentation with options: what loads, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from qsearch.config import Config, load_config, to_yaml
from qsearch.config.chosen import Chosen
from qsearch.errors import ConfigError

_BASE = "dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Conv2D: [4, 8, 4]}\n"


def loaded(folder: Path, text: str) -> Config:
    path = folder / "c.yaml"
    path.write_text(_BASE + text, encoding="utf-8")
    found = load_config(path).config
    again = folder / "again.yaml"
    again.write_text(to_yaml(found), encoding="utf-8")
    assert load_config(again).config == found
    return found


def test_a_loss_with_options_or_one_for_each_head(tmp_path: Path) -> None:
    for text, expected in (
        ("mse", Chosen("mse")),
        ("CategoricalCrossentropy", Chosen("categorical_crossentropy")),
        (
            "{name: sparse_categorical_crossentropy, from_logits: true}",
            Chosen("sparse_categorical_crossentropy", {"from_logits": True}),
        ),
        ("{name: Huber, delta: 2}", Chosen("huber", {"delta": 2})),
        ('{name: "my:Focal", gamma: 2}', Chosen("my:Focal", {"gamma": 2})),
        ("{kind: {name: mse, reduction: sum}, size: mae}", {
            "kind": Chosen("mse", {"reduction": "sum"}), "size": Chosen("mae"),
        }),
        ("{name: {name: mse}, size: mae}", {"name": Chosen("mse"), "size": Chosen("mae")}),
    ):  # fmt: skip
        assert loaded(tmp_path, f"reference: {{loss: {text}}}").reference.loss == expected


def test_metrics_with_options(tmp_path: Path) -> None:
    text = """reference:
      metrics: [{name: F1Score, average: macro}, {name: mean_io_u, num_classes: 3}, acc, {whole_set: "my:m"},
                {name: "my:m", whole_set: true, beta: 2}]"""
    assert loaded(tmp_path, text).reference.metrics == (
        Chosen("f1_score", {"average": "macro"}),
        Chosen("mean_iou", {"num_classes": 3}),
        Chosen("acc"),
        Chosen("my:m", whole_set=True),
        Chosen("my:m", {"beta": 2}, whole_set=True),
    )


def test_schedules_and_augmentation(tmp_path: Path) -> None:
    for text in (
        "cosine",
        "{name: cosine, warmup_epochs: 2, alpha: 0.01}",
        "{name: exponential, decay_rate: 0.9, decay_epochs: 2}",
        "{name: piecewise, boundaries: [3, 6], values: [0.1, 0.01, 0.001]}",
        "{name: reduce_on_plateau, factor: 0.5, patience: 2, min_learning_rate: 1e-5}",
    ):
        keys = ("reference", "run", "final_training")
        found = loaded(tmp_path, "\n".join(f"{key}: {{epochs: 10, learning_rate_schedule: {text}}}" for key in keys))
        assert found.final_training is not None
        assert found.reference.learning_rate_schedule == found.run.learning_rate_schedule
        assert found.run.learning_rate_schedule == found.final_training.learning_rate_schedule
    for text, count in (("{flip: horizontal, shift: 0.1, crop: 4}", 1), ('"my:f"', 1), ('[{flip: both}, "my:f"]', 2)):
        path = tmp_path / "d.yaml"
        path.write_text(_BASE.replace("digits}", f"digits, augment: {text}}}", 1), encoding="utf-8")
        assert len(load_config(path).config.dataset.augmentations) == count


def test_an_optimizer_may_be_a_bare_name(tmp_path: Path) -> None:
    found = loaded(tmp_path, "reference: {optimizer: sgd}\nfinal_training: {optimizer: lion}")
    assert (found.reference.optimizer.name, found.final_training.optimizer.name) == ("sgd", "lion")
    assert found.reference.optimizer.learning_rate == 0.001


def test_names_of_optimizers_in_any_case(tmp_path: Path) -> None:
    found = loaded(tmp_path, "reference: {optimizer: AdamW}\nfinal_training: {optimizer: {name: SGD, momentum: 1}}")
    assert (found.reference.optimizer.name, found.final_training.optimizer.name) == ("adamw", "sgd")


LOSS, METRIC, RATE = "{loss: %s}", "{metrics: [%s]}", "{learning_rate_schedule: %s}"
OPTIMIZER = "{optimizer: %s}"


@pytest.mark.parametrize(
    ("form", "value", "expected"),
    [
        (LOSS, "{name: mse, from_logit: true}", "4:31: reference.loss.from_logit: mse has no option 'from_logit'"),
        (LOSS, "{name: binary_crossentropy, from_logit: true}", "did you mean 'from_logits'?"),
        (LOSS, "{name: binary_crossentropy, from_logits: 1}", "found 1, expected true or false"),
        (LOSS, "{name: binary_crossentropy, label_smoothing: 2}", "found 2, expected a number from 0 to 1"),
        (LOSS, "{name: crossentropy}", "4:26: reference.loss.name: found 'crossentropy', allowed: "),
        (LOSS, "{name: mse, kind: mae}", "if it is a head, and one is called 'name', write that one's loss as"),
        (LOSS, "{from_logits: true}", "a loss with options is {name: ..., from_logits: True}"),
        (LOSS, "{a: {name: mse, reduction: none}}", "reference.loss.a.reduction: found 'none', allowed: sum_over"),
        (METRIC, "f1_scor", "4:23: reference.metrics[0]: found 'f1_scor', allowed: "),
        (METRIC, "{name: f1_score, averag: macro}", "reference.metrics[0].averag: f1_score has no option 'averag', "
         "allowed: average, threshold; did you mean 'average'?"),
        (METRIC, "{name: f1_score, average: makro}", "found 'makro', allowed: macro, micro, weighted; did you mean"),
        (METRIC, "{name: f1_score, average: null}", "null gives one value per class, expected one number: average: "),
        (METRIC, "iou", "needs the option 'target_class_ids', as in {name: iou, target_class_ids: [1]}"),
        (LOSS, "[mse, mae]", "reference.loss: found a list, expected one loss, or one for each head by its"),
        (LOSS, "{name: huber, delta: 0}", "reference.loss.delta: found 0, expected a number > 0"),
        (METRIC, "{name: auc, thresholds: abc}", "thresholds: found 'abc', expected a number from 0 to 1, or a list"),
        (METRIC, "{name: precision, thresholds: [0.5, 3]}", "found [0.5, 3], expected a number from 0 to 1, or a list"),
        (METRIC, "{name: auc, label_weights: [a]}", "found ['a'], expected a list of numbers >= 0, one for each unit"),
        (METRIC, "{name: binary_iou, target_class_ids: 1}", "found 1, expected a list of class numbers, as [0, 1]"),
        (METRIC, "{name: cosine_similarity, axis: a}", "axis: found 'a', expected a whole number, as -1 for the last"),
        (LOSS, "{name: dice, axis: [1, 0.5]}", "reference.loss.axis: found [1, 0.5], expected a whole number"),
        (OPTIMIZER, '"my_module:Mine"', "found 'my_module:Mine', expected the name of one of Keras' optimizers: a"),
        (OPTIMIZER, "adamm", "reference.optimizer: found 'adamm', allowed: "),
        (OPTIMIZER, "{name: adam, beta_1: 1}", "reference.optimizer.beta_1: found 1, must be < 1"),
        (OPTIMIZER, "{name: rmsprop, rho: 2}", "reference.optimizer.rho: found 2, must be < 1"),
        (OPTIMIZER, "{name: sgd, momentum: 1.5}", "reference.optimizer.momentum: found 1.5, must be <= 1"),
        (OPTIMIZER, "{name: adam, use_ema: true, ema_momentum: 2}", "optimizer.ema_momentum: found 2, must be < 1"),
        (RATE, "{name: cosine, alpha: 2}", "learning_rate_schedule.alpha: found 2, expected a part: '1%' or 0.01"),
        (METRIC, "{whole_set: my}", "reference.metrics[0].whole_set: found 'my', expected an import path"),
        (METRIC, "{whole_set: true, name: acc}", "found 'acc', expected an import path such as 'my_module:function'"),
        (METRIC, "{nam: acc}", "found no 'name', expected one and the options of its class; did you mean 'name'?"),
        (RATE, "cosin", "reference.learning_rate_schedule: found 'cosin', allowed: constant, cosine, exponential, "
         "piecewise, reduce_on_plateau; did you mean 'cosine'?"),
        (RATE, "{name: cosine, warmup_epochs: 10}", "warmup_epochs: found 10, must be below the number of epochs, 10"),
        (RATE, "{name: cosine, decay_rate: 1}", "cosine has no option 'decay_rate', allowed: warmup_epochs, alpha"),
        (RATE, "{name: exponential}", "exponential needs the option 'decay_rate'"),
        (RATE, "{name: piecewise, boundaries: [1]}", "piecewise needs 'boundaries' and either 'values' or 'factors'"),
        (RATE, "{name: piecewise, boundaries: [2, 1], factors: [1, 1, 1]}", "found [2, 1], expected rising numbers"),
        (RATE, "{name: piecewise, boundaries: [1], factors: [1]}", "found 1, expected one more than boundaries: 2"),
        (RATE, "{name: reduce_on_plateau, factor: 2}", "learning_rate_schedule.factor: found 2.0, must be < 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(tmp_path: Path, form: str, value: str, expected: str) -> None:
    with pytest.raises(ConfigError) as error:
        loaded(tmp_path, f"reference: {form % value}")
    assert expected in str(error.value).replace(f"{tmp_path}/c.yaml:", "")
    assert "\n" not in str(error.value)
