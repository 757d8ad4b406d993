"""A plan in a file, a run's best/plan.yaml or one written by hand, held against the model that it is for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import keras

from qsearch.config import bounds
from qsearch.config.yaml_file import read_source
from qsearch.config.yaml_source import Path, Problem, Source
from qsearch.energy.parameters import ROLES
from qsearch.energy.what_if import FILTERS, parts_of
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import Node
from qsearch.graph.walk import operations_by_path
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role, beside
from qsearch.quantize.apply import can_quantize
from qsearch.quantize.fold import foldable_paths
from qsearch.quantizers.sense import senseless
from qsearch.quantizers.shapes import misfit
from qsearch.quantizers.spec import QuantizerSpec, parse

_FOLD, _ADAPTIVE = "fold", "adaptive"
_FOLD_KEYS = ("norm", "mode", "freeze_delay")
_FOLD_MODES = ("ema_stats_folding", "batch_stats_folding")
_EXAMPLE = "a layer, and in it its roles: {conv2d_0: {kernel: ternary, filters: 24}}"


def read_plan_file(path: FilePath, model: keras.Model) -> QuantizationPlan:
    """The plan in a YAML file.

    Raises:
        ConfigError: every mistake with its place: no such layer or role, no quantizer, filters where there are none.
    """
    source = read_source(path)
    found = _Reading(source, _Model.of(model))
    plan = found.plan()
    problems = [*source.problems, *found.problems]
    if problems:
        raise ConfigError("\n".join(map(str, problems)))
    return plan


@dataclass(frozen=True)
class _Model:
    """What of a model a plan can name."""

    name: str
    nodes: Mapping[str, Node]
    quantizable: frozenset[str]
    folds: Mapping[str, str]

    @classmethod
    def of(cls, model: keras.Model) -> _Model:
        graph = read_model(model)
        operations = operations_by_path(model)
        nodes = {node.layer: node for node in reversed(graph.nodes)}
        quantizable = {name for name, node in nodes.items() if _has_form(operations.get(name), node)}
        return cls(graph.name, dict(reversed(nodes.items())), frozenset(quantizable), foldable_paths(model)[0])

    def allowed(self, layer: str) -> list[str]:
        """What a plan may say of a layer."""
        node = self.nodes[layer]
        parts = parts_of(node)
        if layer not in self.quantizable:
            return [Role.OUTPUT.value] if Role.OUTPUT.value in parts else []
        if isinstance(node.operation, ops.BatchNormalization):
            parts.append(Role.INVERSE.value)
        if layer in self.folds:
            parts += [Role.BIAS.value, _FOLD]
        if isinstance(node.operation, ops.Activation):
            parts.append(_ADAPTIVE)
        return list(dict.fromkeys(parts))


def _has_form(operation: Any, node: Node) -> bool:
    if not isinstance(operation, keras.layers.Layer):
        return isinstance(node.operation, ops.Activation)
    return can_quantize(operation)


class _Reading:
    """One walk over the file; `problems` is what is wrong with it."""

    def __init__(self, source: Source, model: _Model) -> None:
        self.source, self.model = source, model
        self.problems: list[Problem] = []

    def plan(self) -> QuantizationPlan:
        data = self.source.data
        if not isinstance(data, dict) or not data:
            self._wrong((), f"found {shown(data)}, expected {_EXAMPLE}")
            return QuantizationPlan()
        return QuantizationPlan({name: self._layer(name, value) for name, value in data.items() if self._known(name)})

    def _known(self, name: str) -> bool:
        if name in self.model.nodes and self.model.allowed(name):
            return True
        near = did_you_mean(name, [one for one in self.model.nodes if self.model.allowed(one)])
        what = "nothing to quantize" if name in self.model.nodes else None
        text = f"{what} in this layer" if what else f"{self.model.name} has no layer {shown(name)}{near}"
        self.problems.append(self.source.key_problem((name,), text))
        return False

    def _layer(self, name: str, value: Any) -> LayerPlan:
        if not isinstance(value, dict):
            self._wrong((name,), f"found {shown(value)}, expected its roles: {{kernel: ternary, bias: ...}}")
            return LayerPlan()
        allowed = self.model.allowed(name)
        quantizers: dict[Role, QuantizerSpec] = {}
        for key in value:
            if key not in allowed:
                text = f"{name} has no {shown(key)}, allowed: {', '.join(allowed)}{did_you_mean(key, allowed)}"
                self.problems.append(self.source.key_problem((name, key), text))
            elif key not in (FILTERS, _FOLD, _ADAPTIVE):
                spec = self._quantizer((name, key), value[key])
                if spec is not None:
                    quantizers[Role(key)] = spec
        self._check_shapes(name, quantizers)
        known = {key: value.get(key) for key in allowed}
        return LayerPlan(
            quantizers,
            self._filters((name, FILTERS), known.get(FILTERS)),
            self._fold(name, known.get(_FOLD)),
            self._adaptive((name, _ADAPTIVE), known.get(_ADAPTIVE)),
        )

    def _quantizer(self, path: Path, value: Any) -> QuantizerSpec | None:
        if not isinstance(value, str):
            self._wrong(path, f"found {shown(value)}, expected a quantizer such as 'quantized_bits(4,0,1)'")
            return None
        try:
            spec = parse(value)
        except ConfigError as error:
            self._wrong(path, str(error))
            return None
        if (problem := senseless(spec, bounds.BITS)) is not None:
            self._wrong(path, problem)
            return None
        return spec

    def _check_shapes(self, name: str, quantizers: Mapping[Role, QuantizerSpec]) -> None:
        for weight, shape in self.model.nodes[name].weights.items():
            role = ROLES.get(weight)
            spec = None if role is None else quantizers.get(role)
            if role is None or spec is None:
                continue
            problem = misfit(spec, shape, scales_itself=role is not Role.BIAS)
            if problem is not None:
                self._wrong((name, role.value), f"{spec} never works on the shape {shape}: {problem}")

    def _filters(self, path: Path, value: Any) -> int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= bounds.SIDE:
            self._wrong(path, f"found {shown(value)}, expected a whole number from 1 to {bounds.SIDE:,}")
            return None
        return value

    def _fold(self, name: str, value: Any) -> Fold | None:
        if value is None:
            return None
        facts = {"norm": value} if isinstance(value, str) else value
        for path, text in self._fold_problems(name, facts):
            self._wrong(path, text)
            return None
        return Fold(**facts)

    def _fold_problems(self, name: str, facts: Any) -> Iterator[tuple[Path, str]]:
        path: Path = (name, _FOLD)
        norm = self.model.folds[name]
        if not isinstance(facts, dict) or "norm" not in facts:
            yield path, f"found {shown(facts)}, expected the batch normalization behind it: {norm}"
            return
        for key in facts:
            if key not in _FOLD_KEYS:
                yield (*path, key), f"unknown key, allowed: {', '.join(_FOLD_KEYS)}{did_you_mean(key, _FOLD_KEYS)}"
        if facts["norm"] != norm:
            yield path, f"found {shown(facts['norm'])}, and the batch normalization that folds into it is {norm}"
        mode = facts.get("mode", _FOLD_MODES[0])
        if mode not in _FOLD_MODES:
            yield (*path, "mode"), f"found {shown(mode)}, allowed: {', '.join(_FOLD_MODES)}"
        delay = facts.get("freeze_delay")
        if delay is not None and (isinstance(delay, bool) or not isinstance(delay, int) or delay < 0):
            yield (*path, "freeze_delay"), f"found {shown(delay)}, expected a whole number >= 0"

    def _adaptive(self, path: Path, value: Any) -> bool:
        if value in (None, False, "no"):
            return False
        if value is not True and value != "yes":
            self._wrong(path, f"found {shown(value)}, allowed: yes, no")
        return True

    def _wrong(self, path: Path, text: str) -> None:
        self.problems.append(self.source.problem(path, text))


def left_alone(model: keras.Model, plan: QuantizationPlan) -> dict[str, str]:
    """The layers that compute with numbers and that a plan does not quantize, with the reason."""
    found = _Model.of(model)
    moving = ops.Input | ops.Idle | ops.DataMover
    left = {}
    for name, node in found.nodes.items():
        if plan.quantized(name) is not None or isinstance(node.operation, moving) or _folded(name, plan):
            continue
        own = plan.get(name)
        if own is not None and own.output is not None:
            continue
        if own is not None:
            left[name] = "its filters alone are in the plan"
        else:
            left[name] = "not in the plan" if name in found.quantizable else f"{node.class_name} has no quantized form"
    return left


def _folded(name: str, plan: QuantizationPlan) -> bool:
    """Whether a layer becomes part of the one before it."""
    return any(one.fold is not None and beside(layer, one.fold.norm) == name for layer, one in plan.layers.items())
