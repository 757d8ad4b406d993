"""Memory that is shared with TensorFlow, and files that are read into it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy
import pytest

from qsearch.datasets.dataset import Split
from qsearch.datasets.memory import ALIGNMENT, aligned_empty, converted, rows_of, shared
from qsearch.datasets.npz import arrays_in
from qsearch.errors import DatasetError


def aligned(array: Any) -> bool:
    return bool(array.ctypes.data % ALIGNMENT == 0)


@pytest.mark.parametrize("kind", ["uint8", "int32", "int64", "float32"])
def test_large_arrays_are_lent_and_others_given(kind: str) -> None:
    array = aligned_empty((512, 4096), kind)
    array[...] = numpy.arange(512)[:, None] % 100
    lent = shared({"x": array, "y": (array[:4], None), "batch_size": 32})
    assert keras.ops.is_tensor(lent["x"])
    assert lent["y"][0] is not array and isinstance(lent["y"][0], numpy.ndarray)
    assert lent["y"][1] is None and lent["batch_size"] == 32
    array[7, 7] = 101  # seen by the tensor, so that there is no copy
    assert numpy.asarray(lent["x"])[7, 7] == 101


def test_what_cannot_be_lent_is_given_as_it_is() -> None:
    array = aligned_empty((2048, 1024), "float32")
    array[...] = 0
    frozen = array.view()
    frozen.flags.writeable = False
    memory = numpy.zeros(array.nbytes + ALIGNMENT, numpy.uint8)
    off = (-memory.ctypes.data + 4) % ALIGNMENT
    for each in (
        array.T,
        array[:, :512],
        array.astype(">f4"),
        frozen,
        array.astype(bool),
        memory[off : off + array.nbytes].view("float32"),
    ):
        assert shared(each) is each
    dataset = object()
    assert shared({"x": dataset})["x"] is dataset


def test_lent_arrays_train_as_given_ones_do() -> None:
    rng = numpy.random.default_rng(0)
    x = converted(rng.normal(size=(300, 1000)), numpy.float32)
    y = rng.integers(0, 3, 300)
    found = []
    for given in ({"x": x, "y": y}, shared({"x": x, "y": y})):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((1000,)), keras.layers.Dense(3, activation="softmax")])
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.fit(**given, batch_size=32, epochs=2, verbose=0)
        found.append([*model.get_weights(), model.predict(given["x"], verbose=0)])
    for one, other in zip(*found, strict=True):
        assert numpy.array_equal(one, other)


def test_parts_of_a_split() -> None:
    x = numpy.arange(24, dtype=">i4").reshape(6, 4)
    split = Split(x, x[:, 0] > 8, None, {"file": numpy.array(list("abcdef"))})
    part = split.part(numpy.array([4, 1]))
    assert numpy.array_equal(part.x, x[[4, 1]]) and aligned(part.x)
    assert part.y.tolist() == [True, False]
    assert part.extra["file"].tolist() == ["e", "b"]
    assert numpy.shares_memory(split.first(2).x, x)
    assert numpy.array_equal(rows_of(x, slice(1, 3)), x[1:3])


@pytest.mark.parametrize("save", [numpy.savez, numpy.savez_compressed])
@pytest.mark.parametrize("kind", ["bool", "uint8", ">i4", "int64", "float16", "float32", ">f8"])
def test_files_are_read_into_it(save: Any, kind: str, tmp_path: Path) -> None:
    x = numpy.random.default_rng(0).integers(0, 100, (700, 3, 900)).astype(kind)
    save(tmp_path / "d.npz", x_train=x, x_test=x[:0], x_column=numpy.asfortranarray(x[:, 0]), x_name=numpy.array(["a"]))
    found = arrays_in(str(tmp_path / "d.npz"), ["x_"], "d.npz")
    read = found["x_train"]
    assert read is not None and aligned(read) and read.dtype.isnative
    assert read.dtype == (numpy.float32 if x.dtype.kind == "f" else x.dtype.newbyteorder("="))
    assert numpy.array_equal(read, x)
    assert numpy.array_equal(found["x_column"], x[:, 0])
    assert found["x_test"] is not None and found["x_test"].shape == (0, 3, 900)


def test_files_that_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    numpy.savez(path, x_train=numpy.arange(100_000), y_train=numpy.arange(3))
    whole = path.read_bytes()
    path.write_bytes(whole[:1000] + b"wrong" + whole[1005:])
    with pytest.raises(DatasetError, match=r"d\.npz: cannot be read as a \.npz file of plain arrays \(Bad CRC"):
        arrays_in(str(path), ["x"], "d.npz")
    path.write_bytes(whole[:1000])
    with pytest.raises(DatasetError, match=r"cannot be read as a \.npz file of plain arrays"):
        arrays_in(str(path), ["x"], "d.npz")
    numpy.savez(path, x_train=numpy.array([[1], [1, 2]], dtype=object))
    with pytest.raises(DatasetError, match="pad rows of different lengths to one"):
        arrays_in(str(path), ["x"], "d.npz")


@pytest.mark.parametrize(
    ("version", "header", "told"),
    [
        (1, b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4), }", r"has the shape \(-1, 4\)"),
        (2, b" " * 20_000, "a header of 20,000 bytes"),
    ],
)
def test_headers_that_no_array_has(tmp_path: Path, version: int, header: bytes, told: str) -> None:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY" + bytes([version, 0]) + length + header + bytes(32))
    with pytest.raises(DatasetError, match=told):
        arrays_in(str(tmp_path / "d.npz"), ("x_train",), "d.npz")
