"""Models in `.h5` files that Keras 2 or QKeras wrote: the graph rebuilt call by call, then the weights in order."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy

from qsearch.errors import ModelError, reason_of, shown
from qsearch.models.declared import check_declared, stored_bytes
from qsearch.models.keras2_layers import NotRebuiltError, layer_of
from qsearch.models.keras2_names import with_plain_names

_MODELS = ("Functional", "Model", "Sequential")
_Stored = Mapping[str, Any]


def load_keras2(path: Path, stored: Any, allow_code: bool, weights: Path | None = None) -> keras.Model:
    """The model of a `.h5` or `.json` file with the configuration `stored`.

    Args:
        allow_code: make Lambda layers, which run code from the file.
        weights: the file that holds them, where it is another one.

    Raises:
        ModelError: naming the layer that cannot be rebuilt or whose weights do not fit.
    """
    held = weights or path
    if not h5py.is_hdf5(held):
        raise ModelError(f"{held}: is no HDF5 file; save the weights again with model.save_weights('{held.stem}.h5')")
    stored = with_plain_names(stored)
    check_declared(path, lambda: _Builder(path, allow_code).model(deepcopy(stored)), stored_bytes(held))
    builder = _Builder(path, allow_code)
    model = builder.model(stored)
    _load_weights(held, stored, builder.made)
    return model


class _Builder:
    def __init__(self, path: Path, allow_code: bool) -> None:
        self.path = path
        self.allow_code = allow_code
        self.made: dict[int, Any] = {}
        """Layers and models by the identity of the stored item that they were made from."""

    def model(self, stored: _Stored) -> keras.Model:
        config = stored["config"]
        if stored["class_name"] == "Sequential":
            return self._sequential(stored, config)
        return _Graph(self, config).model()

    def layer(self, item: _Stored) -> Any:
        if id(item) not in self.made:
            name = item["config"].get("name", item.get("name")) if isinstance(item["config"], Mapping) else "model"
            try:
                is_model = item["class_name"] in _MODELS
                self.made[id(item)] = self.model(item) if is_model else layer_of(item, self.allow_code)
            except NotRebuiltError as error:
                raise ModelError(f"{self.path}: layer {name!r} {error}") from None
        return self.made[id(item)]

    def _sequential(self, stored: _Stored, config: Any) -> keras.Model:
        items = config if isinstance(config, list) else config["layers"]  # a bare list in files of Keras 2.1
        layers: list[Any] = []
        if items and items[0]["class_name"] != "InputLayer":
            shape = _input_shape(items[0]["config"]) or (stored.get("build_input_shape") or _build_shape(config))
            if shape is None:
                raise ModelError(f"{self.path}: the Sequential model was saved before it was built: no input shape")
            layers.append(keras.Input(batch_shape=tuple(shape), dtype=_input_dtype(items[0])))
        for item in items:
            if item["class_name"] == "InputLayer":
                layers.append(_input(item))
            else:
                layers.append(self.layer(item))
        name = None if isinstance(config, list) else config.get("name")
        return keras.Sequential(layers, name=name)


def _build_shape(config: Any) -> Any:
    return config.get("build_input_shape") if isinstance(config, Mapping) else None


def _input_shape(config: _Stored) -> Any:
    if config.get("batch_input_shape") is not None:
        return config["batch_input_shape"]
    # the first layer of a Sequential model may be a model or a wrapper around the layer that knows it
    inner = config.get("layers") or ([config["layer"]] if isinstance(config.get("layer"), Mapping) else [])
    return _input_shape(inner[0]["config"]) if inner else None


def _input_dtype(item: _Stored) -> str:
    dtype = item["config"].get("dtype", "float32") if isinstance(item["config"], Mapping) else "float32"
    return dtype if isinstance(dtype, str) else "float32"


def _input(item: _Stored) -> Any:
    config = item["config"]
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    return keras.Input(batch_shape=tuple(shape), dtype=config.get("dtype"), name=config["name"])


class _Graph:
    """A functional model: calls are made as soon as the tensors that they take are there."""

    def __init__(self, builder: _Builder, config: _Stored) -> None:
        self.builder = builder
        self.config = config
        self.items = {_name(item): item for item in config["layers"]}
        self.outputs: dict[str, list[list[Any]]] = {name: [] for name in self.items}
        """For each layer, call by call, the tensors that it gave."""
        self.first = {name: self._first_index(name) for name in self.items}

    def model(self) -> keras.Model:
        waiting: list[tuple[str, Any]] = []
        for name, item in self.items.items():
            if item["class_name"] == "InputLayer":
                self.outputs[name].append([_input(item)])
            else:
                waiting += [(name, node) for node in item["inbound_nodes"]]
        while waiting:
            later = [(name, node) for name, node in waiting if not self._call(name, node)]
            if len(later) == len(waiting):
                raise ModelError(f"{self.builder.path}: layer {later[0][0]!r} takes a tensor that no layer gives")
            waiting = later
        inputs, outputs = (self._ends(self.config[key]) for key in ("input_layers", "output_layers"))
        return keras.Model(inputs, outputs, name=self.config.get("name"))

    def _first_index(self, name: str) -> int:
        """The index of a layer's first call: 1 for a nested model, whose own construction counts as a call."""
        if self.items[name]["class_name"] not in _MODELS:
            return 0
        used = [reference[1] for reference in _references(self.config) if reference[0] == name]
        return min(used, default=0)

    def _call(self, name: str, node: Any) -> bool:
        if isinstance(node, Mapping):
            raise ModelError(f"{self.builder.path}: layer {name!r} is called in a form that Keras 2 does not write")
        entries = _entries(node)
        keywords: dict[str, Any] = {}
        for entry in entries:
            keywords |= entry[3] if len(entry) > 3 else {}
        try:
            tensors = [self._tensor(entry) for entry in entries]
            arguments = {key: self._argument(value) for key, value in keywords.items() if value is not None}
        except LookupError:
            return False
        layer = self.builder.layer(self.items[name])
        if isinstance(layer, keras.layers.RNN | keras.layers.Bidirectional) and len(tensors) > 1:
            arguments["initial_state"], tensors = tensors[1:], tensors[:1]
        arguments.pop("training", None)
        try:
            given = layer(tensors if len(tensors) > 1 else tensors[0], **arguments)
        except (TypeError, ValueError) as error:
            raise ModelError(f"{self.builder.path}: layer {name!r} cannot be called: {reason_of(error)}") from None
        self.outputs[name].append(keras.tree.flatten(given))
        return True

    def _tensor(self, reference: Any) -> Any:
        """LookupError where the call has not been made yet."""
        name, call, place = reference[:3]
        return self.outputs[name][call - self.first[name]][place]

    def _argument(self, value: Any) -> Any:
        if _is_reference(value, self.items):
            return self._tensor(value)
        if isinstance(value, list):
            return [self._argument(item) for item in value]
        return value

    def _ends(self, stored: Any) -> Any:
        if _is_reference(stored, self.items):
            return self._tensor(stored)
        if isinstance(stored, Mapping):
            return {key: self._ends(item) for key, item in stored.items()}
        tensors = [self._ends(item) for item in stored]
        return tensors[0] if len(tensors) == 1 else tensors


def _name(item: _Stored) -> str:
    return str(item.get("name") or item["config"]["name"])


def _is_reference(value: Any, names: Mapping[str, Any]) -> bool:
    return isinstance(value, list) and len(value) in (3, 4) and isinstance(value[0], str) and value[0] in names


def _entries(node: Any) -> list[Any]:
    """A node's tensors: a list of [name, call, place, keywords]."""
    return [node] if node and isinstance(node[0], str) else list(node)


def _references(part: Any) -> list[Any]:
    """All [name, call, place] of a configuration, nested models left out."""
    references: list[Any] = []
    if isinstance(part, Mapping):
        for key, value in part.items():
            if key == "layers":
                for item in value:
                    references += _references(item.get("inbound_nodes", []))
            elif key != "config":
                references += _references(value)
    elif isinstance(part, list):
        if len(part) >= 3 and isinstance(part[0], str) and isinstance(part[1], int):
            references.append(part)
            part = part[3:]
        for item in part:
            references += _references(item)
    return references


def _load_weights(path: Path, stored: _Stored, made: Mapping[int, Any]) -> None:
    with h5py.File(path, "r") as file:
        groups = file.get("model_weights", file)
        if "layer_names" not in groups.attrs:
            raise ModelError(
                f"{path}: holds weights in another form than Keras 2's .h5; save them with that version as "
                f"{path.name.partition('.')[0]}.h5, without .weights before .h5"
            )
        for item in _items(stored):
            if id(item) not in made:
                continue
            name = _name(item)
            variables = [v for part in _variables(item, made) for v in part]
            if name not in groups:
                if variables:
                    raise ModelError(f"{path}: layer {name!r} has no weights in the file")
                continue
            group = groups[name]
            names = [_text(text) for text in group.attrs.get("weight_names", ())]
            _assign(path, name, variables, [numpy.asarray(group[text]) for text in names])


def _items(stored: _Stored) -> list[_Stored]:
    config = stored["config"]
    return list(config if isinstance(config, list) else config["layers"])


def _variables(item: _Stored, made: Mapping[int, Any]) -> tuple[list[Any], list[Any]]:
    """(trainable, other) variables of a layer, or of a nested model in the order of its stored layers."""
    layer = made.get(id(item))
    if layer is None:
        return [], []
    if item["class_name"] not in _MODELS:
        return list(layer.trainable_variables), [v for v in layer.non_trainable_variables if not _is_seed(v)]
    parts = [_variables(inner, made) for inner in _items(item)]
    return [v for part in parts for v in part[0]], [v for part in parts for v in part[1]]


def _is_seed(variable: Any) -> bool:
    return "seed_generator" in variable.path


def _assign(path: Path, name: str, variables: list[Any], values: list[Any]) -> None:
    shapes = [tuple(value.shape) for value in values]
    expected = [tuple(variable.shape) for variable in variables]
    if shapes != expected:
        raise ModelError(
            f"{path}: layer {name!r} needs weights of shapes {shown(expected)}, the file has {shown(shapes)}"
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _text(text: Any) -> str:
    return text.decode() if isinstance(text, bytes) else str(text)
