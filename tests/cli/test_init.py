"""`qsearch init`: the file that it writes is right for the model, loads, and never takes the place of another one."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import keras
import pytest
from click.testing import CliRunner, Result
from keras import layers

from qsearch.cli.check import check
from qsearch.cli.init import init
from qsearch.config import LoadedConfig, load_config
from qsearch.config.names import DATASETS
from qsearch.datasets import load_dataset
from qsearch.datasets.shapes import DATA_SHAPES
from qsearch.errors import ConfigError, ModelError, OutputError
from qsearch.runner.experiment import read_experiment


@pytest.fixture(autouse=True)
def own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])


def made(path: Path, model: str, *options: str) -> Result:
    return CliRunner().invoke(init, [model, "-o", str(path), *options])


def loaded(path: Path, model: str, *options: str) -> LoadedConfig:
    done = made(path, model, *options)
    assert done.exception is None, (done.output, done.exception)
    assert f"qsearch run {path}" in done.stdout
    return load_config(path)


def test_a_named_network_can_be_searched_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "new" / "c.yaml"
    config = loaded(path, "digits", "--budget", "5nJ", "--trials", "7", "--mode", "pareto", "--blocks").config
    assert (config.model.name, config.dataset.name, config.run.max_trials, config.run.mode) == (
        "digits",
        "digits",
        7,
        "pareto",
    )
    assert {*config.limit} == {"Conv2D", "BatchNormalization", "Activation", "Dense"}
    assert config.run.budget.energy == 5_000
    assert config.run.blocks is not None and len(config.run.blocks) == 4
    first = path.read_text(encoding="utf-8").split("\n")[0]
    assert first == "# yaml-language-server: $schema=qsearch.schema.json"
    assert (path.parent / "qsearch.schema.json").is_file()
    checked = CliRunner().invoke(check, [str(path)])
    assert checked.exception is None and "no mistakes found" in checked.stdout


def asked(monkeypatch: pytest.MonkeyPatch, path: Path, answers: tuple[str, ...], *model: str) -> Result:
    """In a terminal, with an answer to each question."""
    monkeypatch.setattr("qsearch.cli.init._is_terminal", lambda: True)
    return CliRunner().invoke(init, [*model, "-o", str(path)], input="".join(f"{answer}\n" for answer in answers))


REST = ("5nJ", "", "7", "random")
"""Budget, most of the metric to lose, trials, mode."""


def test_a_terminal_is_asked_for_the_arguments_of_a_function(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    code = """
        import keras

        def net(width, classes=10):
            layers = [keras.layers.Flatten(), keras.layers.Dense(width, name="d"), keras.layers.Dense(classes)]
            return keras.Sequential([keras.Input((8, 8, 1)), *layers, keras.layers.Activation("softmax")])
    """
    (tmp_path / "own_nets.py").write_text(dedent(code), encoding="utf-8")
    path = tmp_path / "c.yaml"
    answers = ("width", "width=12 'classes=10'", "digits", *REST)  # the first one is no argument, and is asked again
    done = asked(monkeypatch, path, answers, "own_nets:net")
    assert done.exception is None, done.output
    assert "Error: 'width': expected KEY=VALUE, as width=32" in done.output
    config = load_config(path).config
    assert (config.model.factory, config.model.arguments) == ("own_nets:net", {"width": 12, "classes": 10})
    assert (config.run.budget.energy, config.run.max_trials, config.run.mode) == (5_000, 7, "random")


def test_a_terminal_is_asked_for_the_weights_of_an_architecture(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dense = [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input((8, 8, 1)), *dense])
    (tmp_path / "net.json").write_text(model.to_json(), encoding="utf-8")
    model.save_weights(tmp_path / "net.weights.h5")
    path = tmp_path / "c.yaml"
    done = asked(monkeypatch, path, ("", "digits", *REST), str(tmp_path / "net.json"))
    assert done.exception is None, done.output
    assert load_config(path).config.model.weights == str(tmp_path / "net.weights.h5")  # the file beside it
    again = asked(monkeypatch, tmp_path / "d.yaml", ("digits", "digits", *REST))
    assert again.exception is None, again.output
    assert "Arguments" not in again.output and "Weights" not in again.output


def two_heads(folder: Path) -> Path:
    image, meta = keras.Input((16, 16, 3), name="image"), keras.Input((4,), name="meta")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(image)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), meta])
    heads = [layers.Dense(5, activation="softmax", name="kind")(x), layers.Dense(1, name="name")(x)]
    path = folder / "two.keras"
    keras.Model([image, meta], heads, name="two").save(path)
    return path


def test_a_model_of_ones_own_gets_a_template_of_its_data(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    config = loaded(path, str(two_heads(tmp_path)))
    losses = config.config.reference.loss
    assert isinstance(losses, dict)
    assert {head: loss.name for head, loss in losses.items()} == {"kind": "categorical_crossentropy", "name": "mse"}
    assert (config.config.run.head_name, config.config.reference.metrics[0].name) == ("kind", "acc")
    assert {*config.config.limit} == {"Conv2D", "Dense"}
    assert config.config.reference.epochs == 0
    template = tmp_path / "c_data.py"
    shapes = template.read_text(encoding="utf-8")
    assert "'image': (samples, 16, 16, 3)" in shapes and "'kind': (samples) class numbers 0 to 4" in shapes
    assert CliRunner().invoke(check, [str(path), "--file-only"]).exception is None
    told = CliRunner().invoke(check, [str(path)]).exception
    assert "write the function load in c_data.py" in str(told)
    filled = "import numpy\ndef load():\n    n = 40\n    s = ({'image': numpy.ones((n, 16, 16, 3)), 'meta': "
    filled += "numpy.ones((n, 4))}, {'kind': numpy.arange(n) % 5, 'name': numpy.ones((n, 1))})\n    return s, s\n"
    template.write_text(filled, encoding="utf-8")
    sys.modules.pop("c_data", None)
    assert CliRunner().invoke(check, [str(path)]).exception is None
    assert made(path, str(tmp_path / "two.keras")).exit_code != 0
    again = made(path, str(tmp_path / "two.keras"), "--data", "c_data:load", "--force")
    assert again.exception is None and template.read_text(encoding="utf-8") == filled


NETWORKS = {
    "series": ([keras.Input((32, 6)), layers.Conv1D(8, 3), layers.ReLU(), layers.Flatten(), layers.Dense(1)], "mse"),
    "recurrent": ([keras.Input((5, 3)), layers.LSTM(4), layers.Dense(2, activation="softmax")], "categorical"),
    "coder": ([keras.Input((6,)), layers.Dense(3, activation="gelu"), layers.Dense(6, activation="relu")], "mse"),
    "yes": ([keras.Input((6,)), layers.Dense(1, activation="sigmoid")], "binary_crossentropy"),
    "logits": ([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(10)], "from_logits: true"),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_limits_and_loss_are_those_of_the_model(tmp_path: Path, name: str) -> None:
    network, loss = NETWORKS[name]
    file = tmp_path / f"{name}.keras"
    keras.Sequential(network, name=name).save(file)
    config = loaded(tmp_path / "c.yaml", str(file))
    classes = {type(layer).__name__ for layer in network[1:]} & {"Conv1D", "LSTM", "Dense"}
    assert {*config.config.limit} - {"Activation"} == classes
    assert loss in (tmp_path / "c.yaml").read_text(encoding="utf-8")
    assert {layer.key for layer in read_experiment(config).space.layers} == {*config.config.limit}
    assert config.config.dataset.name == ("digits" if name == "logits" else None)


@pytest.mark.parametrize(
    ("model", "options", "kind", "told"),
    [
        ("digts", (), ConfigError, "did you mean 'digits'"),
        ("digits", ("--data", "mnist"), ConfigError, "has samples of (28, 28, 1) in 10 classes"),
        ("digits", ("--data", "mnits"), ConfigError, "did you mean 'mnist'"),
        ("digits", ("--budget", "1pJ"), ConfigError, "digits: run.budget.energy: found 1.00 pJ, and the cheapest"),
        ("digits", ("--custom-object", "a:B"), ConfigError, "is for a model file"),
        ("digits", ("--argument", "a=1"), ConfigError, "is for module:function"),
        ("a:b", ("--argument", "a"), ConfigError, "expected KEY=VALUE, as width=32"),
        ("no.keras", (), ModelError, "no such file"),
        ("no_such_module:build", (), ModelError, "cannot be imported"),
    ],
)
def test_mistakes_are_told_and_nothing_is_written(
    tmp_path: Path, model: str, options: tuple[str, ...], kind: type[Exception], told: str
) -> None:
    done = made(tmp_path / "c.yaml", model, *options)
    assert isinstance(done.exception, kind)
    assert told in str(done.exception) and "c.yaml" not in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_options_are_checked_before_anything_is_loaded(tmp_path: Path) -> None:
    wrong = made(tmp_path / "d.yaml", "digits", "--budget", "2 nano")
    assert wrong.exit_code == 2 and "expected something such as 20nJ" in wrong.output
    assert CliRunner().invoke(init, []).exit_code == 2


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("mine", encoding="utf-8")
    assert isinstance(made(path, "digits").exception, OutputError)
    (tmp_path / "qsearch.schema.json").write_text("{}", encoding="utf-8")
    assert isinstance(made(tmp_path / "d.yaml", "digits").exception, OutputError)
    assert path.read_text(encoding="utf-8") == "mine" and not (tmp_path / "d.yaml").exists()


def test_nothing_to_quantize(tmp_path: Path) -> None:
    file = tmp_path / "n.keras"
    keras.Sequential([keras.Input((8,)), layers.LayerNormalization(), layers.Softmax()], name="n").save(file)
    done = made(tmp_path / "c.yaml", str(file))
    assert isinstance(done.exception, ModelError)
    assert "no layer that can be quantized; its layers are: InputLayer, LayerNormalization" in str(done.exception)


def test_it_prints_where_it_is_asked_to(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((4,)), layers.Dense(2)], name="d").save(tmp_path / "d.keras")
    done = CliRunner().invoke(init, [str(tmp_path / "d.keras"), "-o", "-", "--target", "c"])  # needs no extra
    assert done.exception is None, (done.output, done.exception)
    printed = done.stdout
    (tmp_path / "c.yaml").write_text(printed, encoding="utf-8")
    config = load_config(tmp_path / "c.yaml").config
    assert config.target is not None and config.target.name == config.export[0].name == "c"
    assert "$schema" not in printed


def test_shapes_are_told_for_every_data_set() -> None:
    assert {*DATA_SHAPES} == {*DATASETS}
    data = load_dataset("digits", 20, 20)
    assert (data.input_shape, data.num_classes) == (DATA_SHAPES["digits"].sample, DATA_SHAPES["digits"].classes)
