"""Dictionaries of quantizers, as QKeras' users write them, read into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras

from qsearch.errors import ConfigError, did_you_mean
from qsearch.graph.activations import function_of as computed_by
from qsearch.graph.einsum import dense_units
from qsearch.graph.walk import core_of, layers_by_path
from qsearch.layers import QActivation
from qsearch.layers.folded import FOLDING_MODES
from qsearch.plan import Fold, LayerPlan, QuantizationPlan, Role, beside
from qsearch.quantize.fold import foldable_paths
from qsearch.quantize.kinds import LayerKind, function_of, kind_of
from qsearch.quantizers.computed import automatic
from qsearch.quantizers.spec import QuantizerSpec, parse

Entries = Mapping[str, Any]
_ADAPTIVE = "QAdaptiveActivation"
_FOLD_KEYS = ("folding_mode", "ema_freeze_delay")


@dataclass(frozen=True)
class DictionaryOptions:
    """How a dictionary is read; the names are QKeras'.

    Attributes:
        activation_bits: bits of the quantizer that an activation inside a layer gets when its entry names none.
        enable_bn_folding: batch normalizations become part of the layer before them where they can.
        prefer_qadaptiveactivation: Activation layers take the entry of "QAdaptiveActivation" before "QActivation", not
            after it, and become adaptive where their own name has an entry.
    """

    activation_bits: int = 4
    enable_bn_folding: bool = False
    prefer_qadaptiveactivation: bool = False


@dataclass(frozen=True)
class Reading:
    """What a dictionary means for a model: the plan, and why the other layers stay as they are, by path."""

    plan: QuantizationPlan
    left_alone: Mapping[str, str]


class _StaysError(Exception):
    """Why a layer stays as it is."""


def read_dictionary(model: keras.Model, entries: Entries, options: DictionaryOptions | None = None) -> Reading:
    """The plan that a dictionary of quantizers states for a model.

    Raises:
        ConfigError: an entry for a layer that is not there, an unknown key, a string that does not parse.
    """
    options = options or DictionaryOptions()
    layers = {
        path: layer for path, layer in layers_by_path(model).items() if type(layer) is not keras.layers.InputLayer
    }
    _check_names(model, layers, entries)
    folds = _Folds(model, options)
    plans: dict[str, LayerPlan] = {}
    left_alone: dict[str, str] = {}
    for path, layer in layers.items():
        norm_of = folds.absorbed.get(path)
        if norm_of is not None and norm_of in plans and plans[norm_of].fold is not None:
            left_alone[path] = f"is folded into {norm_of}"
            continue
        try:
            plans[path] = _Entry(path, layer, entries, options, folds).plan()
        except _StaysError as reason:
            left_alone[path] = str(reason)
            if path in folds.reasons and options.enable_bn_folding:
                left_alone[path] += f"; not folded, as {folds.reasons[path]}"
    return Reading(QuantizationPlan(plans), left_alone)


def _check_names(model: keras.Model, layers: Mapping[str, Any], entries: Entries) -> None:
    classes = {_class_key(layer) for layer in layers.values() if kind_of(layer) is not None}
    names = {*layers, *(path.rpartition("/")[2] for path in layers)}
    for key in entries:
        if key in names or key in classes or (key.startswith("Q") and _is_known_class(key)):
            continue
        allowed = [*(path for path in layers if kind_of(layers[path]) is not None), *sorted(classes)]
        raise ConfigError(f"{key}: {model.name} has no such layer or class{did_you_mean(key, allowed)}")


def _is_known_class(key: str) -> bool:
    from qsearch import layers

    return key in layers.__all__ or hasattr(keras.layers, key[1:])


def _class_key(layer: Any) -> str:
    layer = core_of(layer)
    if isinstance(layer, keras.layers.ReLU | keras.layers.LeakyReLU):
        return "QActivation"
    if dense_units(layer) is not None:
        return "QDense"
    name = type(layer).__name__
    return name if name.startswith("Q") else f"Q{name}"


class _Folds:
    """Batch normalizations that go into the layer before them, by path."""

    def __init__(self, model: keras.Model, options: DictionaryOptions) -> None:
        self.norms, self.reasons = foldable_paths(model)
        if not options.enable_bn_folding:
            self.norms = {}
        self.absorbed = {beside(path, norm): path for path, norm in self.norms.items()}


class _Entry:
    """One layer's entry: its own by path or name, else its class'. A name's entry hides its class' entry."""

    def __init__(self, path: str, layer: Any, entries: Entries, options: DictionaryOptions, folds: _Folds) -> None:
        kind = kind_of(layer)
        self.layer, self.options, self.norm = layer, options, folds.norms.get(path)
        names = [path, path.rpartition("/")[2]]
        self.by_name = any(name in entries for name in names)
        own = _class_key(layer)
        candidates = [*names, own]
        if self.norm is not None and kind is not None and kind.folded is not None:
            candidates = [*names, kind.folded.__name__, own]
        self.can_adapt = type(core_of(layer)) is keras.layers.Activation
        if self.can_adapt:
            classes = [_ADAPTIVE, own] if options.prefer_qadaptiveactivation else [own, _ADAPTIVE]
            candidates = [*names, *classes]
        self.key = next((name for name in candidates if name in entries), None)
        if kind is None:
            if self.by_name and entries[str(self.key)]:
                raise ConfigError(f"{self.key}: a {type(layer).__name__} layer has no quantized form")
            raise _StaysError(f"{type(layer).__name__} has no quantized form")
        if self.key is None:
            raise _StaysError(f"there is no entry for it or for {own}")
        self.kind: LayerKind = kind
        self.entry: Any = entries[self.key]

    def plan(self) -> LayerPlan:
        if self.kind.quantized is QActivation:
            return self._activation()
        roles = self._roles()
        if self.kind.entry.needed and not any(role in roles for role in self.kind.entry.needed):
            wanted = " or ".join(key for key, role in self.kind.entry.keys.items() if role in self.kind.entry.needed)
            raise _StaysError(f"its entry {self.key} has no {wanted}")
        if Role.BIAS in roles and not self._has_bias():
            del roles[Role.BIAS]
        if Role.POINTWISE in self.kind.entry.needed and "kernel_quantizer" in self.entry:
            roles.setdefault(Role.POINTWISE, roles[Role.KERNEL])
        asked = Role.ACTIVATION in roles
        if Role.ACTIVATION in self.kind.entry.keys.values() and not asked:
            core = core_of(self.layer)
            owner = getattr(core, "forward_layer", core)
            spec = automatic(computed_by(getattr(owner, "activation", None)), self.options.activation_bits)
            if spec is not None and self.kind.quantized is not type(core):
                roles[Role.ACTIVATION] = spec
        # An activation of the layer's own would move behind the normalization.
        fold = self.norm is not None and not (asked and not self._is_folded_entry())
        return LayerPlan(roles, fold=self._fold() if fold else None)

    def _has_bias(self) -> bool:
        layer = core_of(self.layer)
        if dense_units(layer) is not None:
            return layer.bias_axes is not None or self.norm is not None
        return bool(getattr(layer, "forward_layer", layer).use_bias) or self.norm is not None

    def _is_folded_entry(self) -> bool:
        return self.by_name or (self.kind.folded is not None and self.key == self.kind.folded.__name__)

    def _fold(self) -> Fold:
        given = self.entry if isinstance(self.entry, Mapping) else {}
        mode = given.get("folding_mode", FOLDING_MODES[0])
        if mode not in FOLDING_MODES:
            raise ConfigError(
                f"{self.key}.folding_mode: found {mode!r}, allowed: {', '.join(FOLDING_MODES)}"
                f"{did_you_mean(str(mode), FOLDING_MODES)}"
            )
        return Fold(str(self.norm), mode, given.get("ema_freeze_delay") or None)

    def _activation(self) -> LayerPlan:
        function = function_of(self.layer)
        if isinstance(self.entry, Mapping):
            chosen = self.entry.get(function, self.entry.get("activation"))
        else:
            # A class entry means "every activation", but softmax is the model's answer, not one to quantize.
            chosen = self.entry if self.by_name or function != "softmax" else None
        if not chosen:
            raise _StaysError(f"its entry {self.key} has nothing for {function!r}")
        spec = _spec(chosen, str(self.key))
        # A name's entry says with what, not whether its integer bits adapt; that is the option's to say.
        adaptive = self.key == _ADAPTIVE or (
            self.by_name and self.can_adapt and self.options.prefer_qadaptiveactivation
        )
        if adaptive and spec.name not in ("quantized_bits", "quantized_relu"):
            raise ConfigError(f"{self.key}: found {spec}, expected quantized_bits or quantized_relu with bits only")
        return LayerPlan({Role.ACTIVATION: spec}, adaptive=adaptive)

    def _roles(self) -> dict[Role, QuantizerSpec]:
        keys, key = self.kind.entry.keys, str(self.key)
        if not isinstance(self.entry, Mapping):
            raise ConfigError(f"{key}: found {self.entry!r}, expected a dictionary with keys such as {', '.join(keys)}")
        roles: dict[Role, QuantizerSpec] = {}
        for name, value in self.entry.items():
            if name in _FOLD_KEYS and self.kind.folded is not None:
                continue
            if name not in keys:
                raise ConfigError(f"{key}.{name}: unknown key{did_you_mean(name, keys)} (allowed: {', '.join(keys)})")
            if value is not None:
                roles[keys[name]] = _spec(value, f"{key}.{name}")
        return roles


def _spec(value: Any, place: str) -> QuantizerSpec:
    if isinstance(value, QuantizerSpec):
        return value
    if isinstance(value, str):
        try:
            return parse(value)
        except ConfigError as error:
            raise ConfigError(f"{place}: {error}") from None
    spec = getattr(value, "spec", None)
    if isinstance(spec, QuantizerSpec):
        return spec
    raise ConfigError(f"{place}: found {value!r}, expected a quantizer string")
