"""Arrays of the user's own as a model takes them: names, shapes, values."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import tensorflow

from qsearch.datasets.dataset import Split
from qsearch.datasets.fitting import split_of
from qsearch.datasets.layout import Head, Labels, Layout, Shape
from qsearch.errors import DatasetError

X = numpy.zeros((6, 4), numpy.float32)


def layout(*heads: Head, inputs: dict[str, Shape] | None = None) -> Layout:
    return Layout("net", inputs or {"in": (4,)}, heads)


def labels(shape: Shape, kind: Labels, y: Any, **options: Any) -> Split:
    return split_of(layout(Head(name="out", shape=shape, labels=kind, **options)), (X, y), "train")


def refused(message: str, shape: Shape, kind: Labels, y: Any) -> None:
    with pytest.raises(DatasetError) as caught:
        labels(shape, kind, y)
    assert message in str(caught.value)


@pytest.mark.parametrize("kind", [int, float, bool, numpy.uint8])
def test_labels_of_one_unit(kind: type) -> None:
    y = numpy.array([0, 1, 0, 1, 1, 0]).astype(kind)
    found = labels((1,), "binary", y).y
    assert found.shape == (6, 1)
    assert numpy.array_equal(found, labels((1,), "binary", y[:, None]).y)


@pytest.mark.parametrize("kind", [numpy.int64, numpy.float64, numpy.uint8, numpy.float32])
@pytest.mark.parametrize("places", [(), (5,), (2, 3)])
def test_class_numbers_of_any_type_and_place(kind: type, places: tuple[int, ...]) -> None:
    numbers = numpy.random.default_rng(0).integers(0, 3, (6, *places))
    for y in (numbers.astype(kind), numbers[..., None].astype(kind)):
        sparse = labels((*places, 3), "classes", y).y
        assert sparse.shape == (6, *places)
        assert numpy.array_equal(sparse, numbers)
        hot = labels((*places, 3), "categorical", y).y
        assert hot.dtype == numpy.float32
        assert numpy.array_equal(hot, numpy.eye(3)[numbers])
    assert numpy.array_equal(labels((*places, 3), "categorical", numpy.eye(3)[numbers]).y, numpy.eye(3)[numbers])


def test_values_with_and_without_a_last_axis() -> None:
    images = numpy.ones((6, 8, 8))
    assert labels((8, 8, 1), "values", images).y.shape == (6, 8, 8, 1)
    assert labels((8, 8), "values", images[..., None]).y.shape == (6, 8, 8)
    assert labels((None, None, 1), "values", images).y.shape == (6, 8, 8, 1)


@pytest.mark.parametrize("ignored", [255, -1])
def test_a_class_number_that_is_left_out(ignored: int) -> None:
    y = numpy.arange(6) % 3
    y[2] = ignored
    assert numpy.array_equal(labels((3,), "classes", y, ignored=ignored).y, y)
    with pytest.raises(DatasetError, match=f"left out, take loss: .*ignore_class: {ignored}"):
        labels((3,), "classes", y)
    with pytest.raises(DatasetError, match=f"are all {ignored}, which the loss leaves out"):
        labels((3,), "classes", numpy.full(6, ignored), ignored=ignored)
    with pytest.raises(DatasetError, match="are 0 to 7, its classes are 0 to 2"):
        labels((3,), "classes", numpy.where(y == 1, 7, y), ignored=ignored)


def test_inputs_get_or_lose_a_last_axis_of_one() -> None:
    head = Head(name="out", shape=(1,), labels="values")
    for shape, found in (((4, 1), (6, 4, 1)), ((4,), (6, 4))):
        split = split_of(layout(head, inputs={"in": shape}), (X, X[:, 0]), "train")
        assert split.x.shape == found


def test_the_type_stays() -> None:
    x = numpy.zeros((6, 4), numpy.uint8)
    split = split_of(layout(Head(name="out", shape=(3,), labels="classes")), (x, x[:, 0]), "train")
    assert split.x is x
    assert split.y.dtype == numpy.uint8
    assert labels((1,), "values", numpy.zeros(6, int), floats=True).y.dtype == numpy.float32
    assert (
        split_of(layout(Head(name="out", shape=(4,), labels="values")), (x.astype(float), x), "train").x.dtype
        == numpy.float32
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 2, 3, 1, 2, 3], "train: labels of output out are 1 to 3, its classes are 0 to 2; subtract 1"),
        ([1, 1, 3, 1, 1, 3], "labels of output out are 1 to 3, its classes are 0 to 2; subtract 1"),
        ([-1, 0, 1, 2, 0, 1], "are -1 to 2, its classes are 0 to 2; number the classes from 0"),
        ([0, 1, 2, 3, 4, 0], "are 0 to 4, its classes are 0 to 2; number the classes from 0, or give the output 5 uni"),
        ([0, 1, 2, 0.5, 1, 0], "hold 0.5, its classes are 0 to 2; class numbers are whole"),
        ([0, 1, 2, numpy.nan, 1, 0], "labels of output out hold numbers that are not finite"),
        ([7] * 6, "are all 7, its classes are 0 to 2"),
    ],
)
@pytest.mark.parametrize("kind", ["classes", "categorical"])
def test_wrong_class_numbers(kind: Labels, y: list[float], message: str) -> None:
    refused(message, (3,), kind, numpy.array(y))


def test_wrong_values_and_shapes_of_labels() -> None:
    two = numpy.array([1, 2, 1, 2, 2, 1])
    refused("are 1 to 2, expected 0 to 1; subtract 1", (1,), "binary", two)
    refused("are -1 to 1, expected 0 to 1; turn -1 into 0, or take loss: hinge", (1,), "binary", 2 * two - 3)
    refused("are 0 to 255, expected 0 to 1; divide by 255", (4,), "binary", numpy.eye(6)[:, :4] * 255)
    refused("one-hot labels are for loss: categorical_crossentropy", (3,), "classes", numpy.eye(3)[[0, 1, 2] * 2])
    refused("class numbers are for loss: sparse_categorical_crossentropy", (3,), "values", two)
    refused("labels out have shape (2,), expected (3,), or class numbers of shape ()", (3,), "categorical", X[:, :2])
    refused("are not finite", (1,), "values", numpy.array([0, 1, numpy.inf, 0, 0, 0]))


def test_a_class_that_the_loss_leaves_out() -> None:
    y = numpy.array([0, 1, 255, 2, 255, 0])
    assert numpy.array_equal(labels((3,), "classes", y, ignored=255).y, y)


def test_lists_are_in_the_models_order() -> None:
    model = layout(
        Head(name="one", shape=(1,), labels="values"),
        Head(name="two", shape=(3,), labels="classes"),
        inputs={"a": (4,), "b": (2,)},
    )
    a, b, y = X, numpy.ones((6, 2)), [numpy.zeros(6), numpy.zeros(6, int)]
    for x in ([a, b], (a, b), {"b": b, "a": a}):
        split = split_of(model, (x, y), "train")
        assert list(split.x) == ["a", "b"]
        assert split.y["one"].shape == (6, 1)
        assert split.samples == 6
    weighted = split_of(model, ((a, b), y, numpy.ones(6)), "train")
    assert [array.shape for array in weighted.weights] == [(6,), (6,)]
    assert isinstance(weighted.y, tuple)
    for x, given, message in (
        ([a], y, "samples are a list of 1 arrays, net has 2 inputs: a, b"),
        ([a, b, b], y, "a list of 3 arrays, net has 2 inputs: a, b"),
        (a, y, "samples are one array, net has 2 inputs: a, b"),
        ([b, a], y, "a: samples have shape (2,), expected (4,)"),
        ({"a": a, "c": b}, y, "samples are a, c, expected a, b"),
        ([a, b], y[:1], "labels are a list of 1 arrays, net has 2 outputs: one, two"),
        ([a, b[:3]], y, "found x a 6, x b 3, y one 6"),
    ):
        with pytest.raises(DatasetError) as caught:
            split_of(model, (x, given), "train")
        assert message in str(caught.value)


def test_a_list_for_one_input() -> None:
    one = layout(Head(name="out", shape=(1,), labels="values"))
    assert split_of(one, ([X], X[:, 0]), "train").x.shape == (6, 4)
    assert split_of(one, (X.tolist(), [0.0] * 6), "train").x.shape == (6, 4)
    with pytest.raises(DatasetError, match=r"a list of 6 arrays, net has 1 input: in; make one array .*numpy\.stack"):
        split_of(one, (list(X), X[:, 0]), "train")


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (X[:0], X[:0, 0], "at least one; found x 0, y 0"),
        (X, X[:5, 0], "as many samples in every array, and at least one; found x 6, y 5"),
        (X * numpy.nan, X[:, 0], "x: not finite (holds NaN or infinite numbers)"),
        (numpy.array([[1], [1, 2]] * 3, object), X[:, 0], "array of Python objects of shape (6,)"),
        ([[1], [1, 2]] * 3, X[:, 0], "is no array"),
        (X.astype(str), X[:, 0], "expected arrays of numbers; make numbers of texts such as '0.0'"),
        (X, numpy.array([["cat"], ["dog"]] * 3, object), "number texts such as 'cat': numpy.unique(labels, return_inv"),
        (X, numpy.ones(6, object), "they are numbers: .astype('float32')"),
        (X, numpy.array([1, None] * 3, object), "turn what is missing (None) into numbers"),
        (numpy.ma.masked_array(X, X < 1), X[:, 0], "x: is a masked array with 24 masked values; fill them: .filled(0)"),
        (tensorflow.ragged.constant([[1.0], [1.0, 2.0]] * 3), X[:, 0], "padded to one length: .to_tensor()"),
        (tensorflow.sparse.from_dense(X), X[:, 0], "make a sparse tensor dense: tf.sparse.to_dense"),
        (X + 1j, X[:, 0], "is complex64 of shape (6, 4), expected arrays of numbers; give real and imaginary part"),
        (X, numpy.arange(6).astype("datetime64[s]"), "turn times into numbers"),
        (X.astype("float64") + 1e300, X[:, 0], "x: holds 1e+300, beyond what float32 holds (3.4e+38); scale the data"),
        (X, None, "has no labels, expected (x, y) or (x, y, sample_weight)"),
    ],
)
def test_bad_data(x: Any, y: Any, message: str) -> None:
    with pytest.raises(DatasetError) as caught:
        split_of(layout(Head(name="out", shape=(1,), labels="values")), (x, y), "train")
    assert message in str(caught.value)


def test_weights() -> None:
    pixels = layout(Head(name="out", shape=(2, 2, 3), labels="classes"))
    y = numpy.zeros((6, 2, 2), int)
    for shape, found in (((6,), (6,)), ((6, 1), (6,)), ((6, 2, 2), (6, 2, 2)), ((6, 2, 2, 1), (6, 2, 2))):
        split = split_of(pixels, (X, y, numpy.ones(shape, int)), "train")
        assert split.weights.shape == found
        assert split.weights.dtype == numpy.float32
        assert split.first(2).weights.shape[0] == 2
    for weights, message in (
        (numpy.ones((6, 3)), "sample weights out have shape (3,), expected one for each sample, or (2, 2)"),
        (numpy.ones(5), "found x 6, y 6, sample weights 5"),
        (numpy.full(6, numpy.nan), "sample weights: not finite"),
        (numpy.arange(6) - 1, "sample weights: -1 to 4, expected numbers >= 0; samples to leave out have weights of 0"),
        (numpy.zeros(6), "sample weights are all 0, so that no sample counts; leave them out"),
    ):
        with pytest.raises(DatasetError) as caught:
            split_of(pixels, (X, y, weights), "train")
        assert message in str(caught.value)
