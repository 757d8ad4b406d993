"""What a trial is: for each layer, its quantizers and its number of filters. Plain data, no Keras."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any

from qsearch.quantizers.spec import QuantizerSpec, parse


class Role(Enum):
    """A place in a layer that can carry a quantizer.

    A depthwise kernel has the role KERNEL, as it is the layer's only kernel. OUTPUT is what a layer hands on where no
    activation follows it: its quantizer is an activation layer of its own, put behind it (`output_layer`).
    """

    KERNEL = "kernel"
    POINTWISE = "pointwise"
    RECURRENT = "recurrent"
    BIAS = "bias"
    STATE = "state"
    ACTIVATION = "activation"
    DEPTHWISE_ACTIVATION = "depthwise_activation"
    RECURRENT_ACTIVATION = "recurrent_activation"
    AVERAGE = "average"
    GAMMA = "gamma"
    BETA = "beta"
    MEAN = "mean"
    VARIANCE = "variance"
    INVERSE = "inverse"
    OUTPUT = "output"

    @property
    def words(self) -> str:
        """As messages call it."""
        return self.value.replace("_", " ")


def output_layer(layer: str) -> str:
    """The name of the activation layer that quantizes a layer's output."""
    return f"{layer}_output"


def beside(layer: str, name: str) -> str:
    """The path of a layer that is in the same nested model as another: "outer/norm" beside "outer/conv"."""
    folder, slash, _ = layer.rpartition("/")
    return f"{folder}{slash}{name}"


@dataclass(frozen=True)
class Fold:
    """A batch normalization that becomes part of the layer before it.

    Attributes:
        norm: its name; the layer disappears.
        mode: "ema_stats_folding" or "batch_stats_folding".
        freeze_delay: calls in training after which the statistics rest; None for never.
    """

    norm: str
    mode: str = "ema_stats_folding"
    freeze_delay: int | None = None

    def to_dict(self) -> str | dict[str, Any]:
        """The name of the norm alone, where the rest is as usual."""
        if self == Fold(self.norm):
            return self.norm
        return {"norm": self.norm, "mode": self.mode, "freeze_delay": self.freeze_delay}

    @classmethod
    def from_dict(cls, shown: str | Mapping[str, Any]) -> Fold:
        """What `to_dict` gave."""
        return cls(shown) if isinstance(shown, str) else cls(**shown)


@dataclass(frozen=True)
class LayerPlan:
    """One layer of a plan. A layer that has a plan becomes a Q layer, even with no quantizer in it.

    Only a plan of nothing but filters or an output quantizer leaves its layer unquantized: that is how a layer follows
    the width of another one whose channels it is added to, and how a sum gets a quantizer.

    Attributes:
        quantizers: by role; a role that is absent stays unquantized.
        filters: output filters (units of a dense layer); None keeps the reference's.
        fold: the batch normalization that the layer takes in.
        adaptive: the activation's integer bits follow what it sees (QAdaptiveActivation).
    """

    quantizers: Mapping[Role, QuantizerSpec] = field(default_factory=dict)
    filters: int | None = None
    fold: Fold | None = None
    adaptive: bool = False
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "quantizers", MappingProxyType(dict(self.quantizers)))
        # Kept, as thousands of plans a second are looked up by it.
        parts = (frozenset(self.quantizers.items()), self.filters, self.fold, self.adaptive)
        object.__setattr__(self, "_hash", hash(parts))

    def __hash__(self) -> int:
        return self._hash

    @property
    def quantizes(self) -> bool:
        """Whether the layer itself becomes a Q layer."""
        if self.quantizers.keys() - {Role.OUTPUT} or self.fold is not None or self.adaptive:
            return True
        return self.filters is None and not self.quantizers

    @property
    def output(self) -> QuantizerSpec | None:
        """The quantizer of what the layer hands on."""
        return self.quantizers.get(Role.OUTPUT)

    def __reduce__(self) -> tuple[type[LayerPlan], tuple[object, ...]]:
        return (LayerPlan, (dict(self.quantizers), self.filters, self.fold, self.adaptive))

    def to_dict(self) -> dict[str, Any]:
        """`{"kernel": "quantized_bits(4,0,1,alpha=1.0)", "filters": 24}`: what files and reports show."""
        shown: dict[str, Any] = {role.value: str(spec) for role, spec in self.quantizers.items()}
        if self.filters is not None:
            shown["filters"] = self.filters
        if self.fold is not None:
            shown["fold"] = self.fold.to_dict()
        if self.adaptive:
            shown["adaptive"] = "yes"
        return shown

    @classmethod
    def from_dict(cls, shown: Mapping[str, Any]) -> LayerPlan:
        """What `to_dict` gave.

        Raises:
            ConfigError: a quantizer that is none.
            ValueError: a role that is none.
        """
        facts = dict(shown)
        filters, fold = facts.pop("filters", None), facts.pop("fold", None)
        adaptive = facts.pop("adaptive", None) == "yes"
        quantizers = {Role(role): parse(text) for role, text in facts.items()}
        return cls(quantizers, filters, None if fold is None else Fold.from_dict(fold), adaptive)


@dataclass(frozen=True)
class QuantizationPlan:
    """The quantized layers of a model by name; layers that are not in it stay as they are."""

    layers: Mapping[str, LayerPlan] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __hash__(self) -> int:
        return hash(frozenset(self.layers.items()))

    def __reduce__(self) -> tuple[type[QuantizationPlan], tuple[object, ...]]:
        return (QuantizationPlan, (dict(self.layers),))

    def __contains__(self, layer: str) -> bool:
        return layer in self.layers

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def get(self, layer: str) -> LayerPlan | None:
        return self.layers.get(layer)

    def quantized(self, layer: str) -> LayerPlan | None:
        """The plan of a layer that becomes a Q layer; None where it stays unquantized."""
        layer_plan = self.layers.get(layer)
        return layer_plan if layer_plan is not None and layer_plan.quantizes else None

    def to_dict(self) -> dict[str, dict[str, Any]]:
        return {name: layer.to_dict() for name, layer in self.layers.items()}

    @classmethod
    def from_dict(cls, shown: Mapping[str, Mapping[str, Any]]) -> QuantizationPlan:
        """What `to_dict` gave: a best/plan.yaml, for example."""
        return cls({name: LayerPlan.from_dict(layer) for name, layer in shown.items()})


NO_QUANTIZERS = QuantizationPlan()
"""The plan of a float model."""
