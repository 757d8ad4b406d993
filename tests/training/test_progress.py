"""A training that is killed after any epoch goes on in a fresh process' model to the same bits."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest
import tensorflow as tf
from slow import by_hand, slow

from qsearch.config.augment import AugmentConfig
from qsearch.config.chosen import Chosen
from qsearch.config.optimizers import OptimizerConfig
from qsearch.config.schedules import ScheduleConfig
from qsearch.datasets import Dataset, Split
from qsearch.datasets.augment import Moves
from qsearch.errors import OutputError
from qsearch.goal.target import Target
from qsearch.layers import QDense
from qsearch.search.trials import Trained
from qsearch.training.augmentation import Augmentation, OwnStep
from qsearch.training.checkpoints import Checkpoints
from qsearch.training.epochs import DivergedError
from qsearch.training.fit import Recipe, TrainingState, train
from qsearch.training.losses import Output
from qsearch.training.objective import Objective
from qsearch.training.progress import Pace, ProgressFile
from qsearch.training.repeatable import batches_repeat, steps_repeat
from qsearch.training.schedules import RateSchedule

EVERY = Pace(least=0.0, share=math.inf)
LOSS = Chosen("categorical_crossentropy")
X = numpy.random.default_rng(0).normal(size=(48, 5)).astype("float32")
Y = numpy.eye(3, dtype="float32")[X[:, :3].argmax(axis=1)]
DATA = Dataset("rows", Split(X, Y), Split(X[:16], Y[:16]))
ADAM = OptimizerConfig(name="adam", learning_rate=0.05, use_ema=True, ema_momentum=0.8)
SGD = OptimizerConfig(name="sgd", learning_rate=0.1, momentum=0.9)
EPOCHS = 4


class Killed(BaseException):
    """As final as a signal."""


def network(*more: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            QDense(6, kernel_quantizer="stochastic_ternary", name="drawing"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            *more,
            layers.Dense(3, activation="softmax"),
        ]
    )


def recipe(optimizer: OptimizerConfig = SGD, epochs: int = EPOCHS, **options: Any) -> Recipe:
    return Recipe(
        optimizer=optimizer,
        objective=Objective(loss=LOSS, metrics=(Chosen("loss"), Chosen("acc")), output=Output(LOSS, (3,))),
        target=Target("val_acc"),
        epochs=epochs,
        batch_size=12,
        **options,
    )


def killed_after(epochs: int) -> Callable[..., None]:
    """What observes a training, and kills it in the epoch after so many."""

    def ended(epoch: int, *_: Any) -> None:
        if epoch > epochs:
            raise Killed

    return ended


def silent(*_: Any) -> None:
    pass


def file(folder: Path, keeps_end: bool = False, **identity: Any) -> ProgressFile:
    return Checkpoints(folder, pace=EVERY).training("reference", identity, keeps_end)


Outcome = tuple[Trained, TrainingState, list[Any]]


def trained(folder: Path, wanted: Recipe, kills: list[int], data: Dataset = DATA, **given: Any) -> Outcome:
    """Train, killed after these epochs, each time in another model."""
    for epochs in kills:
        with pytest.raises(Killed):
            train(network(), data, wanted, 3, killed_after(epochs), progress=file(folder), **given)
        assert (folder / "training_reference.npz").exists()
    model, seen = network(), list[int]()
    found, end = train(
        model, data, wanted, 3, lambda epoch, *_: seen.append(epoch), progress=file(folder) if kills else None, **given
    )
    if kills:
        assert seen[0] == kills[-1] + 1
    return found, end, model.get_weights()


def same(one: Outcome, other: Outcome) -> None:
    assert one[0] == other[0]
    assert one[1].schedule == other[1].schedule
    for ours, others in (
        (one[1].weights, other[1].weights),
        (one[1].optimizer, other[1].optimizer),
        (one[2], other[2]),
    ):
        for mine, its in zip(ours, others, strict=True):
            numpy.testing.assert_array_equal(mine, its)


PLATEAU = RateSchedule(ScheduleConfig(name="reduce_on_plateau", patience=1, factor=0.5), 0.1, EPOCHS)
TRAININGS = {
    "sgd": recipe(),
    "averages": recipe(ADAM, from_start=True),
    "plateau": recipe(SGD.model_copy(update={"learning_rate": 0.3}), 12, schedule=PLATEAU, patience=3),
    "cosine": recipe(schedule=RateSchedule(ScheduleConfig(name="cosine"), 0.1, EPOCHS)),
    "rates": recipe(rates={"drawing": 0.5}),
    "odd_batches": recipe(macs=10**7),
    "accumulated": recipe(OptimizerConfig(name="adamw", learning_rate=0.02, gradient_accumulation_steps=3)),
}


@pytest.mark.parametrize(
    "name",
    ["averages", "plateau", slow("odd_batches"), *map(by_hand, ("cosine", "sgd", "rates", "accumulated"))],
)
def test_it_goes_on_to_the_same_bits(name: str, tmp_path: Path) -> None:
    whole = trained(tmp_path / "whole", TRAININGS[name], [])
    if name == "plateau":  # which early stopping has counted to over both kills
        assert whole[0].epochs == 6
    same(trained(tmp_path / "killed", TRAININGS[name], [3, 5] if name == "plateau" else [1, 3]), whole)


def test_changes_of_samples_are_those_of_their_epoch(tmp_path: Path) -> None:
    images = numpy.random.default_rng(0).normal(size=(48, 5, 1, 1)).astype("float32")
    data = Dataset("images", Split(images, Y), Split(images[:16], Y[:16]))

    def model() -> keras.Model:
        flat = network()
        return keras.Sequential([keras.Input((5, 1, 1)), keras.layers.Flatten(), *flat.layers])

    moved = recipe(augment=Augmentation((Moves(AugmentConfig(shift=2)),)))
    whole, other = model(), model()
    expected, _ = train(whole, data, moved, 3, silent)
    with pytest.raises(Killed):
        train(model(), data, moved, 3, killed_after(2), progress=file(tmp_path))
    found, _ = train(other, data, moved, 3, silent, progress=file(tmp_path))
    assert found == expected
    for mine, its in zip(other.get_weights(), whole.get_weights(), strict=True):
        numpy.testing.assert_array_equal(mine, its)


def test_what_goes_on_from_a_parent_goes_on_in_its_middle(tmp_path: Path) -> None:
    parent = recipe(ADAM, epochs=2)
    _, state, _ = trained(tmp_path / "parent", parent, [])
    child = recipe(ADAM, epochs=5, first_epoch=2)
    whole = trained(tmp_path / "whole", child, [], state=state)
    same(trained(tmp_path / "killed", child, [4], state=state), whole)
    assert len(whole[0].curve) == 3


def test_one_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    whole, end = train(model := network(), DATA, recipe(ADAM), 3, silent, progress=file(tmp_path, keeps_end=True))
    again, again_end = train(other := network(), DATA, recipe(ADAM), 3, killed_after(0), progress=file(tmp_path))
    same((again, again_end, other.get_weights()), (whole, end, model.get_weights()))


def test_one_that_diverges_after_a_kill_says_so(tmp_path: Path) -> None:
    wild = recipe(SGD.model_copy(update={"learning_rate": 1e30}))
    with pytest.raises(DivergedError) as caught:
        train(network(), DATA, wild, 3, silent)
    with pytest.raises(DivergedError):
        train(network(), DATA, wild, 3, silent, progress=file(tmp_path, keeps_end=True))
    with pytest.raises(DivergedError) as again:
        train(network(), DATA, wild, 3, killed_after(0), progress=file(tmp_path))
    assert str(again.value) == str(caught.value)


def test_another_training_or_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    one = file(tmp_path, trial=1)
    with pytest.raises(Killed):
        train(network(), DATA, recipe(), 3, killed_after(1), progress=one)
    saved = one.path.read_bytes()
    found = one.of(recipe=recipe().identity, seed=3)
    assert found.read() is not None
    for other in (found.of(trial=2), found.of(seed=4), found.of(recipe=recipe(epochs=5).identity)):
        assert other.read() is None
        assert not one.path.exists()
        one.path.write_bytes(saved)
    for damaged in (b"", saved[: len(saved) // 2], saved.replace(b"epoch", b"ep0ch"), b"PK" + saved[9:]):
        one.path.write_bytes(damaged)
        assert found.read() is None
        assert not one.path.exists()
    one.path.write_bytes(saved)
    progress = found.read()
    assert progress is not None
    progress_wide = network(keras.layers.Dense(4))
    progress_wide.compile("sgd")
    progress_wide.optimizer.build(progress_wide.trainable_variables)
    assert not progress.fits(progress_wide)


def test_a_full_disk_ends_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OutputError("no space left on device")

    monkeypatch.setattr(ProgressFile, "write", full)
    found, _ = train(network(), DATA, recipe(), 3, silent, progress=file(tmp_path))
    assert found.epochs == EPOCHS


def test_saving_takes_a_small_share_of_the_time() -> None:
    pace = Pace()
    assert not pace.due(0.9, 0)
    assert pace.due(1.1, 0)
    assert not pace.due(1.1, 100_000_000)  # about a second, as long as nobody knows
    pace.took = 0.5
    assert not pace.due(9.0, 0)
    assert pace.due(11.0, 0)


class Counting(keras.layers.Layer):  # type: ignore[misc]
    """Keeps something that nobody else knows of."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.hidden = [tf.Variable(1.0, trainable=False)]  # in a list, as Keras looks at variables alone

    def call(self, x: Any, training: bool = False) -> Any:
        if not training:
            return x
        if self.how == "counts":
            self.hidden[0].assign_add(1.0)
        if self.how == "draws":
            return x + tf.random.normal(tf.shape(x))
        if self.how == "draws_of_keras":
            return x + keras.random.normal((6,))
        if self.how == "calls_python":
            noise = tf.numpy_function(lambda array: array, [tf.stop_gradient(x)], tf.float32)
            return x + tf.ensure_shape(noise, x.shape)
        return x * self.hidden[0]


@pytest.mark.parametrize("how", ["counts", by_hand("draws"), "draws_of_keras", by_hand("calls_python"), "reads"])
def test_what_keeps_a_state_of_its_own_is_begun_anew(how: str, tmp_path: Path) -> None:
    model = network(Counting(how))
    train(model, DATA, recipe(epochs=2), 3, silent, progress=file(tmp_path))
    assert steps_repeat(model) == (how == "reads")
    assert (tmp_path / "training_reference.npz").exists() == (how == "reads")


def test_streams_and_functions_with_numbers_of_their_own_are_begun_anew() -> None:
    class Elsewhere:
        """Samples that are not in memory."""

    assert batches_repeat(DATA, None)
    elsewhere: Any = Elsewhere()
    assert not batches_repeat(Dataset("streams", elsewhere, DATA.test), None)
    assert not batches_repeat(Dataset("streams", DATA.train, elsewhere), None)
    layout: Any = None
    for taken in (1, 2, 3):
        own = OwnStep("my:function", silent, taken, layout)
        assert batches_repeat(DATA, Augmentation((own,))) == (taken == 3)
