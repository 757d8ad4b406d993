# ruff: noqa: E501 - tables of what is tried
"""Small model files in every format that is read, and layers of absurd sizes: what the fuzzer of model files starts from."""

from __future__ import annotations

import io
import json
import tempfile
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

from qsearch.layers import QConv2D, QDense

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
            members = members_of(self.data)
            members["config.json"] = text.encode("utf-8", "surrogatepass")
            return zipped(list(members.items()))
        return _changed_hdf5(self.data, text, version)


def members_of(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
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
                yield Case(told, "keras", zipped([*members, ("model.weights.h5", empty)]))
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
