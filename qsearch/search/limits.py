"""`limit:`, `tune_filters:` and `layer_indexes:` applied to a model -> its search space."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from qsearch.config import Config, LoadedConfig
from qsearch.config.layer_indexes import IndexRange
from qsearch.config.limits import ACTIVATION, LINEAR, activation_limit, key_for, patterns, weight_limit
from qsearch.config.names import LIMIT_CLASSES
from qsearch.config.yaml_source import Path
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.layers.table import QUANTIZED_CLASSES
from qsearch.plan import NO_QUANTIZERS, Fold, QuantizationPlan, Role, beside, output_layer
from qsearch.search.bottlenecks import linear_outputs
from qsearch.search.choices import Choices, Part
from qsearch.search.space import (
    FILTER_FACTORS,
    LEARNING_RATE,
    LEARNING_RATE_STEPS,
    SearchedLayer,
    SearchSpace,
    Unsearched,
)
from qsearch.search.unsearched import listed
from qsearch.search.widths import Widths, filters_of, tunable_widths


def search_space(
    graph: ModelGraph,
    layers: Sequence[str],
    loaded: LoadedConfig,
    base: QuantizationPlan = NO_QUANTIZERS,
    folds: Mapping[str, str] | None = None,
) -> SearchSpace:
    """The search space of a model.

    Args:
        graph: the reference model.
        layers: names of its layers in Keras' order, which `layer_indexes` counts.
        loaded: the configuration.
        base: the quantizers that the model has from the start.
        folds: by layer, the name of the batch normalization that can become part of it, where that is wanted.

    Raises:
        ConfigError: a pattern or index that fits no layer, a limit that matches only layers that cannot be quantized,
            or no layer left to quantize.
    """
    return _Builder(graph, layers, loaded, base, folds or {}).build()


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
        first, end = start + count * (start < 0), stop + count * (stop < 0)
        chosen = tuple(layers[max(first, 0) : max(end, 0)])
        if not chosen:
            raise loaded.error(
                ("run", "layer_indexes"), f"selects no layer of {model}, which has layers 0 to {count - 1}"
            )
        return chosen
    if not indexes:
        raise loaded.error(("run", "layer_indexes"), f"found an empty list, allowed: 0 to {count - 1}; or leave it out")
    for position, index in enumerate(indexes):
        if not 0 <= index < count:
            path: Path = ("run", "layer_indexes", position)
            raise loaded.error(path, f"found {index}, allowed: 0 to {count - 1} (layers of {model})")
    return tuple(layers[index] for index in sorted(set(indexes)))


class _Builder:
    """Collects choices and layers in one walk over the model."""

    def __init__(
        self,
        graph: ModelGraph,
        layers: Sequence[str],
        loaded: LoadedConfig,
        base: QuantizationPlan,
        folds: Mapping[str, str],
    ) -> None:
        self.graph, self.loaded, self.base = graph, loaded, base
        self.config: Config = loaded.config
        self.choices = Choices(loaded)
        self.layers: list[SearchedLayer] = []
        self.nodes = {node.layer: node for node in reversed(graph.nodes)}
        operations = [node.layer for node in graph.nodes if node.layer not in layers]
        self.order = list(dict.fromkeys((*layers, *operations)))
        # raw operations have no index in Keras
        admitted = {*indexed_layers(graph.name, layers, loaded)} | {*operations}
        if self.config.run.layer_indexes is not None:
            admitted -= {*operations}
        self.reasons = {name: "outside of run.layer_indexes" for name in self.order if name not in admitted}
        self.reasons |= dict.fromkeys(self.config.run.frozen_layers, "in run.frozen_layers")
        self.keys: dict[str, str] = {}
        for name in self.order:
            key = key_for(self.config.limit, name, *self.nodes[name].classes) if name in self.nodes else None
            if key is not None and name not in self.reasons:
                self.keys[name] = key
        self.searched = [name for name in self.keys if self._obstacle(self.nodes[name]) is None]
        self.folds = {name: folds[name] for name in self.searched if name in folds}
        self.norms = {beside(name, norm): name for name, norm in self.folds.items()}
        self.widths = self._tunable()

    def build(self) -> SearchSpace:
        self._check_names()
        linear = self._linear()
        for name in self.order:
            if name in self.nodes and name not in self.norms:
                self._add(self.nodes[name], linear)
        if not self.layers:
            classes = (deciding_class(self.nodes[name]) for name in self.order if name in self.nodes)
            classes = (name for name in classes if name in QUANTIZED_CLASSES)
            allowed = ", ".join(dict.fromkeys(classes)) or "none that has a quantized form"
            reasons = {one.reason: f"; {one.layer} ({one.class_name}): {one.reason}" for one in self._matched()}
            raise self.loaded.error(
                ("limit",),
                f"no layer would be quantized; classes of {self.graph.name}: {allowed}{''.join(reasons.values())}",
            )
        self._check_keys()
        if self.config.run.learning_rate_optimizer:
            self.choices.dimension(LEARNING_RATE, tuple(range(LEARNING_RATE_STEPS)))
        return SearchSpace(
            dimensions=tuple(self.choices.dimensions.values()),
            layers=tuple(self.layers),
            notes=tuple(self.choices.notes),
            base=self.base,
            unsearched=tuple(self.choices.unsearched),
        )

    def _matched(self) -> list[Unsearched]:
        """What a limit matches, and is left out for another reason."""
        return [one for one in self.choices.unsearched if one.layer in self.keys]

    def _check_names(self) -> None:
        """Every pattern must match a layer, every named layer must exist."""
        problems: list[ConfigError] = []
        for pattern in patterns(self.config.limit):
            matched = [name for name in self.order if re.match(pattern, name)]
            if matched:
                problems += self._shadowed(pattern, matched)
                continue
            named = [name for name, node in self.nodes.items() if pattern in (*node.classes, node.class_name)]
            if named:
                problems.append(self.loaded.key_error(("limit", pattern), self._only(named)))
                continue
            near = did_you_mean(re.sub(r"\W", "", pattern), (*LIMIT_CLASSES, *self.order))
            problems.append(self.loaded.key_error(("limit", pattern), f"matches no layer of {self.graph.name}{near}"))
        for index, name in enumerate(self.config.run.frozen_layers):
            if name not in self.order:
                near = did_you_mean(name, self.order)
                problems.append(
                    self.loaded.error(
                        ("run", "frozen_layers", index), f"{self.graph.name} has no layer {shown(name)}{near}"
                    )
                )
        if problems:
            raise ConfigError("\n".join(str(problem) for problem in problems))

    def _shadowed(self, pattern: str, matched: Sequence[str]) -> list[ConfigError]:
        """A pattern has no effect where earlier ones govern every layer that it matches."""
        owners = {self.keys[name] for name in matched if name in self.keys}
        if not owners or pattern in owners or any(name not in self.keys for name in matched if name in self.nodes):
            return []
        earlier = ", ".join(shown(key) for key in self.config.limit if key in owners)
        text = f"every layer that it matches is governed by {earlier}, which stands before it; put it first"
        return [self.loaded.key_error(("limit", pattern), text)]

    def _check_keys(self) -> None:
        """A limit that matches layers, and none that can be quantized, would have no effect."""
        searched = {layer.name for layer in self.layers}
        problems: list[ConfigError] = []
        for key in self.config.limit:
            governed = [name for name, own in self.keys.items() if own == key and name not in self.norms]
            # a file lists these classes for networks of all kinds
            general = key in (ACTIVATION, "BatchNormalization")
            if governed and not general and not searched & {*governed}:
                problems.append(self.loaded.key_error(("limit", key), self._only(governed)))
        if problems:
            raise ConfigError("\n".join(str(problem) for problem in problems))

    def _only(self, names: Sequence[str]) -> str:
        said = {one.layer: one.reason for one in self.choices.unsearched}
        layers = [f"{name} ({self.nodes[name].class_name})" for name in names]
        reasons = {self._obstacle(self.nodes[name]) or said.get(name, "nothing to quantize") for name in names}
        return f"matches only layers that are not searched, {listed(layers)}: {'; '.join(sorted(reasons))}"

    def _obstacle(self, node: Node) -> str | None:
        """Why a layer has no quantized form, or None."""
        if deciding_class(node) in QUANTIZED_CLASSES:
            return None
        return "no quantized form"

    def _add(self, node: Node, linear: Collection[str]) -> None:
        name = node.layer
        part = Part(name=name, class_name=node.class_name, key=self.keys.get(name, LINEAR))
        width: str | None = None
        if name in self.searched:
            width = self._roles(part, node)
        elif name not in linear:
            self._left(part, node)
        if name in linear:
            output = Part(name=name, class_name=node.class_name, key=LINEAR)
            self.choices.role(output, Role.OUTPUT, "linear", activation_limit(self.config.limit, LINEAR))
            part.dimensions |= output.dimensions
        if part.is_empty and not (name in self.searched and isinstance(node.operation, ops.BatchNormalization)):
            return
        fold = Fold(self.folds[name]) if name in self.folds else None
        filters, tied = filters_of(node) if width is not None else None, self.widths.tied.get(name, ())
        self.layers.append(
            SearchedLayer(
                name=name,
                key=part.key,
                dimensions=part.dimensions,
                fixed=part.fixed,
                filters=filters,
                filters_dimension=width,
                tied=tied,
                fold=fold,
            )
        )

    def _left(self, part: Part, node: Node) -> None:
        """Say why a layer is not searched; what only hands numbers on has nothing to quantize."""
        if isinstance(node.operation, ops.Input | ops.Idle | ops.DataMover):
            return
        reason = self.reasons.get(part.name)
        if reason is None and part.name in self.base:
            reason = "keeps the quantizers that it has"
        self.choices.leave(part, reason or self._obstacle(node) or "no entry of limit matches it")

    def _roles(self, part: Part, node: Node) -> str | None:
        """Fill in the roles of a layer; returns the dimension of its width."""
        limits, operation = self.config.limit, node.operation
        match operation:
            case ops.Activation(function=function):
                self.choices.function(part, Role.ACTIVATION, function, activation_limit(limits, part.key))
                return None
            case ops.Recurrent():
                self._recurrent(part, operation)
            case ops.Weighted():
                self.choices.role(part, Role.KERNEL, "kernel", weight_limit(limits, part.key, 0))
                if isinstance(operation, ops.SeparableConvolution):
                    self.choices.like(part, Role.POINTWISE, Role.KERNEL, "pointwise")
                if (
                    operation.use_bias
                    or part.name in self.folds
                    or (isinstance(operation, ops.Foldable) and operation.folded)
                ):
                    self.choices.role(part, Role.BIAS, "bias", weight_limit(limits, part.key, 1))
                if not operation.activation.is_linear:
                    limit = weight_limit(limits, part.key, 2)
                    self.choices.function(part, Role.ACTIVATION, operation.activation, limit)
        return self._width(part.name)

    def _recurrent(self, part: Part, operation: ops.Recurrent) -> None:
        """Kernels, bias and both activations; the state takes the quantizers of `linear`, as it has a sign."""
        limits = self.config.limit
        self.choices.role(part, Role.KERNEL, "kernel", weight_limit(limits, part.key, 0))
        self.choices.like(part, Role.RECURRENT, Role.KERNEL, "recurrent")
        if operation.use_bias:
            self.choices.role(part, Role.BIAS, "bias", weight_limit(limits, part.key, 1))
        limit = weight_limit(limits, part.key, 2)
        if not operation.activation.is_linear:
            self.choices.function(part, Role.ACTIVATION, operation.activation, limit)
        if not operation.recurrent_activation.is_linear:
            self.choices.gates(part, operation.recurrent_activation, limit)
        self.choices.state(part, limit)

    def _linear(self) -> frozenset[str]:
        """Layers whose output gets a quantizer of its own; a folded normalization's goes to the layer that has it."""
        if LINEAR not in self.config.limit:
            return frozenset()
        outputs = (name for name in linear_outputs(self.graph) if name not in self.reasons)
        owners = [self.norms.get(name, name) for name in outputs]
        taken = [name for name in owners if output_layer(name) in self.nodes]
        self.choices.notes += [
            f"{name}: its output gets no quantizer, as there is a layer {output_layer(name)} already" for name in taken
        ]
        return frozenset(owners) - {*taken}

    def _tunable(self) -> Widths:
        """The layers whose filters are searched."""
        run = self.config.run
        if run.tune_filters == "none":
            return Widths({}, {})
        exceptions = run.tune_filters_exceptions
        wanted = [
            name
            for name in self.searched
            if filters_of(self.nodes[name]) is not None and not (exceptions and re.search(exceptions, name))
        ]
        return tunable_widths(self.graph, wanted)

    def _width(self, name: str) -> str | None:
        """The dimension that chooses a layer's width: one for all, or for each layer and those tied to it."""
        if name in self.widths.kept:
            self.choices.notes.append(f"{name}: {self.widths.kept[name]}")
        if name not in self.widths.tied:
            return None
        whole = self.config.run.tune_filters == "block"
        return self.choices.dimension(
            "network_filters" if whole else f"network_filters_{self.widths.tied[name][0]}", FILTER_FACTORS
        )


def deciding_class(node: Node) -> str:
    """The class that decides whether a layer has a quantized form: that of what it is or wraps."""
    if ACTIVATION in node.classes:
        return ACTIVATION
    return node.classes[-1] if node.classes else node.class_name
