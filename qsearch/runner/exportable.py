"""`target:` of a configuration: a search that keeps to what leaves for hardware exactly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache

import keras
import numpy
from numpy.typing import NDArray

from qsearch.blocks.lookahead import completed
from qsearch.config import Config, LoadedConfig
from qsearch.config.hardware import TargetConfig
from qsearch.errors import ExportError, ModelError
from qsearch.graph import operations as ops
from qsearch.graph.model_graph import ModelGraph
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.targets import target_named
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers.spec import QuantizerSpec, parse
from qsearch.runner.exports import source_quantizer
from qsearch.search.space import Choice, Dimension, SearchSpace

_WEIGHT = parse("quantized_bits(4,0,1,alpha=1.0)")
_ACTIVATION = parse("quantized_relu(3,1)")
"""What every target takes; a candidate is tried among them."""
_ROUNDINGS = ("half_even", "half_away")
_KERNELS = (Role.KERNEL, Role.POINTWISE, Role.RECURRENT)
_SIZES = (-9.0, 2.0)
"""Powers of two between which weights lie."""
_TRIED, _ACTIVATED = "tried", "activated"


@dataclass(frozen=True)
class _Use:
    """What a candidate is tried as: the kind of layer, and the place in it."""

    layer: str
    role: Role


def exportable(
    loaded: LoadedConfig, model: keras.Model, graph: ModelGraph, space: SearchSpace
) -> tuple[SearchSpace, list[str]]:
    """The part of a space whose models the target of the configuration computes exactly.

    Each candidate is tried in a network of three layers. One that is refused is tried with the other rounding, and
    left out where that does not help. Then the model itself is tried, with the first and with the last of all options.

    Returns:
        The space, and a line for each candidate that was changed or left out.

    Raises:
        ConfigError: the target has no candidate left for a layer, or cannot compute the model whatever is chosen.
    """
    target = loaded.config.target
    if target is None:
        return space, []
    probe = _Probe(loaded, target)
    uses = _uses(space, graph)
    lines: dict[str, None] = {}
    dimensions = []
    for dimension in space.dimensions:
        used = uses.get(dimension.name)
        dimensions.append(dimension if used is None else _kept(loaded, probe, dimension, used, lines))
    kept = replace(space, dimensions=tuple(dimensions))
    _check_whole(loaded, model, kept, target)
    return kept, list(lines)


def _uses(space: SearchSpace, graph: ModelGraph) -> dict[str, tuple[_Use, ...]]:
    """By dimension, what its quantizers are used as."""
    operations = {node.layer: node.operation for node in graph.nodes}
    found: dict[str, dict[_Use, None]] = {}
    for layer in space.layers:
        for role, name in layer.dimensions.items():
            found.setdefault(name, {})[_Use(_kind(operations.get(layer.name), role), role)] = None
    return {name: tuple(uses) for name, uses in found.items()}


def _kind(operation: object, role: Role) -> str:
    if isinstance(operation, ops.DepthwiseConvolution | ops.SeparableConvolution) and role is Role.KERNEL:
        return "depthwise"
    return "dense" if isinstance(operation, ops.Dense | ops.Recurrent) or role not in _KERNELS else "convolution"


def _kept(
    loaded: LoadedConfig, probe: _Probe, dimension: Dimension, uses: tuple[_Use, ...], lines: dict[str, None]
) -> Dimension:
    """A dimension with the options that the target takes in all its uses."""
    options: dict[Choice, None] = {}
    reasons = []
    for option in dimension.options:
        assert isinstance(option, QuantizerSpec)
        taken, reason = probe.taken(option, uses)
        if taken is None:
            reasons.append(f"{option}: {reason}")
            lines[f"target {probe.target.name}: left out {uses[0].role.words} {option}: {reason}"] = None
            continue
        if taken != option:
            lines[f"target {probe.target.name}: {option} is searched as {taken}"] = None
        options[taken] = None
    if not options:
        raise loaded.error(("target",), f"{probe.target.name} takes no candidate of {dimension.name}: {reasons[0]}")
    return replace(dimension, options=tuple(options))


class _Probe:
    """Tries candidates in small networks."""

    def __init__(self, loaded: LoadedConfig, target: TargetConfig) -> None:
        self.target = target
        self.refusal = cache(self._refusal)
        reasons = []
        for self.activation in _roundings(_ACTIVATION):
            reason = self._refusal(_Use("dense", Role.KERNEL), _WEIGHT)
            if reason is None:
                return
            reasons.append(reason)
        raise loaded.error(("target",), f"{target.name} takes not even a dense layer of 4 bits: {reasons[0]}")

    def taken(self, spec: QuantizerSpec, uses: tuple[_Use, ...]) -> tuple[QuantizerSpec | None, str]:
        """(the candidate as it can be used, why not)."""
        first = ""
        for one in _roundings(spec):
            reasons = [reason for use in uses if (reason := self.refusal(use, one)) is not None]
            if not reasons:
                return one, ""
            first = first or reasons[0]
        return None, first

    def _refusal(self, use: _Use, spec: QuantizerSpec) -> str | None:
        """Why a candidate cannot be used so; None where it can."""
        model = apply_plan(_network(use.layer), self._plan(use, spec))
        model.set_weights([_spread(weight.shape) for weight in model.get_weights()])
        try:
            chosen = target_named(self.target.name)
            chosen.prepare(integer_model(model, norms=self.target.norms or chosen.norms), self.target.options)
        except ExportError as error:
            return str(error).removeprefix(f"{_TRIED}: ").removeprefix(f"{_ACTIVATED}: ")
        return None

    def _plan(self, use: _Use, spec: QuantizerSpec) -> QuantizationPlan:
        kernel = {Role.KERNEL: spec if use.role in _KERNELS else _WEIGHT}
        bias = {Role.BIAS: spec if use.role is Role.BIAS else _WEIGHT}
        inner = use.role in _KERNELS or use.role is Role.BIAS
        return QuantizationPlan(
            {
                _TRIED: LayerPlan({**kernel, **bias}),
                _ACTIVATED: LayerPlan({Role.ACTIVATION: self.activation if inner else spec}),
                "head": LayerPlan({Role.KERNEL: _WEIGHT, Role.BIAS: _WEIGHT}),
            }
        )


def _roundings(spec: QuantizerSpec) -> Iterator[QuantizerSpec]:
    """A candidate as it is, then with the other roundings that it can have."""
    yield spec
    if "rounding" in spec.arguments:
        for rounding in _ROUNDINGS:
            if (spec.arguments["rounding"] or _ROUNDINGS[0]) != rounding:
                yield spec.replaced({"rounding": rounding})


def _spread(shape: tuple[int, ...]) -> NDArray[numpy.float64]:
    """Weights of every size that training may give them, so that a candidate shows its whole range."""
    size = math.prod(shape)
    values = (-1.0) ** numpy.arange(size) * 2.0 ** numpy.linspace(*_SIZES, size)
    return numpy.random.default_rng(0).permutation(values).reshape(shape)


@cache
def _network(kind: str) -> keras.Model:
    layers = keras.layers
    first: Mapping[str, keras.layers.Layer] = {
        "dense": layers.Dense(3, name=_TRIED),
        "convolution": layers.Conv2D(3, 2, name=_TRIED),
        "depthwise": layers.DepthwiseConv2D(2, name=_TRIED),
    }
    inputs = keras.Input((16,) if kind == "dense" else (3, 3, 2), name="inputs")
    x = layers.Activation("relu", name=_ACTIVATED)(first[kind](inputs))
    return keras.Model(inputs, layers.Dense(2, name="head")(layers.Flatten(name="flat")(x)))


def objections(
    config: Config, model: keras.Model, space: SearchSpace
) -> Callable[[QuantizationPlan], str | None] | None:
    """What tells why the target cannot compute the model of a plan, so that nothing is trained in vain.

    Candidates are exact each alone; where they meet, as in a sum of two branches, a target may still refuse them.
    Layers of blocks to come count with the first, and with the last of their options.

    Returns:
        The reason for a plan, None where the target takes it; None for all where there is no target.
    """
    target = config.target
    if target is None:
        return None
    rests = _ends(space)

    def objection(plan: QuantizationPlan) -> str | None:
        plans = {completed(plan, _later(plan, rest)) for rest in rests}
        reasons = [_refusal(config, model, one, target) for one in plans]
        return None if None in reasons else f"target {target.name}: {reasons[0]}"

    return objection


def _check_whole(loaded: LoadedConfig, model: keras.Model, space: SearchSpace, target: TargetConfig) -> None:
    """Refuse a model that could not be exported whatever a search finds."""
    reasons = [_refusal(loaded.config, model, plan, target) for plan in _ends(space)]
    if None not in reasons:
        raise loaded.error(("target",), f"{target.name} cannot compute the models of this search: {reasons[0]}")


def _ends(space: SearchSpace) -> list[QuantizationPlan]:
    """The plans of all first, and of all last options."""
    return [
        space.plan({one.name: 1.0 if one.name in space.widths else one.options[place] for one in space.dimensions})
        for place in (0, -1)
    ]


def _later(plan: QuantizationPlan, whole: QuantizationPlan) -> QuantizationPlan:
    """What a plan of all layers has for those that another does not quantize yet."""
    return QuantizationPlan({name: layer for name, layer in whole.layers.items() if plan.quantized(name) is None})


def _refusal(config: Config, model: keras.Model, plan: QuantizationPlan, target: TargetConfig) -> str | None:
    """Why the target cannot compute the model of a plan, with the weights that the model has now."""
    try:
        chosen, sources = target_named(target.name), source_quantizer(config)
        tried = integer_model(apply_plan(model, plan), sources, target.norms or chosen.norms)
        chosen.prepare(tried, target.options)
    except ModelError:  # a plan that does not fit is told with the trial that has it
        return None
    except ExportError as error:
        return str(error)
    return None
