"""Candidates that can never work on the layers that they are for: found before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from qsearch.config import LoadedConfig
from qsearch.config.limits import DEFAULT, GROUPS
from qsearch.config.yaml_source import Path, Problem
from qsearch.energy.parameters import ROLES
from qsearch.errors import ConfigError, ModelError
from qsearch.graph.built import built
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import Role
from qsearch.quantizers.shapes import Axes, has_a_say, misfit
from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.search.space import FILTER_FACTORS, SearchedLayer, SearchSpace

_KERNELS = (Role.KERNEL, Role.POINTWISE, Role.RECURRENT)
_VALUES = (Role.ACTIVATION, Role.OUTPUT)


@dataclass(frozen=True)
class _Use:
    """A candidate for a role of a layer."""

    layer: SearchedLayer
    role: Role
    spec: QuantizerSpec


def check_suited(loaded: LoadedConfig, graph: ModelGraph, space: SearchSpace) -> list[str]:
    """Hold every candidate against the shapes that its layer has at any searched width.

    Returns:
        A line for each that works at some of the widths alone: trials with the others will fail.

    Raises:
        ConfigError: a candidate that works at none, with its place, the layer, the shape, and what is allowed.
    """
    uses = [use for use in _uses(space) if has_a_say(use.spec) or use.spec.arguments.get("threshold") is not None]
    if not uses:
        return []
    shapes = list(_shapes(graph, space))
    problems: dict[Path, Problem] = {}
    lines: list[str] = []
    for use in uses:
        found = [sides[use.layer.name, use.role] for sides in shapes if (use.layer.name, use.role) in sides]
        wrong = [(shape, problem) for shape in found if (problem := _problem(use, shape)) is not None]
        if not wrong:
            continue
        shape, problem = wrong[0]
        told = f"{use.spec} never works as the {use.role.words} of {use.layer.name}, of shape {_text(shape)}: {problem}"
        path, of_key = _place(loaded, use)
        if len(wrong) == len(found):
            source = loaded.source
            problems.setdefault(path, source.key_problem(path, told) if of_key else source.problem(path, told))
        else:
            lines.append(
                f"{use.spec} works as the {use.role.words} of {use.layer.name} at {len(found) - len(wrong)} of "
                f"{len(found)} widths; trials with others fail: at shape {_text(shape)}, {problem}"
            )
    if problems:
        raise ConfigError("\n".join(str(problem) for problem in problems.values()))
    return list(dict.fromkeys(lines))


def _uses(space: SearchSpace) -> Iterator[_Use]:
    options = {dimension.name: dimension.options for dimension in space.dimensions}
    for layer in space.layers:
        for role, name in layer.dimensions.items():
            for option in options[name]:
                if isinstance(option, QuantizerSpec):
                    yield _Use(layer, role, option)


def _shapes(graph: ModelGraph, space: SearchSpace) -> Iterator[Mapping[tuple[str, Role], Axes]]:
    """By layer and role, the shape of what is quantized, with all widths multiplied by each factor in turn."""
    widths = space.widths
    for factor in FILTER_FACTORS if widths else (1.0,):
        values = {one.name: factor if one.name in widths else one.options[0] for one in space.dimensions}
        try:
            resized, _ = built(graph, space.plan(values))
        except ModelError:  # widths that do not fit together are told with the trial that has them
            continue
        sides: dict[tuple[str, Role], Axes] = {}
        for node in resized.nodes:
            roles = {ROLES[name]: shape for name, shape in node.weights.items() if ROLES.get(name) is not None}
            sides |= {(node.layer, role): shape for role, shape in roles.items() if role is not None}
            if node.channel_axis == -1:  # Keras' own shape is another where channels are not last
                sides |= {(node.layer, role): (None, *node.output_shape) for role in _VALUES}
        yield sides


def _problem(use: _Use, shape: Axes) -> str | None:
    kernel = use.role in _KERNELS
    problem = misfit(use.spec, shape, scales_itself=kernel)
    threshold, alpha = use.spec.arguments.get("threshold"), use.spec.arguments.get("alpha")
    if problem is None and kernel and isinstance(threshold, int | float):
        reach = max(1.0, *_numbers(alpha))
        if threshold > reach:
            return f"threshold: found {threshold:g}; kernels stay within {reach:g}, so that all of it would be 0"
    return problem


def _numbers(alpha: object) -> list[float]:
    if isinstance(alpha, tuple):
        return [number for item in alpha for number in _numbers(item)]
    return [float(alpha)] if isinstance(alpha, int | float) else [0.0]


def _place(loaded: LoadedConfig, use: _Use) -> tuple[Path, bool]:
    """Where the file has a candidate, and whether it is a key there."""
    limits = loaded.config.limit
    for key in (use.layer.key, DEFAULT):
        for position, limit in enumerate(limits.get(key, ())):
            if isinstance(limit, tuple) and use.spec in limit:
                return ("limit", key, position, limit.index(use.spec)), False
    sections = loaded.source.data.get("quantization_config") or {}
    for group in GROUPS:
        for text in sections.get(group) or {}:
            if _same(text, use.spec):
                return ("quantization_config", group, text), True
    return ("quantization_config",), False


def _same(text: str, spec: QuantizerSpec) -> bool:
    return parse(text) == spec


def _text(shape: Axes) -> str:
    return "(" + ", ".join("any" if side is None else str(side) for side in shape) + ("," * (len(shape) == 1)) + ")"
