"""Changes to a plan, as text: `conv2d_1.kernel=ternary`, `conv2d_1.filters=24`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from qsearch.energy.parameters import ROLES, stored_parameters
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.resize import with_filters
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers.sense import MOST_PRICED, senseless
from qsearch.quantizers.shapes import misfit
from qsearch.quantizers.spec import parse

FILTERS = "filters"


def with_changes(
    graph: ModelGraph, plan: QuantizationPlan, changes: Sequence[str]
) -> tuple[ModelGraph, QuantizationPlan]:
    """Graph and plan with each change `LAYER.ROLE=QUANTIZER` or `LAYER.filters=NUMBER` made.

    Filters change the graph alone, so that a layer without quantizers stays one.

    Raises:
        ConfigError: a text of another form, or a layer, role or quantizer that is not there.
        ModelError: widths that no longer fit together.
    """
    layers = dict(plan.layers)
    filters: dict[str, LayerPlan] = {}
    nodes = {node.layer: node for node in graph.nodes}
    made: dict[tuple[str, str], str] = {}
    for text in changes:
        place, equals, value = text.partition("=")
        name, dot, part = place.strip().rpartition(".")
        if not equals or not dot:
            raise ConfigError(f"--what-if {shown(text)}: expected LAYER.ROLE=QUANTIZER, e.g. conv2d_1.kernel=ternary")
        if name not in nodes:
            raise ConfigError(
                f"--what-if {shown(text)}: {graph.name} has no layer {shown(name)}{did_you_mean(name, nodes)}"
            )
        allowed = parts_of(nodes[name])
        if part not in allowed:
            found = f"allowed: {', '.join(allowed)}" if allowed else "it has nothing to quantize"
            raise ConfigError(
                f"--what-if {shown(text)}: {name} has no {shown(part)}; {found}{did_you_mean(part, allowed)}"
            )
        if made.setdefault((name, part), text) != text:
            raise ConfigError(f"--what-if {shown(text)}: {name}.{part} is changed already: {shown(made[name, part])}")
        if part == FILTERS:
            filters[name] = LayerPlan(filters=_number(value.strip(), text))
        else:
            layers[name] = _changed(layers.get(name, LayerPlan()), part, value.strip(), text)
    graph = with_filters(graph, QuantizationPlan(filters))
    _check_shapes(graph, layers, made)
    return graph, QuantizationPlan(layers)


def _check_shapes(graph: ModelGraph, layers: Mapping[str, LayerPlan], made: Mapping[tuple[str, str], str]) -> None:
    """Quantizers that cannot work on the weights that they are for have no price."""
    for node in graph.nodes:
        for name, shape in node.weights.items():
            role = ROLES.get(name)
            text = None if role is None else made.get((node.layer, role.value))
            if text is None or role is None:
                continue
            problem = misfit(layers[node.layer].quantizers[role], shape, scales_itself=role is not Role.BIAS)
            if problem is not None:
                raise ConfigError(f"--what-if {shown(text)}: never works on the shape {shape}: {problem}")


def _number(value: str, text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", value) is None or int(value) < 1:
        raise ConfigError(f"--what-if {shown(text)}: found {shown(value)}, expected a whole number from 1 to 999999")
    return int(value)


def _changed(layer: LayerPlan, part: str, value: str, text: str) -> LayerPlan:
    try:
        spec = parse(value)
    except ConfigError as error:
        raise ConfigError(f"--what-if {shown(text)}: {error}") from None
    if (problem := senseless(spec, MOST_PRICED)) is not None:
        raise ConfigError(f"--what-if {shown(text)}: {problem}")
    return replace(layer, quantizers={**layer.quantizers, Role(part): spec})


def parts_of(node: Node) -> list[str]:
    """What of a layer can be quantized, by role, and `filters` where it has a width of its own."""
    operation = node.operation
    if isinstance(operation, ops.Input | ops.Idle | ops.DataMover):
        return []
    if isinstance(operation, ops.Merge):
        return [Role.OUTPUT.value]
    roles = [role.value for _, role in stored_parameters(node) if role is not None]
    if isinstance(operation, ops.BatchNormalization):
        return [*roles, Role.MEAN.value, Role.VARIANCE.value]
    if isinstance(operation, ops.AveragePooling):
        roles.append(Role.AVERAGE.value)
    if isinstance(operation, ops.Recurrent):
        roles += [Role.STATE.value, Role.RECURRENT_ACTIVATION.value]
    roles += [Role.ACTIVATION.value, Role.OUTPUT.value]
    return [*roles, FILTERS] if ops.width_of(operation) is not None else roles
