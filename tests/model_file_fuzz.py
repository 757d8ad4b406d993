# ruff: noqa: E501 - tables of what is tried
"""Mutated model files, and what becomes of them: `scripts/fuzz_model_files.py`, and a small run of it as a test.

Containers are cut, flipped and rearranged, and every part of a model's configuration is changed: keys, types, sizes,
classes, calls. A file may be read and priced, or end in a ModelError of one line; anything else is a failure, as is
what takes long, takes much memory, or runs what the file names.
"""

from __future__ import annotations

import io
import json
import math
import random
import resource
import struct
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy
from keras import layers

from qsearch.energy.public import estimate_energy
from qsearch.errors import ModelError, QsearchError
from qsearch.layers import QConv2D, QDense
from qsearch.models import load_model

SLOW = 5.0
"""Seconds that nothing may take."""
MUCH = 500
"""Megabytes more than before."""
_PACKED = Path(__file__).parent / "models" / "keras2_files.npz"
_B = 10**9
_IMAGE = (8, 8, 3)


@dataclass(frozen=True)
class Case:
    """A file to try; the weights are of an architecture in a .json file."""

    told: str
    ending: str
    data: bytes
    weights: bytes | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of it: read, refused, or what is wrong with what qsearch did."""

    kind: str
    told: str
    seconds: float = 0.0
    megabytes: float = 0.0


@dataclass(frozen=True)
class Seed:
    """A whole model file in its parts."""

    ending: str
    config: Any
    data: bytes
    weights: bytes | None = None
    version: int = 3

    def with_config(self, config: Any, version: str | None = None) -> bytes:
        text = json.dumps(config)
        if self.ending == "json":
            return text.encode("utf-8", "surrogatepass")
        if self.ending == "keras":
            members = _members(self.data)
            members["config.json"] = text.encode("utf-8", "surrogatepass")
            return _zipped(list(members.items()))
        return _changed_hdf5(self.data, text, version)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as archive:
        warnings.simplefilter("ignore")  # the same name twice
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def _changed_hdf5(data: bytes, config: str, version: str | None = None) -> bytes:
    file = io.BytesIO(data)
    with h5py.File(file, "r+") as archive:
        del archive.attrs["model_config"]
        if len(config) < 60_000:
            archive.attrs["model_config"] = config
        else:  # beyond what an attribute may hold, unless it is a reference into the heap of variable texts
            archive.attrs.create("model_config", config, dtype=h5py.string_dtype())
        if version is not None:
            archive.attrs["keras_version"] = version
    return file.getvalue()


def _networks() -> Iterator[keras.Model]:
    x = inputs = keras.Input(_IMAGE, name="input")
    x = layers.Conv2D(4, 3, strides=2, activation="relu", name="conv")(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="depth")(x)
    x = layers.Add(name="add")([x, layers.BatchNormalization(name="norm")(y)])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = keras.Sequential([keras.Input((4,)), layers.Dense(6, activation="gelu", name="in1")], name="inner")(x)
    yield keras.Model(inputs, layers.Dense(3, activation="softmax", name="dense")(x), name="float")
    inputs = keras.Input((5, 3), name="input")
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True, name="lstm"), name="both")(inputs)
    x = layers.TimeDistributed(layers.Dense(4, name="inner"), name="times")(x)
    x = layers.MultiHeadAttention(2, 2, name="attention")(x, x)
    yield keras.Model(inputs, keras.ops.mean(layers.GRU(3, unroll=True, name="gru")(x), axis=-1), name="times")
    inputs = keras.Input(_IMAGE, name="input")
    x = QConv2D(4, 3, kernel_quantizer="quantized_bits(4,0,1)", bias_quantizer="quantized_po2(4)", name="qconv")(inputs)
    x = layers.Flatten(name="flat")(layers.UpSampling2D(2, name="up")(x))
    x = QDense(3, kernel_quantizer="ternary(alpha='auto')", name="qdense")(x)
    yield keras.Model(inputs, x, name="quantized")


def seeds() -> list[Seed]:
    """Small models in every format that is read; those of Keras 2 are files that it wrote."""
    found = []
    with tempfile.TemporaryDirectory() as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for model in _networks():
            folder = Path(name)
            for ending in ("keras", "h5"):
                model.save(folder / f"m.{ending}")
            model.save_weights(folder / "m.weights.h5")
            config = json.loads(model.to_json())
            found.append(Seed("keras", config, (folder / "m.keras").read_bytes()))
            data = (folder / "m.h5").read_bytes()
            with h5py.File(io.BytesIO(data)) as file:
                found.append(Seed("h5", json.loads(file.attrs["model_config"]), data))
            weights = (folder / "m.weights.h5").read_bytes()
            found.append(Seed("json", config, json.dumps(config).encode(), weights))
    with numpy.load(_PACKED) as files:
        for name in ("conv", "emb", "nested", "rnn", "seq", "state"):
            data = files[f"{name}/h5"].tobytes()
            with h5py.File(io.BytesIO(data)) as file:
                config = json.loads(file.attrs["model_config"])
            found.append(Seed("h5", config, data, version=2))
            found.append(Seed("json", {**config, "keras_version": "2.15.0"}, b"", data, 2))
    return found


_DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}, "registered_name": None}
_CELL = {"module": "keras.layers", "class_name": "LSTMCell", "config": {"units": 4}, "registered_name": None}
_ONES = {"module": "keras.initializers", "class_name": "Constant", "config": {"value": [[0.0] * 500] * 500}, "registered_name": None}  # fmt: skip
BOMBS: tuple[tuple[str, dict[str, Any], tuple[int, ...]], ...] = (
    ("Conv2D", {"filters": 4, "kernel_size": [10**6, 10**6]}, _IMAGE), ("Conv2D", {"filters": 4, "kernel_size": [10**6, 1]}, _IMAGE),
    ("Conv2D", {"filters": 10**12, "kernel_size": [3, 3]}, _IMAGE), ("Conv2D", {"filters": 2**31, "kernel_size": [1, 1]}, _IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": [10**6, 10**6], "padding": "same"}, _IMAGE), ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "strides": [0, 0]}, _IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "dilation_rate": [10**6, 10**6], "padding": "same"}, _IMAGE),
    ("Conv2D", {"filters": 4, "kernel_size": [3, 3], "strides": [_B, _B]}, _IMAGE), ("Conv1D", {"filters": 4, "kernel_size": [10**6], "padding": "causal"}, (8, 3)),
    ("Conv1D", {"filters": 4, "kernel_size": [3], "dilation_rate": [_B], "padding": "causal"}, (8, 3)), ("Conv3D", {"filters": 4, "kernel_size": [1000] * 3, "padding": "same"}, (8, 8, 8, 1)),
    ("Conv2DTranspose", {"filters": 4, "kernel_size": [3, 3], "strides": [10**6, 10**6]}, _IMAGE), ("DepthwiseConv2D", {"kernel_size": [3, 3], "depth_multiplier": _B}, _IMAGE),
    ("SeparableConv2D", {"filters": 4, "kernel_size": [10**5, 10**5], "padding": "same"}, _IMAGE), ("Dense", {"units": 2**31}, (8,)), ("Dense", {"units": -1}, (8,)),
    ("Dense", {"units": 1e308}, (8,)), ("EinsumDense", {"equation": "ab,bc->ac", "output_shape": [2**31]}, (8,)), ("Embedding", {"input_dim": 10**12, "output_dim": 10}, (8,)),
    ("MaxPooling2D", {"pool_size": [10**6, 10**6], "strides": [1, 1], "padding": "same"}, _IMAGE), ("MaxPooling2D", {"pool_size": [0, 0]}, _IMAGE),
    ("UpSampling2D", {"size": [_B, _B]}, _IMAGE), ("UpSampling2D", {"size": [10**5, 10**5], "interpolation": "bilinear"}, _IMAGE), ("UpSampling1D", {"size": 10**6}, (8, 3)),
    ("ZeroPadding2D", {"padding": [[_B, _B], [_B, _B]]}, _IMAGE), ("Cropping2D", {"cropping": [[_B, _B], [_B, _B]]}, _IMAGE), ("RepeatVector", {"n": 10**12}, (8,)),
    ("Reshape", {"target_shape": [_B, _B]}, (8,)), ("Permute", {"dims": [10**6]}, (8,)), ("Resizing", {"height": 10**6, "width": 10**6}, _IMAGE),
    ("RandomCrop", {"height": 10**6, "width": 10**6}, _IMAGE), ("RandomRotation", {"factor": [-1e300, 1e300]}, _IMAGE), ("MelSpectrogram", {"fft_length": 2048, "num_mel_bins": 10**7}, (16000,)),
    ("STFTSpectrogram", {"mode": "log", "frame_length": 2**16, "frame_step": 2**10, "fft_length": 2**16}, (2**20, 1)), ("LSTM", {"units": 2**31}, (8, 3)),
    ("LSTM", {"units": 4, "unroll": True}, (100_000, 3)), ("LSTM", {"units": 4}, (_B, 3)), ("ConvLSTM2D", {"filters": 4, "kernel_size": [10**4, 10**4], "padding": "same"}, (4, 8, 8, 1)),
    ("MultiHeadAttention", {"num_heads": 10**6, "key_dim": 10**6}, (8, 4)), ("Discretization", {"num_bins": _B}, (8,)), ("CategoryEncoding", {"num_tokens": 10**10}, (8,)),
    ("IntegerLookup", {"max_tokens": 10**12, "output_mode": "multi_hot", "vocabulary": [1, 2]}, (8,)), ("Normalization", {"mean": [0.0], "variance": [1.0]}, (_B,)),
    ("Normalization", {"axis": [1, 2, 3]}, (10**5, 10**5, 3)), ("Normalization", {"axis": 1, "mean": 0.0, "variance": 1.0}, (10**8, 3)), ("LayerNormalization", {"axis": [1, 2]}, (10**6, 10**6)),
    ("BatchNormalization", {}, (10**12,)), ("BatchNormalization", {"axis": 99}, _IMAGE), ("PReLU", {}, (10**6, 10**6)), ("Flatten", {}, (10**6, 10**6)),
    ("AdaptiveAveragePooling2D", {"output_size": [10**5, 10**5]}, _IMAGE), ("Dense", {"units": 4}, (10**12,)), ("Dense", {"units": 4, "kernel_initializer": _ONES}, (8,)),
    ("Dense", {"units": 4, "lora_rank": _B}, (8,)), ("qsearch>QDense", {"units": 4, "kernel_quantizer": "ternary(number_of_unrolls=1000000000)"}, (8,)),
    ("qsearch>QDense", {"units": 4, "kernel_quantizer": "quantized_bits(" + "[" * 5000}, (8,)), ("SpectralNormalization", {"power_iterations": _B, "layer": _DENSE}, (8,)),
    ("TimeDistributed", {"layer": _DENSE}, (10**6, 8)), ("RNN", {"cell": {**_CELL, "class_name": "StackedRNNCells", "config": {"cells": [_CELL] * 150}}}, (8, 3)),
    ("Pipeline", {"layers": []}, _IMAGE), ("RandAugment", {"num_ops": 10**7, "value_range": [0, 255], "factor": 0.5}, _IMAGE), ("AugMix", {"num_chains": 10**6, "chain_depth": 10**6}, _IMAGE),
    ("RandomGaussianBlur", {"kernel_size": [10**6 + 1, 10**6 + 1]}, _IMAGE), ("MaxNumBoundingBoxes", {"max_number": _B}, (8, 4)),
)  # fmt: skip
"""A layer alone behind an input: its class, its configuration, the shape of a sample."""


def bombs() -> Iterator[Case]:
    for name, options, shape in BOMBS:
        for form in ("keras 3", "keras 2"):
            told = f"{name} {str(options)[:80]} of {shape}, {form}"
            config = _alone(name, options, shape, form)
            empty = _empty(json.dumps(config), "3.15.1" if form == "keras 3" else "2.15.0")
            if form == "keras 3":
                members = [
                    ("metadata.json", b'{"keras_version": "3.15.1"}'),
                    ("config.json", json.dumps(config).encode()),
                ]
                yield Case(told, "keras", _zipped([*members, ("model.weights.h5", empty)]))
            else:
                yield Case(told, "h5", empty)


def _alone(name: str, options: dict[str, Any], shape: tuple[int, ...], form: str) -> Any:
    tensor = {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, *shape], "dtype": "float32", "keras_history": ["input", 0, 0]},
    }
    ends = {"input_layers": [["input", 0, 0]], "output_layers": [["x", 0, 0]]}
    if form == "keras 2":
        first = {
            "class_name": "InputLayer",
            "config": {"batch_input_shape": [None, *shape], "dtype": "float32", "name": "input"},
            "name": "input",
            "inbound_nodes": [],
        }
        layer = {
            "class_name": name.removeprefix("qsearch>"),
            "config": {"name": "x", **options},
            "name": "x",
            "inbound_nodes": [[["input", 0, 0, {}]]],
        }
        return {"class_name": "Functional", "config": {"name": "m", "layers": [first, layer], **ends}}
    first = {
        "module": "keras.layers",
        "class_name": "InputLayer",
        "config": {"batch_shape": [None, *shape], "dtype": "float32", "name": "input"},
        "registered_name": None,
        "name": "input",
        "inbound_nodes": [],
    }
    own = name.startswith("qsearch>")
    layer = {"module": "qsearch.layers.quantized" if own else "keras.layers", "class_name": name.removeprefix("qsearch>"), "config": {"name": "x", **options},
             "registered_name": name if own else None, "build_config": {"input_shape": [None, *shape]}, "name": "x", "inbound_nodes": [{"args": [tensor], "kwargs": {}}]}  # fmt: skip
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {"name": "m", "layers": [first, layer], **ends},
    }


def _empty(config: str, version: str) -> bytes:
    """An HDF5 file with a model and no weights."""
    file = io.BytesIO()
    with h5py.File(file, "w") as archive:
        archive.attrs.create("model_config", config, dtype=h5py.string_dtype())
        archive.attrs["keras_version"] = version
        group = archive.create_group("model_weights")
        group.attrs["layer_names"] = [b"input", b"x"]
        for name in ("input", "x"):
            group.create_group(name).attrs["weight_names"] = numpy.array([], "S1")
    return file.getvalue()


def cases(seed: int, marker: Path) -> Iterator[Case]:
    """Endless; the same for the same seed. What a file would run writes the marker."""
    chance = random.Random(seed)
    found = seeds()
    while True:
        one = chance.choice(found)
        if chance.random() < 0.2:
            yield _container_mutated(chance, one, found)
            continue
        config, told = one.config, []
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            config, what = _mutated(chance, config, marker)
            told.append(what)
        version = chance.choice((None, None, None, "2.4.0", "3.0.0", "4.0.0", ""))
        try:
            yield Case(f"{one.ending}: {'; '.join(told)}", one.ending, one.with_config(config, version), one.weights)
        except (ValueError, OSError, RecursionError):  # what cannot be written is no file
            continue


_SIZES = (
    0,
    -1,
    1,
    2,
    7,
    10**6,
    2**31,
    2**32,
    2**63,
    10**12,
    10**30,
    10**400,
    0.5,
    1e300,
    math.nan,
    math.inf,
    -math.inf,
)
_TEXTS = ("", "a", "\x1b[31mred", "\x00", "a\nb", "x" * 100_000, "\ud800", "../x", "relu", "float16", "float64", "int8", "string", "float99", "same", "channels_first",
          "[bold]", "ab,bc->ac", "quantized_bits(4,0,1)", "ternary(number_of_unrolls=1000000000)", "(" * 5000, "input", "nan", "__tuple__", "__keras_tensor__", "mixed_float16")  # fmt: skip
_CLASSES = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "Dense", "Functional", "Sequential", "InputLayer", "Nothing", "Layer", "Conv2D", "LSTM", "Add", "__lambda__", "__tensor__",
            "__numpy__", "__bytes__", "__ellipsis__", "__slice__", "__typespec__", "function", "Softmax", "StringLookup", "RNN", "TimeDistributed", "Identity", "Dropout", "Wrapper", "Model")  # fmt: skip
_MODULES = ("os", "builtins", "subprocess", "keras.utils", "keras.config", "keras.saving", "keras.src.utils.file_utils", "keras.layers", "keras", "keras.src.models.functional", "", None,
            "qsearch.imports", "numpy", "keras.ops", "keras.src.ops.numpy", "keras.src.legacy.saving.json_utils", "keras.distribution", 5)  # fmt: skip


def _places(part: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(part, dict):
        for key, value in part.items():
            yield from _places(value, (*path, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from _places(value, (*path, index))


def _at(part: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        part = part[key]
    return part


def _mutated(chance: random.Random, config: Any, marker: Path) -> tuple[Any, str]:
    config = json.loads(json.dumps(config))
    places = [path for path in _places(config) if path]
    if not places:
        return config, "nothing"
    path = chance.choice(places)
    above, key, value = _at(config, path[:-1]), path[-1], _at(config, path)
    kind = chance.random()
    if kind < 0.1:
        del above[key]
        return config, f"without {path}"
    if kind < 0.16 and isinstance(above, dict):
        above[chance.choice((*_TEXTS[:4], "class_name", "config", "module", "layers", f"{key}s"))] = above.pop(key)
        return config, f"{path} renamed"
    if kind < 0.24:
        other = _at(config, chance.choice(places))
        above[key] = json.loads(json.dumps(other))
        return config, f"{path} is another part"
    if kind < 0.28:
        above[key] = _nested(value, chance.choice((1, 2, 50, 300)), chance.random() < 0.5)
        return config, f"{path} nested"
    if kind < 0.32 and isinstance(value, list):
        above[key] = value * chance.choice((2, 3, 100)) if chance.random() < 0.7 else value[::-1]
        return config, f"{path} repeated"
    if kind < 0.42:
        above[key] = _foreign(chance, marker)
        return config, f"{path} is foreign"
    above[key] = new = _value(chance, key, value)
    return config, f"{path} = {str(new)[:60]!r}"


def _value(chance: random.Random, key: Any, value: Any) -> Any:
    if key == "class_name":
        return chance.choice(_CLASSES)
    if key == "module":
        return chance.choice(_MODULES)
    if isinstance(value, bool):
        return not value if chance.random() < 0.6 else chance.choice(_SIZES)
    if isinstance(value, int | float) and chance.random() < 0.8:
        return chance.choice((*_SIZES, str(value), [value], value + 1, -value))
    if isinstance(value, str) and chance.random() < 0.7:
        return chance.choice((*_TEXTS, value[:-1], value * 2))
    return chance.choice((*_SIZES, *_TEXTS, None, True, [], {}, [None], [[]], [10**6] * 4, [[1, 2], [3]], {"a": 1}))


def _nested(value: Any, depth: int, lists: bool) -> Any:
    for _ in range(depth):
        value = (
            [value]
            if lists
            else {"class_name": "Sequential", "module": "keras", "config": {"name": "n", "layers": [value]}}
        )
    return value


def _foreign(chance: random.Random, marker: Path) -> Any:
    """What would write the marker, were it called."""
    target = str(marker)
    return chance.choice(
        (
            {"module": "os", "class_name": "system", "config": {"command": f"touch {target}"}, "registered_name": None},
            {"module": "builtins", "class_name": "function", "config": "eval", "registered_name": "function"},
            {"module": "pathlib", "class_name": "Path", "config": target, "registered_name": None},
            {
                "module": "keras.utils",
                "class_name": "get_file",
                "config": {"fname": target, "origin": "file:///etc/hostname"},
                "registered_name": None,
            },
            {
                "module": "keras.config",
                "class_name": "enable_unsafe_deserialization",
                "config": {},
                "registered_name": None,
            },
            {
                "module": "keras.saving",
                "class_name": "load_model",
                "config": {"filepath": target},
                "registered_name": None,
            },
            {"class_name": "__lambda__", "config": {"code": "4wAAAAA=", "defaults": None, "closure": None}},
            {
                "module": "keras.layers",
                "class_name": "Lambda",
                "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wAAAAA="}}},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "TFSMLayer",
                "config": {"filepath": target, "name": "t"},
                "registered_name": None,
            },
            {
                "module": "keras.layers",
                "class_name": "StringLookup",
                "config": {"vocabulary": "/etc/passwd", "name": "s"},
                "registered_name": None,
            },
            {
                "class_name": "StringLookup",
                "config": {"vocabulary": "/etc/passwd", "name": "s"},
                "name": "s",
                "inbound_nodes": [],
            },
            {
                "class_name": "__typespec__",
                "spec_name": "Popen",
                "module": "subprocess",
                "config": [["touch", target]],
                "registered_name": None,
            },
            {"class_name": "__tensor__", "config": {"value": [[1.0]] * 3, "dtype": "float32"}},
            {"class_name": "__numpy__", "config": {"value": [[1.0], [1.0, 2.0]], "dtype": "float32"}},
        )
    )


def _container_mutated(chance: random.Random, seed: Seed, others: list[Seed]) -> Case:
    data, weights = seed.data, seed.weights
    if weights is not None and (chance.random() < 0.5 or not data):
        data = data or json.dumps(seed.config).encode()
        other = chance.choice([one.weights or one.data for one in others if one.weights])
        weights = other if chance.random() < 0.2 else _broken(chance, weights)
        return Case("json: weights", "json", data, weights)
    if seed.ending != "keras" or chance.random() < 0.3:
        return Case(f"{seed.ending}: bytes", seed.ending, _broken(chance, data), weights)
    members = _members(data)
    name = chance.choice(list(members))
    kind = chance.randrange(7)
    if kind == 0:
        del members[name]
    elif kind == 1:
        members[name] = _broken(chance, members[name])
    elif kind == 2:
        other = chance.choice([one for one in others if one.ending == "keras"])
        members[name] = _members(other.data)[chance.choice(("config.json", "metadata.json", "model.weights.h5"))]
    elif kind == 3:
        odd = (
            "../x",
            "/x",
            "a\\b",
            "",
            "x/" * 2000,
            "é\udcff"[:1],
            "config.json/",
            "\x1b[31m",
            "model.weights.h5/x",
            "C:x",
            "CON",
        )
        members[chance.choice(odd)] = b"x"
    elif kind == 4:
        pairs = [*members.items(), (name, _broken(chance, members[name]))]
        return Case("keras: the same name twice", "keras", _zipped(pairs))
    elif kind == 5:
        members["metadata.json"] = chance.choice(
            (b"[]", b"null", b"{", b'{"keras_version": 5}', b'{"keras_version": "2.9"}', b"[" * 100_000)
        )
    else:
        return Case(
            "keras: sizes that lie", "keras", _lying(chance, _zipped(list(members.items()), zipfile.ZIP_DEFLATED))
        )
    return Case("keras: members", "keras", _zipped(list(members.items())))


def _broken(chance: random.Random, data: bytes) -> bytes:
    if chance.random() < 0.4 or not data:
        return data[: chance.randrange(len(data) + 1)]
    found = bytearray(data)
    for _ in range(chance.choice((1, 4, 30, 500))):
        found[chance.randrange(len(found))] = chance.randrange(256)
    return bytes(found)


def _lying(chance: random.Random, data: bytes) -> bytes:
    """An archive whose list of contents has other sizes than what is in it."""
    found = bytearray(data)
    start = 0
    while (start := found.find(b"PK\x01\x02", start)) >= 0:
        if chance.random() < 0.5:
            struct.pack_into(
                "<I", found, start + chance.choice((20, 24)), chance.choice((0, 1, 10**6, 2**31, 2**32 - 1))
            )
        start += 4
    return bytes(found)


def tried(case: Case, folder: Path, marker: Path) -> Outcome:
    """Load it, and price it where it can be read."""
    path = folder / f"m.{case.ending}"
    path.write_bytes(case.data)
    weights = None
    if case.weights is not None:
        weights = folder / "w.weights.h5"
        weights.write_bytes(case.weights)
    before, start = _megabytes(), time.monotonic()
    try:
        kind, told = _read(path, weights)
    except Exception as error:  # what the fuzzer looks for
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else ""
        kind, told = "traceback", f"{type(error).__name__} at {place}: {str(error)[:300]}"
    seconds, more = time.monotonic() - start, _megabytes() - before
    if marker.exists():
        marker.unlink()
        kind = "code was run"
    elif kind in ("read", "refused") and seconds > SLOW:
        kind = "slow"
    elif kind in ("read", "refused") and more > MUCH:
        kind = "much memory"
    return Outcome(kind, told, seconds, more)


def _read(path: Path, weights: Path | None) -> tuple[str, str]:
    try:
        model = load_model(path, weights=weights)
    except ModelError as error:
        return _refused(str(error))
    try:
        total = estimate_energy(model, reference="int8").total
    except QsearchError as error:
        return _refused(str(error))
    return ("read", "") if math.isfinite(total) else ("not finite", f"it costs {total}")


def _refused(message: str) -> tuple[str, str]:
    if len(message) > 2_500:
        return "long", f"{len(message):,} characters: {message[:200]!r}"
    if not message.isprintable():
        return "not printable", repr(message)[:300]
    return "refused", message


def _megabytes() -> float:
    """The most that this process has taken so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1 << 20 if sys.platform == "darwin" else 1 << 10)
