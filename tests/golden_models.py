"""The golden architectures as `ModelGraph`, from their description alone: no Keras, none of `read_model`."""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

from qsearch.functions import Function
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph, Node, Shape
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers import SIGNATURES, parse
from qsearch.quantizers.computed import computed
from qsearch.quantizers.number_types import Kind, NumberFormat

GOLDEN = Path(__file__).resolve().parent / "golden"
_KINDS = (Kind.FIXED, Kind.POWER_OF_TWO, Kind.TERNARY, Kind.BINARY, Kind.ZERO_ONE, Kind.FLOAT)
_ROLES = {
    "kernel_quantizer": Role.KERNEL,
    "depthwise_quantizer": Role.KERNEL,
    "bias_quantizer": Role.BIAS,
    "activation": Role.ACTIVATION,
    "average_quantizer": Role.AVERAGE,
    "gamma_quantizer": Role.GAMMA,
    "beta_quantizer": Role.BETA,
    "mean_quantizer": Role.MEAN,
    "variance_quantizer": Role.VARIANCE,
}


@lru_cache
def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def energies() -> Any:
    return golden("golden_energy_public.json")


def format_of(row: list[Any]) -> NumberFormat:
    """A dtype row: [mode, name, bits, int_bits, is_signed, max_val_po2 or null]."""
    limit = None if row[5] in (None, -1) else float(row[5])
    return NumberFormat(
        kind=_KINDS[row[0]], bits=row[2], int_bits=row[3], signed=bool(row[4]), max_value=limit, name=row[1]
    )


def row_of(item: NumberFormat) -> tuple[int, int, int, int]:
    """What a format and a dtype row have in common: mode, bits, int_bits, is_signed."""
    return (_KINDS.index(item.kind), item.bits, item.int_bits, int(item.signed))


def shown(row: list[Any]) -> tuple[int, int, int, int]:
    return (row[0], row[2], row[3], int(row[4]))


def in_scope(text: str | None) -> bool:
    return text is None or text.split("(")[0] in SIGNATURES or text == "softmax"


def out_of_scope(layers: list[Any]) -> set[str]:
    """Quantizers of a golden model that this version lacks."""
    return {v.split("(")[0] for _, _, quantizers in layers for v in quantizers.values() if not in_scope(v)}


def plan_of(layers: list[Any]) -> QuantizationPlan:
    plans = {}
    for name, _, quantizers in layers:
        chosen = {
            _ROLES[key]: parse(text)
            for key, text in quantizers.items()
            if text not in (None, "softmax") and key in _ROLES
        }
        plans[name] = LayerPlan(chosen)
    return QuantizationPlan(plans)


@lru_cache
def graph_of(name: str) -> ModelGraph:
    arch = energies()["archs"][name]
    nodes: dict[str, Node] = {}
    for layer, kind, options, inputs in arch["layers"]:
        shapes = tuple(nodes[source].output_shape for source in inputs)
        operation, output, weights = _layer(kind, options, shapes)
        nodes[layer] = Node(
            name=layer,
            layer=layer,
            class_name=kind,
            operation=operation,
            inputs=tuple(inputs),
            input_shapes=shapes,
            output_shape=output,
            weights=weights,
        )
    return ModelGraph(name, tuple(nodes.values()), tuple(arch["outputs"]))


def _pair(value: int | list[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _window(x: Shape, size: tuple[int, int], options: dict[str, Any], default: tuple[int, int]) -> tuple[int, int]:
    strides, dilation = _pair(options.get("strides") or list(default)), _pair(options.get("dilation_rate", 1))
    if options.get("padding") == "same":
        return (math.ceil(x[0] / strides[0]), math.ceil(x[1] / strides[1]))
    reach = [(s - 1) * d + 1 for s, d in zip(size, dilation, strict=True)]
    return ((x[0] - reach[0]) // strides[0] + 1, (x[1] - reach[1]) // strides[1] + 1)


def _layer(
    kind: str, options: dict[str, Any], shapes: tuple[Shape, ...]
) -> tuple[ops.Operation, Shape, dict[str, Shape]]:
    x = shapes[0] if shapes else ()
    bias, function = options.get("use_bias", True), options.get("activation", "linear")
    function = computed(parse(function)) if "(" in function else Function(function)
    match kind.removeprefix("Q"):
        case "Input":
            return ops.Input(), tuple(options["shape"]), {}
        case "Dense":
            units = options["units"]
            weights = {"kernel": (x[-1], units)} | ({"bias": (units,)} if bias else {})
            return ops.Dense(units=units, use_bias=bias, activation=function), (*x[:-1], units), weights
        case "Conv2D":
            size, filters = _pair(options["kernel_size"]), options["filters"]
            weights = {"kernel": (*size, x[-1], filters)} | ({"bias": (filters,)} if bias else {})
            return (
                ops.Convolution(filters=filters, kernel_size=size, use_bias=bias, activation=function),
                (*_window(x, size, options, (1, 1)), filters),
                weights,
            )
        case "DepthwiseConv2D":
            size = _pair(options["kernel_size"])
            weights = {"kernel": (*size, x[-1], 1)} | ({"bias": (x[-1],)} if bias else {})
            return (
                ops.DepthwiseConvolution(kernel_size=size, use_bias=bias, activation=function),
                (*_window(x, size, options, (1, 1)), x[-1]),
                weights,
            )
        case "BatchNormalization":
            scale, center = options.get("scale", True), options.get("center", True)
            present = ["gamma"] * scale + ["beta"] * center + ["moving_mean", "moving_variance"]
            return ops.BatchNormalization(scale, center), x, dict.fromkeys(present, (x[-1],))
        case "Activation":
            return ops.Activation(function), x, {}
        case "Dropout":
            return ops.Idle(), x, {}
        case "Add":
            return ops.Merge(ops.MergeKind.ADD), x, {}
        case "Concatenate":
            return ops.Merge(ops.MergeKind.CONCATENATE), (*x[:-1], sum(shape[-1] for shape in shapes)), {}
        case "MaxPooling2D":
            size = _pair(options["pool_size"])
            return ops.DataMover(ops.Move(kind)), (*_window(x, size, options, size), x[-1]), {}
        case "AveragePooling2D":
            size = _pair(options["pool_size"])
            return ops.AveragePooling(size), (*_window(x, size, options, size), x[-1]), {}
        case "GlobalAveragePooling2D":
            return ops.AveragePooling(None), (x[-1],), {}
        case "Flatten":
            return ops.DataMover(ops.Move(kind)), (math.prod(x),), {}
        case "Reshape":
            known = -math.prod(options["target_shape"])
            target = tuple(math.prod(x) // known if side == -1 else side for side in options["target_shape"])
            return ops.DataMover(ops.Move(kind)), target, {}
    raise AssertionError(kind)
