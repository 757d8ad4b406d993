"""Broken configurations: the exact message of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from qsearch.config import load_config
from qsearch.errors import ConfigError

BASE = {
    "dataset": "{name: digits}",
    "model": "{name: digits}",
    "limit": "{Conv2D: [4, 8, 4]}",
}


def message(folder: Path, text: str) -> str:
    path = folder / "c.yaml"
    path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load_config(path)
    return str(error.value).replace(str(path), "c.yaml")


def with_section(name: str, value: str) -> str:
    return "\n".join(f"{key}: {text}" for key, text in {**BASE, name: value}.items())


CASES = [
    ("dataset", "{name: mnits}", "c.yaml:1:17: dataset.name: found 'mnits', allowed: mnist, fashion_mnist, cifar10, "
     "cifar100, digits; did you mean 'mnist'?"),
    ("dataset", "{nane: digits}", "c.yaml:1:11: dataset.nane: unknown key, allowed: name, npz, factory, "
     "train_samples, test_samples, validation, augment; did you mean 'name'?"),
    ("dataset", "{}", "c.yaml:1:1: dataset: found none, expected exactly one of: name, npz, factory"),
    ("dataset", "{name: digits, npz: a.npz}", "c.yaml:1:1: dataset: found name and npz, expected exactly one of"),
    ("dataset", "{factory: my.module.load}", "c.yaml:1:20: dataset.factory: found 'my.module.load', expected an "
     "import path such as 'my_package.my_module:build'"),
    ("dataset", "{name: digits, validation: 1.5}", "c.yaml:1:37: dataset.validation: found 1.5, allowed: 'test' "
     "(select on the test set, as AutoQKeras does), 'given' (on a set of its own that npz or factory has), or a "
     "fraction between 0 and 1 (held out of the training set)"),
    ("dataset", "{name: digits, validation: given}", "c.yaml:1:37: dataset.validation: found 'given', which is for npz "
     "and factory; of digits hold out a part: validation: 0.1"),
    ("dataset", "{name: digits, train_samples: 0}", "c.yaml:1:40: dataset.train_samples: found 0, must be >= 1"),
    ("model", "{}", "c.yaml:2:1: model: found none, expected exactly one of: name, path, factory"),
    ("model", "{name: digits, arguments: {a: 1}}", "c.yaml:2:1: model: arguments belong to a factory"),
    (
        "model",
        "{path: m.keras, weights: m.h5}",
        "c.yaml:2:1: model: weights: found 'm.h5', but they belong to the path of a .json architecture",
    ),
    ("model", "{path: m.h5, filters: [3]}", "c.yaml:2:1: model: options filters belong to a registry name"),
    ("model", "{name: digits, filters: [16, [8, 0]]}", "c.yaml:2:41: model.filters[1][1]: found 0, must be >= 1"),
    ("reference", "{loss: crossentropy}", "c.yaml:4:19: reference.loss: found 'crossentropy', allowed: "
     "categorical_crossentropy, sparse_categorical_crossentropy, "),
    ("reference", "{loss: {a: mse, b: msee}}", "c.yaml:4:31: reference.loss.b: found 'msee', allowed: "),
    ("reference", "{metrics: [acuracy]}", "c.yaml:4:23: reference.metrics[0]: found 'acuracy', allowed: acc, "),
    ("reference", "{class_weight: {0: -1}}", "c.yaml:4:13: reference.class_weight: found {'0': -1}, expected "
     "'balanced' or a weight >= 0 for each class: {0: 1.0, 1: 5.0}"),
    ("reference", "{optimizer: {name: adam, momentum: 0.9}}", "c.yaml:4:13: reference.optimizer: adam has no option "
     "'momentum', allowed: learning_rate, weight_decay, clipnorm, global_clipnorm, clipvalue, beta_1, beta_2, "
     "epsilon, amsgrad"),
    ("reference", "{optimizer: {lr: 0.1}}", "c.yaml:4:25: reference.optimizer.lr: unknown key, allowed: name, "
     "learning_rate, weight_decay, clipnorm, global_clipnorm, clipvalue, beta_1, beta_2, epsilon, amsgrad, momentum, "
     "nesterov, rho, centered, initial_accumulator_value, use_ema, ema_momentum, "
     "ema_overwrite_frequency, loss_scale_factor, gradient_accumulation_steps, beta_2_decay, epsilon_1, epsilon_2, "
     "clip_threshold, relative_step; did you mean 'learning_rate'?"),
    ("reference", "{optimizer: {clipnorm: 1.0, clipvalue: 1.0}}", "c.yaml:4:13: reference.optimizer: found clipnorm "
     "and clipvalue, expected at most one of them"),
    ("reference", "{optimizer: {ema_momentum: 0.9}}", "c.yaml:4:13: reference.optimizer: ema_momentum is for use_ema: "
     "true"),
    ("reference", "{optimizer: {learning_rate: fast}}", "c.yaml:4:40: reference.optimizer.learning_rate: found 'fast', "
     "expected a number"),
    ("quantization_config", "{kernel: {tenary: 2}}", "c.yaml:4:40: quantization_config.kernel.tenary: unknown "
     "quantizer 'tenary'; did you mean 'ternary'?"),
    ("quantization_config", "{kernel: {}}", "c.yaml:4:23: quantization_config.kernel: found no quantizer, expected at "
     "least one as 'quantizer: bits'"),
    ("quantization_config", "{kernel: {ternary: two}}", "c.yaml:4:41: quantization_config.kernel.ternary: found 'two', "
     "expected a whole number"),
    ("limit", "{Conv2D: [0, 8, 4]}", "c.yaml:3:18: limit.Conv2D[0]: no kernel quantizer with <= 0 bits; "
     "the smallest is 'binary' (1 bit)"),
    ("limit", "{Dense: [8, 3, 4]}", "c.yaml:3:20: limit.Dense[1]: no bias quantizer with <= 3 bits; "
     "the smallest is 'quantized_bits(4,0,1)' (4 bits)"),
    ("limit", "{Conv2D: [4, 8, 4, 2]}", "c.yaml:3:9: limit.Conv2D: found 4 elements, allowed: at most 3: "
     "[kernel, bias, activation]"),
    ("limit", "{Conv2D: [[binary, quantized_bits(4], 8]}", "c.yaml:3:27: limit.Conv2D[0][1]: quantizer "
     "'quantized_bits(4': expected ',' or ')' at character 17, found the end of the text"),
    ("limit", "{\"^conv(\": [4]}", "c.yaml:3:9: limit.^conv(: is neither a layer class nor a regular expression: "
     "missing ), unterminated subpattern at position 5; did you mean 'Conv2D'?"),
    ("limit", "{^conv: [[]]}", "c.yaml:3:17: limit.^conv[0]: found an empty list, expected quantizers or the greatest "
     "number of bits"),
    ("goal", "{type: energie}", "c.yaml:4:14: goal.type: found 'energie', allowed: energy, bits, macs, "
     "bops, ebops, weight_memory, activation_memory, peak_activation, flash, ram; "
     "did you mean 'energy'?"),
    ("goal", "{type: energy, params: {process: horrowitz}}", "c.yaml:4:40: goal.params.process: found 'horrowitz', "
     "allowed: horowitz, jouppi_7nm; did you mean 'horowitz'?"),
    ("goal", "{type: energy, params: {min_sram_size: [1, 2, 3]}}", "c.yaml:4:31: goal.params.min_sram_size: found 3 "
     "values, allowed: one value, or two: [reference, trial]"),
    ("goal", "{type: energy, params: {rate: 1}}", "c.yaml:4:37: goal.params.rate: found 1.0, must be greater than 1: "
     "the factor in cost that is worth delta percent"),
    ("goal", "{type: energy, params: {source_quantizers: [int4]}}", "c.yaml:4:51: goal.params.source_quantizers[0]: "
     "found 'int4', allowed: int8, int16, int32, fp16, fp32 or a quantizer; unknown quantizer 'int4'"),
    ("run", "{mode: randm}", "c.yaml:4:13: run.mode: found 'randm', allowed: random, bayesian, hyperband, guided, "
     "pareto, sensitivity, one_shot, learned; did you mean 'random'?"),
    ("run", "{factor: 1}", "c.yaml:4:15: run.factor: found 1, must be >= 2"),
    ("run", "{budget: {energy: 20 nF}}", "c.yaml:4:24: run.budget.energy: found '20 nF', expected an energy above 0: "
     "a number of pJ, or a text such as '20nJ'"),
    ("budget", "{energy: -3}", "c.yaml:4:18: run.budget.energy: found -3, expected an energy above 0"),
    ("run", "{max_drop: 1}", "c.yaml:4:17: run.max_drop: found 1, expected a part of the reference's metric: '1%' or "
     "0.01, below 100%"),
    ("run", "{distribution_strategy: mirored}", "c.yaml:4:30: run.distribution_strategy: found 'mirored', allowed: "
     "auto, none, mirrored, tpu; did you mean 'mirrored'?"),
    ("run", "{max_trails: 9}", "c.yaml:4:7: run.max_trails: unknown key, allowed: output_dir, overwrite, mode, seed, "
     "max_trials, "),
    ("run", "{tune_filters_exceptions: \"[\"}", "c.yaml:4:32: run.tune_filters_exceptions: found '[', which is no "
     "regular expression: unterminated character set at position 0"),
    ("run", "{layer_indexes: all}", "c.yaml:4:22: run.layer_indexes: found 'all', expected a list of indexes or "
     "{start: 1, stop: -1}"),
    ("run", "{seed: -1}", "c.yaml:4:13: run.seed: found -1, must be >= 0"),
    ("run", "{transfer_weights: 1}", "c.yaml:4:25: run.transfer_weights: found 1, expected true or false"),
    ("run", "{jit_compile: maybe}", "c.yaml:4:20: run.jit_compile: found 'maybe', allowed: auto, true, false"),
    ("run", "{steps_per_execution: 0}", "c.yaml:4:28: run.steps_per_execution: found 0, allowed: auto, or a whole "
     "number from 1 to 1,000,000,000"),
    ("run", "{trials: shared, jit_compile: true}", "c.yaml:4:36: run.jit_compile: found true with trials: shared, "
     "whose one model has no fixed shapes, which XLA needs; take trials: rebuilt, or leave one of them to auto"),
    ("run", "[1]", "c.yaml:4:1: run: found [1], expected a section of 'key: value' lines"),
    ("final_training", "{epochs: 1.5}", "c.yaml:4:26: final_training.epochs: found 1.5, expected a whole number"),
    ("reference", "{metrics: [acc, accuracy]}", "c.yaml:4:28: reference.metrics[1]: found accuracy again, which is "
     "another name of acc; it is metrics[0] already"),
    ("reference", "{metrics: [acc, {name: auc}, auc]}", "c.yaml:4:41: reference.metrics[2]: found auc again"),
    ("reference", "{class_weight: {'01': 1, 1: 2}}", "c.yaml:4:13: reference.class_weight: found class 1 twice: "),
    ("reference", "{class_weight: {1: 1.0e+300}}", "c.yaml:4:13: reference.class_weight: found {'1': 1e+300}"),
    ("reference", "{loss_weights: {a: 0, b: 0}}", "c.yaml:4:13: reference.loss_weights: found {'a': 0.0,"),
    ("reference", "{optimizer: {learning_rate: 1.0e-50}}", "c.yaml:4:40: reference.optimizer.learning_rate: found "
     "1e-50, which float32 does not have"),
    ("reference", "{optimizer: {learning_rate: 1.0e+50}}", "c.yaml:4:40: reference.optimizer.learning_rate: found "
     "1e+50, which float32 does not have"),
    ("final_training", "{optimizer: {name: sgd, learning_rate: 1.0, weight_decay: 2.0}}", "c.yaml:4:75: "
     "final_training.optimizer.weight_decay: found 2.0; times learning_rate it is what each step takes"),
    ("run", "{block_learning_rates: {quantized: 0, current: 0, rest: 0}}", "c.yaml:4:7: run.block_learning_rates: "
     "found 0 for all layers, so that nothing would be trained"),
    ("goal", "{type: energy, params: {source_quantizers: []}}", "c.yaml:4:31: goal.params.source_quantizers: found"),
    ("quantization_config", "{kernel: {'quantized_bits(8)': 8, 'quantized_bits(8,0)': 4}}", "c.yaml:4:56: "
     "quantization_config.kernel.quantized_bits(8,0): means the same as 'quantized_bits(8)'; leave out one of them"),
    ("quantization_config", "{kernel: {binary: 0}}", "c.yaml:4:40: quantization_config.kernel.binary: found 0"),
    ("trainig", "{}", "c.yaml:4:1: trainig: unknown key, allowed: dataset, model, reference, quantization_config, "
     "limit, goal, run, final_training"),
]  # fmt: skip


@pytest.mark.parametrize(("section", "value", "expected"), CASES, ids=[f"{c[0]}-{i}" for i, c in enumerate(CASES)])
def test_message(tmp_path: Path, section: str, value: str, expected: str) -> None:
    assert message(tmp_path, with_section(section, value)).startswith(expected)


def test_every_error_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    found = message(
        tmp_path,
        """
        dataset: {name: digits, sample: 3}
        model: {name: digit}
        limit:
          Conv2D: [0, 8, [ternary]]
          Conv2D: [4]
        run:
          seed: x
          goal: {type: bits}
        goal: {type: bits}
        """,
    ).splitlines()
    assert [line.split(" ")[0:2] for line in found] == [
        ["c.yaml:1:25:", "dataset.sample:"],
        ["c.yaml:2:15:", "model.name:"],
        ["c.yaml:4:12:", "limit.Conv2D[0]:"],
        ["c.yaml:5:3:", "limit.Conv2D:"],
        ["c.yaml:7:9:", "run.seed:"],
        ["c.yaml:8:3:", "run.goal:"],
    ]
    assert found[3].endswith("given twice; first at c.yaml:4:3")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "c.yaml:1:1: file: is empty; start with 'dataset:' and 'model:'"),
        ("- a\n- b\n", "c.yaml:1:1: file: found ['a', 'b'], expected sections such as 'dataset:' and 'model:'"),
        ("dataset: {name: [\n", "c.yaml:2:1: not valid YAML: expected the node content, but found '<stream end>'"),
        (
            "dataset: !!python/object:os.system {}\n",
            "c.yaml:1:10: dataset: found the tag !!python/object:os.system, allowed: none",
        ),
        ("a: &a [*a]\n", "c.yaml:1:4: a[0]: an alias that contains itself"),
        ("1.5: {}\n", "c.yaml:1:1: file: key 1.5 must be text"),
    ],
)
def test_files_that_are_no_configuration(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in message(tmp_path, text)


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("x: 1")
    (tmp_path / "binary.yaml").write_bytes(b"\x89HDF\xff")
    expected = {
        "c.yaml": f"{tmp_path}/c.yaml: no such file; configurations in {tmp_path}: binary.yaml, other.yaml",
        ".": f"{tmp_path}: is a folder; name a YAML file in it",
        "binary.yaml": f"{tmp_path}/binary.yaml: is not a text file (UTF-8): byte 0 is 0x89; save it as UTF-8",
    }
    for name, text in expected.items():
        with pytest.raises(ConfigError) as error:
            load_config(tmp_path / name)
        assert str(error.value) == text


def test_no_tensorflow_is_imported_for_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(with_section("run", "{seed: x}"))
    program = (
        "import sys\nfrom qsearch.config import load_config\nfrom qsearch.errors import ConfigError\n"
        f"try:\n    load_config({str(path)!r})\nexcept ConfigError:\n"
        "    print(sorted({'tensorflow', 'keras', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
