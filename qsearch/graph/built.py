"""The graph of the model that a plan makes: folded, with the plan's widths, and with output quantizers in place."""

from __future__ import annotations

from dataclasses import replace

from qsearch.functions import IDENTITY
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node
from qsearch.graph.resize import with_filters, with_folds
from qsearch.plan import LayerPlan, QuantizationPlan, Role, output_layer


def built(graph: ModelGraph, plan: QuantizationPlan) -> tuple[ModelGraph, QuantizationPlan]:
    """Graph and plan of the quantized model, as `read_model` and `read_plan` would read them from it.

    Raises:
        ModelError: widths that do not fit together, or a fold of a layer that is not directly behind.
    """
    resized = with_filters(with_folds(graph, plan), plan)
    outputs = {name: spec for name in plan if (spec := plan.layers[name].output) is not None}
    if not outputs:
        return resized, plan
    layers = dict(plan.layers)
    for name, spec in outputs.items():
        layers[output_layer(name)] = LayerPlan({Role.ACTIVATION: spec})
    renamed: dict[str, str] = {}
    nodes: list[Node] = []
    for node in resized.nodes:
        node = replace(node, inputs=tuple(renamed.get(name, name) for name in node.inputs))
        nodes.append(node)
        if node.layer in outputs:
            nodes.append(output_node(node))
            renamed[node.name] = nodes[-1].name
    last = tuple(renamed.get(name, name) for name in resized.outputs)
    return ModelGraph(graph.name, tuple(nodes), last), QuantizationPlan(layers)


def output_node(node: Node) -> Node:
    """The activation layer that quantizes what a node hands on."""
    layer = output_layer(node.layer)
    return Node(
        name=layer + node.name[len(node.layer) :],  # `:1` of a later call
        layer=layer,
        class_name="Activation",
        operation=ops.Activation(IDENTITY),
        inputs=(node.name,),
        input_shapes=(node.output_shape,),
        output_shape=node.output_shape,
        classes=("Activation",),
        channel_axis=node.channel_axis,
    )
