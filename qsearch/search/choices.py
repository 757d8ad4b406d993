"""The quantizers that a part of a layer may choose from: `limit` and `quantization_config` for one role."""

from __future__ import annotations

from dataclasses import dataclass, field

from qsearch.config import LoadedConfig
from qsearch.config.check import unmet
from qsearch.config.limits import LINEAR, Group, is_class, within
from qsearch.errors import ConfigError
from qsearch.functions import RELU, SOFTMAX, Function
from qsearch.plan import Role
from qsearch.quantizers.computed import automatic, candidates, why_none
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.search.space import Choice, Dimension, Unsearched

Limit = int | tuple[QuantizerSpec, ...]
"""The most bits, or the quantizers themselves."""


@dataclass(kw_only=True)
class Part:
    """The roles of one layer: those that are searched, by dimension, and those that are fixed."""

    name: str
    class_name: str
    key: str
    dimensions: dict[Role, str] = field(default_factory=dict)
    fixed: dict[Role, QuantizerSpec] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        return not self.dimensions and not self.fixed


class Choices:
    """Collects the dimensions of a search, and what had to be left out of it."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self.loaded = loaded
        self.quantizers = loaded.config.quantization_config
        self.activation_bits = loaded.config.run.activation_bits
        self.dimensions: dict[str, Dimension] = {}
        self.notes: list[str] = []
        self.unsearched: list[Unsearched] = []

    def role(self, part: Part, role: Role, group: Group, limit: Limit) -> None:
        """Search a role over the quantizers of a group.

        Raises:
            ConfigError: none is within the limit.
        """
        options = within(self.quantizers.group(group), limit)
        if not options:
            raise self._unmet(part.key, group, limit)
        part.dimensions[role] = self._named(part, group, options)

    def like(self, part: Part, role: Role, other: Role, word: str) -> None:
        """Search a role over the same quantizers as another one of the layer, in a dimension of its own."""
        before = part.dimensions[other]
        name = before.replace(f"{other.value}_quantizer", f"{word}_quantizer")
        part.dimensions[role] = self.dimension(name, self.dimensions[before].options)

    def state(self, part: Part, limit: Limit) -> None:
        """Search a recurrent layer's state over the quantizers of the group `linear`, if any is within the limit."""
        options = within(self.quantizers.linear, limit) if isinstance(limit, int) else ()
        if options:
            part.dimensions[Role.STATE] = self._named(part, "state", options)

    def gates(self, part: Part, function: Function, limit: Limit) -> None:
        """A recurrent layer's inner activation: as `function`, but quantizers that the limit lists must compute it."""
        fitting = limit if isinstance(limit, int) else candidates(limit, function)
        self.function(part, Role.RECURRENT_ACTIVATION, function, fitting or 0, "recurrent_activation")

    def function(self, part: Part, role: Role, function: Function, limit: Limit, word: str = "activation") -> None:
        """Search how an activation function is quantized, take the automatic quantizer, or leave it and say why.

        Quantizers that the limit lists themselves are taken as they are.

        Raises:
            ConfigError: relu, the function of most candidates, has none within the limit.
        """
        if function.is_linear:
            self.role(part, role, "linear", limit)
            return
        if function.name == SOFTMAX:
            self.leave(part, "softmax is an answer, not a number to compute with")
            return
        spec = automatic(function, self.activation_bits)
        options = within(self.quantizers.activation, limit)
        if isinstance(limit, int):
            options = candidates(options, function)
        if options:
            part.dimensions[role] = self._named(part, word, options)
        elif function == Function(RELU) and role is Role.ACTIVATION:
            raise self._unmet(part.key, "activation", limit)
        elif spec is not None:
            part.fixed[role] = spec
            self.notes.append(f"{part.name}: {function} becomes {spec} (activation_bits), as no candidate computes it")
        else:
            self.leave(part, why_none(function))

    def leave(self, part: Part, reason: str) -> None:
        """Something about a layer stays as it is."""
        self.unsearched.append(Unsearched(part.name, part.class_name, reason))

    def dimension(self, name: str, options: tuple[Choice, ...]) -> str:
        self.dimensions.setdefault(name, Dimension(name, options))
        return name

    def _named(self, part: Part, word: str, specs: tuple[QuantizerSpec, ...]) -> str:
        """The dimension of a choice: the pattern's own where a pattern governs, else the layer's."""
        head = part.name if is_class(part.key) or part.key == LINEAR else part.key
        options = tuple(dict.fromkeys(specs))
        name = f"{head}_{word}_quantizer"
        if name in self.dimensions and self.dimensions[name].options != options:
            name = f"{head}_{part.name}_{word}_quantizer"
        return self.dimension(name, options)

    def _unmet(self, key: str, group: Group, limit: Limit) -> ConfigError:
        assert isinstance(limit, int)  # a list of quantizers is never empty: the configuration's check
        return self.loaded.error(("limit", key), unmet(self.quantizers, group, limit))
