"""Valid configurations: the shipped ones, the seed's, a notebook's dictionary, --set."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from qsearch.config import load_config, to_yaml
from qsearch.config.chosen import Chosen
from qsearch.config.goals import BitsGoalConfig, EnergyGoalConfig
from qsearch.config.limits import activation_limit, key_for, weight_limit
from qsearch.errors import ConfigError
from qsearch.quantizers import parse

CONFIGS = sorted((Path(__file__).resolve().parents[2] / "configs").glob("*.yaml"))
OF_OUR_OWN = ("digits", "digits_resnet_blocks", "fashion_mnist", "cifar10", "cifar100")
OF_MNIST = ("mnist_flat", "mnist_grouped", "mnist_blocks", "mnist_pareto")

MINIMAL = """
    dataset: {name: digits}
    model: {name: digits}
    limit: {Conv2D: [4, 8, 4]}
"""


def write(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(dedent(text), encoding="utf-8")
    return path


def test_every_shipped_configuration_is_found() -> None:
    assert {path.stem for path in CONFIGS} == {*OF_OUR_OWN, *OF_MNIST}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_shipped_configurations_load_and_survive_being_written(path: Path, tmp_path: Path) -> None:
    config = load_config(path).config
    again = load_config(write(tmp_path, to_yaml(config))).config
    assert again == config
    assert config.dataset.validation == ("test" if path.stem not in OF_OUR_OWN else pytest.approx(0.15, abs=0.06))


def test_defaults_are_those_of_autoqkeras(tmp_path: Path) -> None:
    config = load_config(write(tmp_path, MINIMAL)).config
    assert config.dataset.validation == "test"
    assert isinstance(config.goal, BitsGoalConfig)
    assert config.goal.params.config == {"default": ("parameters", "activations")}
    assert (config.run.mode, config.run.activation_bits, config.run.tune_filters) == ("random", 4, "none")
    assert config.run.min_trials_per_block == 10
    assert config.run.output_dir == "runs/c"
    assert config.reference.metrics == (Chosen("acc"),)


def test_a_notebooks_run_config_can_be_pasted(tmp_path: Path) -> None:
    text = """
        dataset: {name: mnist}
        model: {name: mnist}
        run: {
          "output_dir": "/tmp/x",
          "goal": {"type": "energy", "params": {"delta_p": 8.0, "delta_n": 8.0, "rate": 2.0, "stress": 0.5,
                   "parameters_on_memory": ["sram", "sram"], "min_sram_size": [0, 0], "source_quantizers": ["int8"]}},
          "quantization_config": {"kernel": {"ternary": 2}, "bias": {"quantized_bits(4,0,1)": 4}},
          "learning_rate_optimizer": False, "transfer_weights": True, "mode": "random", "seed": 42,
          "limit": {"Dense": [8, 8, 4], "Conv2D": [4]}, "tune_filters": "layer",
          "tune_filters_exceptions": "^dense", "distribution_strategy": "none",
          "layer_indexes": [1, 2, 3], "max_trials": 20, "blocks": None,
        }
    """
    config = load_config(write(tmp_path, text)).config
    assert isinstance(config.goal, EnergyGoalConfig)
    assert config.goal.params.stress == 0.5
    assert config.goal.params.reference_internal == "fp32"  # AutoQKeras' default
    assert config.goal.params.activations_on_memory == ("dram", "dram")
    assert list(config.quantization_config.kernel) == [parse("ternary")]
    assert len(config.quantization_config.activation) == 8  # a group that is left out is the seed's
    assert config.run.layer_indexes == (1, 2, 3)
    assert config.run.blocks is None


def test_limits_fill_from_default_and_patterns_come_first(tmp_path: Path) -> None:
    text = """
        dataset: {name: mnist}
        model: {name: mnist}
        limit:
          default: [1, 5]
          Conv2D: [4]
          Activation: [7, 3]
          Dense: 6
          ^conv2d_0$: [[binary, "quantized_bits(2,1,1)"], 9]
    """
    limits = load_config(write(tmp_path, text)).config.limit
    assert key_for(limits, "conv2d_0", "Conv2D") == "^conv2d_0$"
    assert key_for(limits, "conv2d_1", "Conv2D") == "Conv2D"
    assert key_for(limits, "default_1", "Flatten") is None
    assert [weight_limit(limits, "Conv2D", i) for i in (0, 1, 2)] == [4, 5, 8]
    assert [weight_limit(limits, "Dense", i) for i in (0, 1, 2)] == [6, 6, 6]
    assert weight_limit(limits, "^conv2d_0$", 0) == (parse("binary"), parse("quantized_bits(2,1,1)"))
    assert activation_limit(limits, "Activation") == 3


@pytest.mark.parametrize("text", ["range(1, 5)", "{start: 1, stop: 5}"])
def test_layer_indexes_take_a_range(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, MINIMAL + f"\n    run:\n      layer_indexes: {text}\n")
    indexes = load_config(path).config.run.layer_indexes
    assert (indexes.start, indexes.stop) == (1, 5)  # type: ignore[union-attr]


def test_numbers_without_a_point_are_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL + "\n    reference: {optimizer: {name: sgd, learning_rate: 1e-3, momentum: 0.9}}\n")
    optimizer = load_config(path).config.reference.optimizer
    assert optimizer.options() == {"learning_rate": 0.001, "momentum": 0.9}


def test_set_changes_values(tmp_path: Path) -> None:
    path = write(tmp_path, MINIMAL)
    config = load_config(path, ["run.max_trials=3", "limit.Conv2D=[2]", "dataset.validation=0.25"]).config
    assert config.run.max_trials == 3
    assert config.limit == {"Conv2D": (2,)}
    assert config.dataset.validation == 0.25


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.max_trials", "--set 'run.max_trials': expected KEY=VALUE, e.g. --set run.max_trials=3"),
        ("run.max_trials=x", "--set run.max_trials=x: run.max_trials: found 'x', expected a whole number"),
        ("run.seed.x=1", "--set 'run.seed.x=1': run.seed holds 1, and no section to set 'x' in"),
    ],
)
def test_set_explains_what_is_wrong(tmp_path: Path, override: str, message: str) -> None:
    path = write(tmp_path, MINIMAL + "\n    run: {seed: 1}\n")
    with pytest.raises(ConfigError) as error:
        load_config(path, [override])
    assert str(error.value).startswith(message)
