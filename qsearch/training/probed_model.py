"""The one model of all plans, in which each choice can be left as it is, and in which what is quantized is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from qsearch.graph.walk import core_of, operations_by_path
from qsearch.layers.held import holders_of
from qsearch.layers.quantized import QuantizedLayer
from qsearch.plan import Role
from qsearch.quantize.apply import apply_plan
from qsearch.quantize.transfer import transfer_weights
from qsearch.quantizers.arithmetic.draws import Seeds
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.switched import Switched
from qsearch.search.space import Choice, SearchSpace, Values
from qsearch.training.shared_model import SharedModel

Function = Callable[[Any], Any]


class AsItIs(Quantizer):
    """y = f(x): no quantizer, but what the reference has in its place; f is the identity, or an activation."""

    def __init__(self, function: Function | None, like: Quantizer) -> None:
        self.function = function
        self._spec = like.spec
        self.seeds: Seeds | None = None

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        return tf.identity(x) if self.function is None else self.function(x)

    def max(self) -> float:
        return 1.0

    def min(self) -> float:
        return -1.0

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)


@dataclass(frozen=True, kw_only=True)
class Tap:
    """What a quantizer was given, and what it made of it, in one call.

    Attributes:
        place: the same for all calls of one role of one layer.
        is_weight: whether it is the same for all samples.
    """

    dimension: str
    place: str
    is_weight: bool
    options: Sequence[Quantizer]
    given: Any
    made: Any


_ACTIVATIONS = (Role.ACTIVATION, Role.RECURRENT_ACTIVATION, Role.DEPTHWISE_ACTIVATION, Role.OUTPUT)


class _Probed(Switched):
    """A choice that can be seen. The last of its options is `AsItIs`."""

    def __init__(
        self, options: Sequence[Quantizer], index: Any, model: ProbedModel, dimension: str, place: tuple[str, Role]
    ) -> None:
        super().__init__(options, index)
        self._of, self._dimension, self._place = model, dimension, place

    def __call__(self, x: Any, training: bool | None = None) -> Any:
        made = super().__call__(x, training=training)
        layer, role = self._place
        # inside of a loop (the cell of a recurrent layer) there is no gradient that could be had from outside
        if self._of.taps is None or getattr(made, "graph", None) is not self._of.graph:
            return made
        made = tf.identity(made)
        tap = Tap(
            dimension=self._dimension,
            place=f"{layer}/{role.value}",
            is_weight=role not in _ACTIVATIONS,
            options=self.options,
            given=tf.convert_to_tensor(x),
            made=made,
        )
        self._of.taps.append(tap)
        return made

    def for_weights(self) -> Switched:
        options = [option.for_weights() for option in self.options]
        return _Probed(options, self.index, self._of, self._dimension, self._place)


class ProbedModel(SharedModel):
    """`SharedModel` whose choices can be left as they are in the reference, all but one, for example.

    Attributes:
        taps: what quantizers see while `tapped`, else None.

    Raises:
        NotShareableError: as `SharedModel`.
    """

    def __init__(self, reference: keras.Model, space: SearchSpace) -> None:
        self.reference = reference
        self.taps: list[Tap] | None = None
        self.graph: Any = None
        self._operations = operations_by_path(reference)
        super().__init__(reference, space)

    def _switched(self, options: list[Quantizer], index: Any, layer: str, role: Role) -> Switched:
        found = next(one for one in self.space.layers if one.name == layer).dimensions[role]
        as_it_is = AsItIs(_function(self._operations.get(layer), role), options[0])
        return _Probed([*options, as_it_is], index, self, found, (layer, role))

    @contextmanager
    def tapped(self) -> Iterator[list[Tap]]:
        """In a graph that is being traced: what quantizers see is listed."""
        self.taps, self.graph = [], tf.compat.v1.get_default_graph()
        try:
            yield self.taps
        finally:
            self.taps = self.graph = None

    def load_weights_of(self, values: Values) -> None:
        """Become a plan with the reference's weights; narrower layers keep their strongest channels.

        What has no value is left as it is: its quantizer, or its width.
        """
        first = {name: options[0] for name, options in self.options.items() if name not in self.space.widths}
        model = apply_plan(self.reference, self.space.plan({**first, **values}))
        transfer_weights(self.reference, model)
        self.load(model, {**first, **values})
        for name in self.indexes:
            if name not in values:
                self.choose_option(name, None)

    def choose_option(self, dimension: str, option: Choice | None) -> None:
        """Take another option of a choice of quantizers; None: leave it as it is."""
        options = self.options[dimension]
        self.indexes[dimension].assign(len(options) if option is None else options.index(option))


def _function(operation: Any, role: Role) -> Function | None:
    """What the reference computes where a role has no quantizer; None for the identity."""
    if role is Role.OUTPUT or operation is None:
        return None
    holders = [holder for _, holder in holders_of(core_of(operation))] if _is_layer(operation) else [operation]
    if role in _ACTIVATIONS:
        attribute = "activation" if role is Role.ACTIVATION else role.value
        own = getattr(holders[0], attribute, None)
        if callable(own):
            return own  # type: ignore[no-any-return]
        # an activation layer, or a raw operation, is its activation itself
        return operation if role is Role.ACTIVATION and not hasattr(holders[0], "activation") else None
    for holder in holders:
        if isinstance(holder, QuantizedLayer):
            prefixes = {known: prefix for prefix, known in holder.ROLES.items()}
            return holder.suited.in_use.get(prefixes.get(role, ""))
    return None


def _is_layer(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Layer)
