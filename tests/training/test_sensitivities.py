"""What quantizing one thing alone costs: the one model measures what models of their own do, and estimates are sums."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy
import pytest
import tensorflow as tf

from qsearch.config import load_config
from qsearch.plan import Role
from qsearch.quantizers import get
from qsearch.runner.prepared import Prepared, read_prepared
from qsearch.search.space import Dimension, SearchedLayer, SearchSpace
from qsearch.sensitivity.table import SensitivityTable, shown
from qsearch.training import sensitivities
from qsearch.training.batches import Feeds
from qsearch.training.fit import compile_model, evaluate, train
from qsearch.training.probed_model import ProbedModel
from qsearch.training.sensitivities import Measuring, UntrainedError, calibrated, fisher_estimates
from qsearch.training.shared_model import NotShareableError
from qsearch.training.statistics import Batch, Calibrator, calibration_batches

NETS = """
import keras, numpy
from keras import layers

def residual():
    x = inputs = keras.Input((6, 6, 2))
    first = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", name="first")(x)))
    x = layers.Dropout(0.3)(layers.Conv2D(4, 3, padding="same", name="second")(first))
    x = layers.Activation("relu", name="sum")(layers.Add()([layers.BatchNormalization(name="norm")(x), first]))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(layers.GlobalAveragePooling2D()(x)))

def recurrent():
    x = inputs = keras.Input((6, 6, 2))
    x = layers.GRU(3)(layers.Dense(4, activation="relu", name="first")(layers.Reshape((6, 12))(x)))
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(x))

def data():
    random = numpy.random.default_rng(0)
    y = random.integers(0, 3, 256)
    x = random.normal(size=(256, 6, 6, 2)) + numpy.eye(3)[y][:, None, None, :2] * 1.5
    return (x[:192].astype("float32"), y[:192]), (x[192:].astype("float32"), y[192:])
"""
CONFIG = """
dataset: {factory: "alone_nets:data", validation: 0.2}
model: {factory: "alone_nets:NAME"}
reference: {epochs: 12, loss: sparse_categorical_crossentropy, metrics: [acc], batch_size: 16,
            optimizer: {name: adam, learning_rate: 0.01}}
limit: {Dense: [8, 8, 4], Conv2D: [4, 8, 4], Activation: [4], BatchNormalization: [], GRU: [4, 4, 8]}
goal: {type: energy}
run: {tune_filters: layer, output_dir: OUT}
"""


def ready_for(folder: Path, name: str, trained: bool = True) -> Prepared:
    (folder / "alone_nets.py").write_text(NETS, encoding="utf-8")
    (folder / "run.yaml").write_text(CONFIG.replace("NAME", name).replace("OUT", str(folder / "out")), encoding="utf-8")
    sys.modules.pop("alone_nets", None)
    ready = read_prepared(load_config(folder / "run.yaml"))
    if trained:
        train(ready.experiment.model, ready.data, ready.recipe, 1, lambda *_: None, feeds=Feeds())
    return ready


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return ready_for(tmp_path_factory.mktemp("alone"), "residual")


@pytest.fixture(scope="module")
def batches(residual: Prepared) -> list[Batch]:
    return calibration_batches(residual.data.train, 128, 0)


@pytest.fixture(scope="module")
def measuring(residual: Prepared, batches: list[Batch]) -> Measuring:
    return Measuring(residual.experiment.model, residual.experiment.space, residual.recipe, batches)


@pytest.fixture(scope="module")
def table(measuring: Measuring) -> SensitivityTable:
    return measuring.table()


def test_the_one_model_measures_what_models_of_their_own_do(
    residual: Prepared, batches: list[Batch], table: SensitivityTable
) -> None:
    space, reference = residual.experiment.space, residual.experiment.model
    assert table.shared
    found = {(row.dimension, row.option): row.increase for row in table.rows}
    assert len(found) == sum(len(one.options) for one in space.dimensions)
    _, base = calibrated(reference, space.plan({}), residual.recipe, batches)
    assert table.loss == pytest.approx(base, abs=1e-5)
    looked_at = [one for one in space.dimensions if one.name.startswith(("second", "sum")) or one.name in space.widths]
    assert len(looked_at) >= 3
    for one in looked_at:
        option = one.options[0]
        _, loss = calibrated(reference, space.plan({one.name: option}), residual.recipe, batches)
        assert found[one.name, shown(option)] == pytest.approx(loss - base, abs=2e-5), (one.name, option)


def test_coarse_formats_cost_more_and_the_reference_nothing(table: SensitivityTable) -> None:
    for name, rows in table.by_dimension():
        by_option = {row.option: row for row in rows}
        if rows[0].part == "filters":
            assert by_option["1"].increase == 0.0
            assert all(row.fisher is None for row in rows)
        if name.startswith("sum"):
            assert by_option["binary"].increase > by_option["quantized_relu(4,2)"].increase
    tied = [row for row in table.rows if row.part == "filters"]
    assert {row.layers for row in tied} == {("first", "second")}


def test_an_answer_is_an_ordinary_model_with_averages_taken_anew(
    residual: Prepared, batches: list[Batch], measuring: Measuring
) -> None:
    space = residual.experiment.space
    values = {one.name: one.options[len(one.options) // 2] for one in space.dimensions}
    answer = measuring.answer(values, residual.data.selection)
    own, loss = calibrated(residual.experiment.model, space.plan(values), residual.recipe, batches)
    assert answer.loss == pytest.approx(loss, abs=1e-5)
    compile_model(answer.model, residual.recipe)
    assert evaluate(answer.model, residual.data.selection, residual.recipe) == pytest.approx(answer.metrics, abs=1e-5)
    for ours, others in zip(answer.model.get_weights(), own.get_weights(), strict=True):
        numpy.testing.assert_allclose(ours, others, atol=1e-5)


def test_averages_become_the_means_of_the_batches_and_nothing_else_changes(
    residual: Prepared, batches: list[Batch]
) -> None:
    model = keras.models.clone_model(residual.experiment.model)
    model.set_weights(residual.experiment.model.get_weights())
    compile_model(model, residual.recipe)
    before = {weight.path: weight.numpy() for weight in model.weights}
    norm = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    momentum, call = norm.momentum, norm.call
    losses = [Calibrator(model)(batches) for _ in range(2)]
    assert losses[0] == losses[1]
    inputs = keras.Model(model.inputs, model.get_layer("first").output)
    moments = [tf.nn.moments(inputs(batch[0]), [0, 1, 2]) for batch in batches]
    numpy.testing.assert_allclose(norm.moving_mean, numpy.mean([mean for mean, _ in moments], axis=0), atol=1e-5)
    numpy.testing.assert_allclose(norm.moving_variance, numpy.mean([one for _, one in moments], axis=0), rtol=1e-4)
    assert norm.momentum == momentum
    assert norm.call == call
    for weight in model.weights:
        if "moving" not in weight.path:
            numpy.testing.assert_array_equal(weight.numpy(), before[weight.path])


def test_the_fisher_estimate_is_its_formula() -> None:
    """One dense layer and its softmax: gradients are known."""
    rng = numpy.random.default_rng(2)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(5, use_bias=False, name="hidden")(inputs)
    outputs = keras.layers.Dense(3, use_bias=False, name="last")(keras.layers.Activation("tanh", name="bend")(hidden))
    model = keras.Model(inputs, outputs)
    kernels, activations = ("ternary", "quantized_bits(4,0,1,alpha=1.0)"), ("quantized_tanh(3)", "ternary")
    named = {"kernel": kernels, "bent": activations}
    from specs import specs

    dimensions = tuple(Dimension(name, specs(*texts)) for name, texts in named.items())
    layers = (
        SearchedLayer(name="bend", key="Activation", dimensions={Role.ACTIVATION: "bent"}),
        SearchedLayer(name="last", key="Dense", dimensions={Role.KERNEL: "kernel"}),
    )
    space = SearchSpace(dimensions=dimensions, layers=layers)
    x, y = rng.normal(size=(6, 4)).astype("float32"), rng.integers(0, 3, 6)
    shared = ProbedModel(model, space)
    shared.model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    shared.load_weights_of({})
    found = fisher_estimates(shared, [(tf.constant(x), tf.constant(y))])
    first, last = model.get_layer("hidden").kernel.numpy(), model.get_layer("last").kernel.numpy()
    bent = numpy.tanh(x @ first)
    logits = bent @ last
    answers = numpy.exp(logits) / numpy.exp(logits).sum(axis=1, keepdims=True)
    of_logits = answers - numpy.eye(3)[y]
    of_kernel = bent[:, :, None] * of_logits[:, None, :]
    of_bent = of_logits @ last.T
    for spec in dimensions[0].options:
        quantizer = get(spec)
        assert quantizer is not None
        error = numpy.asarray(quantizer.for_weights()(tf.constant(last))) - last
        wanted = 0.5 * numpy.mean([(gradient**2 * error**2).sum() for gradient in of_kernel])
        assert found["kernel", spec] == pytest.approx(wanted, rel=1e-3)
    for spec in dimensions[1].options:
        quantizer = get(spec)
        assert quantizer is not None
        error = numpy.asarray(quantizer(tf.constant(x @ first))) - bent
        assert found["bent", spec] == pytest.approx(0.5 * (of_bent**2 * error**2).sum(axis=1).mean(), rel=1e-3)


def test_an_untrained_reference_is_refused(tmp_path: Path) -> None:
    ready = ready_for(tmp_path, "residual", trained=False)
    experiment = ready.experiment
    found = Measuring(experiment.model, experiment.space, ready.recipe, calibration_batches(ready.data.train, 64, 0))
    with pytest.raises(UntrainedError, match=r"the reference is not trained: its loss is .* with the right labels"):
        found.table()


@pytest.fixture
def never_shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def refused(*_: object) -> ProbedModel:
        raise NotShareableError("first: for this test")

    monkeypatch.setattr(sensitivities, "ProbedModel", refused)
    yield


def few(space: SearchSpace, choose: Callable[[Dimension], bool]) -> SearchSpace:
    """The space with one or two options of each choice."""
    kept = tuple(
        Dimension(one.name, (1.0,))
        if one.name in space.widths
        else Dimension(one.name, (one.options[0], one.options[-1]) if choose(one) else one.options[-1:])
        for one in space.dimensions
    )
    return SearchSpace(dimensions=kept, layers=space.layers, order=space.order)


def test_where_no_model_is_shared_each_plan_has_its_own(
    residual: Prepared, batches: list[Batch], table: SensitivityTable, never_shared: None
) -> None:
    space = few(residual.experiment.space, lambda one: one.name.startswith("sum"))
    found = Measuring(residual.experiment.model, space, residual.recipe, batches)
    assert found.why_not_shared == "first: for this test"
    own = found.table()
    assert not own.shared
    wanted = {(row.dimension, row.option): row.increase for row in table.rows}
    for row in own.rows:
        assert row.fisher is None
        if row.part != "filters":
            assert row.increase == pytest.approx(wanted[row.dimension, row.option], abs=2e-5)


def test_what_is_inside_of_a_loop_has_no_estimate(tmp_path: Path) -> None:
    ready = ready_for(tmp_path, "recurrent")
    experiment = ready.experiment
    space = few(experiment.space, lambda one: one.name.startswith(("gru", "head")))
    found = Measuring(experiment.model, space, ready.recipe, calibration_batches(ready.data.train, 64, 0)).table()
    assert found.shared
    of_cell = [row for row in found.rows if row.layers[0].startswith("gru")]
    of_head = [row for row in found.rows if row.layers == ("head",) and row.part == "kernel"]
    assert of_cell and of_head
    assert all(row.fisher is not None for row in of_head)
    assert any(row.increase != 0 for row in of_cell)


def test_a_table_is_written_and_read_again(table: SensitivityTable, residual: Prepared) -> None:
    again = SensitivityTable.from_dict(table.to_dict())
    assert again == table
    losses = again.losses(residual.experiment.space)
    assert {name: len(one) for name, one in losses.items()} == {
        one.name: len(one.options) for one in residual.experiment.space.dimensions
    }
