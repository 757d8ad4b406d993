"""`limit:`, `tune_filters:` and `layer_indexes:` applied to a model -> its search space."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qsearch.config import Config, LoadedConfig
from qsearch.config.check import unmet
from qsearch.config.limits import Group, activation_limit, is_class, key_for, patterns, weight_limit, within
from qsearch.config.names import QUANTIZED_CLASSES
from qsearch.config.schema import IndexRange
from qsearch.config.yaml_source import Path
from qsearch.errors import ConfigError, did_you_mean
from qsearch.graph.model_graph import (
    Activation,
    BatchNormalization,
    Convolution,
    Dense,
    DepthwiseConvolution,
    ModelGraph,
    Node,
    SeparableConvolution,
    TransposedConvolution,
)
from qsearch.plan import Role
from qsearch.quantize.activations import automatic, computes
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import (
    FILTER_FACTORS,
    LEARNING_RATE,
    LEARNING_RATE_STEPS,
    Choice,
    Dimension,
    SearchedLayer,
    SearchSpace,
)
from qsearch.search.widths import Widths, filters_of, tunable_widths


def search_space(graph: ModelGraph, layers: Sequence[str], loaded: LoadedConfig) -> SearchSpace:
    """The search space of a model.

    Args:
        graph: the reference model.
        layers: names of its layers in Keras' order, which `layer_indexes` counts.
        loaded: the configuration.

    Raises:
        ConfigError: a pattern or index that fits no layer, or no layer left to quantize.
    """
    return _Builder(graph, layers, loaded).build()


def indexed_layers(model: str, layers: Sequence[str], loaded: LoadedConfig) -> tuple[str, ...]:
    """The layers that `layer_indexes` admits, in Keras' order.

    Raises:
        ConfigError: an index that the model does not have, or a range without a layer.
    """
    indexes, count = loaded.config.run.layer_indexes, len(layers)
    if indexes is None:
        return tuple(layers)
    if isinstance(indexes, IndexRange):
        start, stop = indexes.start, count if indexes.stop is None else indexes.stop
        positions = range(start + count * (start < 0), stop + count * (stop < 0))
        chosen = tuple(layers[index] for index in positions if 0 <= index < count)
        if not chosen:
            raise loaded.error(
                ("run", "layer_indexes"), f"selects no layer of {model}, which has layers 0 to {count - 1}"
            )
        return chosen
    for position, index in enumerate(indexes):
        if not 0 <= index < count:
            path: Path = ("run", "layer_indexes", position)
            raise loaded.error(path, f"found {index}, allowed: 0 to {count - 1} (layers of {model})")
    return tuple(layers[index] for index in sorted(set(indexes)))


class _Builder:
    """Collects dimensions and layers in one walk over the model."""

    def __init__(self, graph: ModelGraph, layers: Sequence[str], loaded: LoadedConfig) -> None:
        self.graph = graph
        self.order = layers
        self.loaded = loaded
        self.config: Config = loaded.config
        self.dimensions: dict[str, Dimension] = {}
        self.layers: list[SearchedLayer] = []
        self.notes: list[str] = []
        nodes = {node.name: node for node in graph.nodes}
        admitted = (name for name in indexed_layers(graph.name, layers, loaded) if name in nodes)
        self.searched = {
            name: nodes[name]
            for name in admitted
            if name not in self.config.run.frozen_layers
            and key_for(self.config.limit, name, nodes[name].class_name) is not None
        }
        self.widths = self._tunable()

    def build(self) -> SearchSpace:
        self._check_names()
        for node in self.searched.values():
            self._add(node)
        if not self.layers:
            allowed = ", ".join(dict.fromkeys(node.class_name for node in self.graph.nodes if self._searchable(node)))
            raise self.loaded.error(("limit",), f"no layer would be quantized; classes of {self.graph.name}: {allowed}")
        if self.config.run.learning_rate_optimizer:
            self._dimension(LEARNING_RATE, tuple(range(LEARNING_RATE_STEPS)))
        return SearchSpace(tuple(self.dimensions.values()), tuple(self.layers), tuple(self.notes))

    def _check_names(self) -> None:
        """Every pattern must match a layer, every named layer must exist."""
        problems: list[ConfigError] = []
        for pattern in patterns(self.config.limit):
            if not any(re.match(pattern, name) for name in self.order):
                near = did_you_mean(re.sub(r"\W", "", pattern), (*QUANTIZED_CLASSES, *self.order))
                problems.append(
                    self.loaded.key_error(("limit", pattern), f"matches no layer of {self.graph.name}{near}")
                )
        for index, name in enumerate(self.config.run.frozen_layers):
            if name not in self.order:
                near = did_you_mean(name, self.order)
                problems.append(
                    self.loaded.error(("run", "frozen_layers", index), f"{self.graph.name} has no layer {name!r}{near}")
                )
        if problems:
            raise ConfigError("\n".join(str(problem) for problem in problems))

    def _searchable(self, node: Node) -> bool:
        return node.class_name in QUANTIZED_CLASSES

    def _add(self, node: Node) -> None:
        key = key_for(self.config.limit, node.name, node.class_name)
        if key is None:
            return
        if not self._searchable(node):
            if node.class_name == key:
                self.notes.append(f"{node.name}: {node.class_name} layers stay unquantized in this version")
            return
        match node.operation:
            case Dense(use_bias=bias, activation=function) | Convolution(use_bias=bias, activation=function):
                self._weights(node, key, bias, function)
            case DepthwiseConvolution(use_bias=bias, activation=function):
                self._weights(node, key, bias, function)
            case TransposedConvolution(use_bias=bias, activation=function):
                self._weights(node, key, bias, function)
            case SeparableConvolution(use_bias=bias, activation=function):
                self._weights(node, key, bias, function)
            case Activation(function=function):
                self._activation(node, key, function)
            case BatchNormalization():
                self.layers.append(SearchedLayer(node.name, key))
            case _:
                pass

    def _weights(self, node: Node, key: str, bias: bool, function: str) -> None:
        limits = self.config.limit
        dimensions = {Role.KERNEL: self._quantizers(node, key, "kernel", weight_limit(limits, key, 0))}
        if isinstance(node.operation, SeparableConvolution):
            options = self.dimensions[dimensions[Role.KERNEL]].options
            name = dimensions[Role.KERNEL].replace("kernel_quantizer", "pointwise_quantizer")
            dimensions[Role.POINTWISE] = self._dimension(name, options)
        if bias:
            dimensions[Role.BIAS] = self._quantizers(node, key, "bias", weight_limit(limits, key, 1))
        fixed: dict[Role, QuantizerSpec] = {}
        if function not in ("linear", "softmax"):
            self._function(node, key, function, weight_limit(limits, key, 2), dimensions, fixed)
        width = self._width(node.name)
        self.layers.append(
            SearchedLayer(
                node.name,
                key,
                dimensions,
                fixed,
                filters_of(node) if width is not None else None,
                width,
                self.widths.tied.get(node.name, ()),
            )
        )

    def _activation(self, node: Node, key: str, function: str) -> None:
        if function == "softmax":
            return
        dimensions: dict[Role, str] = {}
        fixed: dict[Role, QuantizerSpec] = {}
        self._function(node, key, function, activation_limit(self.config.limit, key), dimensions, fixed)
        if dimensions or fixed:
            self.layers.append(SearchedLayer(node.name, key, dimensions, fixed))

    def _function(
        self,
        node: Node,
        key: str,
        function: str,
        limit: int | tuple[QuantizerSpec, ...],
        dimensions: dict[Role, str],
        fixed: dict[Role, QuantizerSpec],
    ) -> None:
        """Choose how an activation function is quantized: searched, automatic, or not at all."""
        if function == "linear":
            dimensions[Role.ACTIVATION] = self._quantizers(node, key, "linear", limit)
            return
        options = within(self.config.quantization_config.activation, limit)
        if isinstance(limit, int):
            options = tuple(spec for spec in options if computes(spec, function))
        spec = automatic(function, self.config.run.activation_bits)
        if options and (isinstance(limit, tuple) or spec is not None):
            dimensions[Role.ACTIVATION] = self._named(node, key, "activation", options)
        elif function == "relu":
            raise self._unmet(key, "activation", limit)
        elif spec is not None:
            fixed[Role.ACTIVATION] = spec
            self.notes.append(f"{node.name}: {function} becomes {spec} (activation_bits), as no candidate computes it")
        else:
            self.notes.append(f"{node.name}: activation {function!r} has no quantized form and stays as it is")

    def _quantizers(self, node: Node, key: str, group: Group, limit: int | tuple[QuantizerSpec, ...]) -> str:
        options = within(self.config.quantization_config.group(group), limit)
        if not options:
            raise self._unmet(key, group, limit)
        return self._named(node, key, group, options)

    def _unmet(self, key: str, group: Group, limit: int | tuple[QuantizerSpec, ...]) -> ConfigError:
        assert isinstance(limit, int)  # a list of quantizers is never empty: the configuration's check
        return self.loaded.error(("limit", key), unmet(self.config.quantization_config, group, limit))

    def _named(self, node: Node, key: str, group: Group, specs: tuple[QuantizerSpec, ...]) -> str:
        """The dimension of a choice: the pattern's own where a pattern governs, else the layer's."""
        head = node.name if is_class(key) else key
        options = tuple(dict.fromkeys(str(spec) for spec in specs))
        name = f"{head}_{group}_quantizer"
        if name in self.dimensions and self.dimensions[name].options != options:
            name = f"{head}_{node.name}_{group}_quantizer"
        return self._dimension(name, options)

    def _dimension(self, name: str, options: tuple[Choice, ...]) -> str:
        self.dimensions.setdefault(name, Dimension(name, options))
        return name

    def _tunable(self) -> Widths:
        """The layers whose filters are searched."""
        run = self.config.run
        if run.tune_filters == "none":
            return Widths({}, {})
        exceptions = run.tune_filters_exceptions
        wanted = [
            name
            for name, node in self.searched.items()
            if filters_of(node) is not None and not (exceptions and re.search(exceptions, name))
        ]
        return tunable_widths(self.graph, wanted)

    def _width(self, name: str) -> str | None:
        """The dimension that chooses a layer's width: one for all, or for each layer and those tied to it."""
        if name in self.widths.kept:
            self.notes.append(f"{name}: {self.widths.kept[name]}")
        if name not in self.widths.tied:
            return None
        whole = self.config.run.tune_filters == "block"
        return self._dimension(
            "network_filters" if whole else f"network_filters_{self.widths.tied[name][0]}", FILTER_FACTORS
        )
