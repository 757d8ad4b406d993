"""One Keras model for all plans of a search: quantizers and widths are chosen at run time, and nothing is traced again.

It is an ordinary quantized model. Where plans differ, its layers hold quantizers that choose (`Switched`), and its
variables take arrays of other shapes (`Resizable`): they become what the variables of a candidate's own model are, and
every layer computes what it always does. So a candidate is trained to the same bits either way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy
import tensorflow as tf

from qsearch.errors import layer_of, reason_of
from qsearch.graph.walk import core_of, layers_by_path
from qsearch.layers.constraints import Clip, clip_for
from qsearch.layers.held import holders_of
from qsearch.layers.quantized import QuantizedLayer
from qsearch.plan import Role, output_layer
from qsearch.quantize.apply import apply_plan
from qsearch.quantizers import get
from qsearch.quantizers.base import Quantizer
from qsearch.quantizers.spec import QuantizerSpec
from qsearch.quantizers.switched import Switched
from qsearch.search.space import SearchSpace, Values
from qsearch.training.resizable import Resizable, Shape, assign_all, varying

_CONVOLUTIONS = (
    *(keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D),
    *(keras.layers.Conv1DTranspose, keras.layers.Conv2DTranspose, keras.layers.Conv3DTranspose),
    *(keras.layers.SeparableConv1D, keras.layers.SeparableConv2D),
)
"""Those of Keras that have `filters`."""
_KERNELS = (Role.KERNEL, Role.POINTWISE, Role.RECURRENT)
"""Whose quantizers may scale themselves."""
_FUNCTIONS: Mapping[Role, str] = {
    Role.ACTIVATION: "activation",
    Role.RECURRENT_ACTIVATION: "recurrent_activation",
}
"""Attributes that hold the quantizers of these roles."""
_UNKNOWN_SIDE = 8
"""Of inputs for a trial run, where any is possible."""


class NotShareableError(Exception):
    """Something of a model cannot be chosen at run time; the message names it."""


class _SwitchedClip(keras.constraints.Constraint):  # type: ignore[misc]
    """The clipping that the chosen quantizer asks for."""

    def __init__(self, clips: list[Clip], index: Any) -> None:
        self.least = tf.constant([clip.min_value for clip in clips], tf.float32)
        self.greatest = tf.constant([clip.max_value for clip in clips], tf.float32)
        self.index = index

    @classmethod
    def of(cls, in_use: Switched) -> _SwitchedClip:
        return cls([clip_for(option) for option in in_use.options], in_use.index)

    def __call__(self, w: Any) -> Any:
        w, chosen = tf.convert_to_tensor(w), tf.convert_to_tensor(self.index)
        ends = (tf.cast(tf.gather(bounds, chosen), w.dtype) for bounds in (self.least, self.greatest))
        return keras.ops.clip(w, *ends)


class SharedModel:
    """The model of a space; `load` makes it the one of a plan.

    Attributes:
        model: the Keras model, whose outputs are those of the plan that was loaded last.

    Raises:
        NotShareableError: naming the layer and the cause.
    """

    def __init__(self, reference: keras.Model, space: SearchSpace) -> None:
        if tf.distribute.has_strategy():
            raise NotShareableError("it would be trained on several devices")
        self.space = space
        self.options = {one.name: one.options for one in space.dimensions}
        wide, narrow = (self._model(reference, choose) for choose in (max, min))
        self.model = wide
        self.indexes: dict[str, Any] = {}
        self._switch()
        self.variables = list(wide.variables)  # weights, and the seeds of layers that draw
        self.resizables = self._released(narrow)
        self.shapes: dict[int, Shape] = {id(one.variable): one.shape for one in self.resizables}
        self._check(reference, narrow)

    def _model(self, reference: keras.Model, choose: Any) -> keras.Model:
        return apply_plan(reference, self.space.plan(self.space.at_widths(choose)))

    def _switch(self) -> None:
        """Let each searched role choose."""

        def made(options: list[Quantizer], dimension: str, layer: str, role: Role) -> Switched:
            index = self.indexes.setdefault(dimension, tf.Variable(0, trainable=False, name="chosen"))
            return self._switched(options, index, layer, role)

        install(self.model, self.space, made, _SwitchedClip.of)

    def _switched(self, options: list[Quantizer], index: Any, layer: str, role: Role) -> Switched:
        """What chooses in a role of a layer."""
        return Switched(options, index)

    def _released(self, narrow: keras.Model) -> list[Resizable]:
        """The weights, free to have the shapes of any width."""
        found = []
        for variable, other in zip(self.model.weights, narrow.weights, strict=True):
            if len(variable.shape) != len(other.shape):
                raise NotShareableError(f"{variable.path} has another number of axes at other widths")
            found.append(Resizable(variable, varying(variable.shape, other.shape)))
        for one in found:
            one.release()
        for layer in layers_by_path(self.model).values():
            _open_bias(core_of(layer))
        return found

    def hold(self) -> None:
        """Let the weights have the shapes that they have now, for an optimizer to make its variables by."""
        for one in self.resizables:
            one.hold()

    def release(self) -> None:
        for one in self.resizables:
            one.release()

    def load(self, model: keras.Model, values: Values) -> None:
        """Become the model of a plan, with another's weights and seeds.

        Args:
            model: the ordinary model of the plan, not compiled.
            values: what the plan chooses.
        """
        self.choose(values)
        assign_all(self.variables, model.variables)

    def choose(self, values: Values) -> None:
        """Compute with the quantizers of a plan; its weights are still to come."""
        for dimension, index in self.indexes.items():
            index.assign(self.options[dimension].index(values[dimension]))

    def weights(self) -> list[Any]:
        """Those of the plan that is loaded, as its ordinary model has them."""
        return [variable.numpy() for variable in self.model.weights]

    def _check(self, reference: keras.Model, narrow: keras.Model) -> None:
        """Hold the outputs against those of ordinary models, at both ends of the widths."""
        try:
            inputs = [sample(tensor) for tensor in self.model.inputs]
            given = inputs if len(inputs) > 1 else inputs[0]
            called = tf.function(self.model, autograph=False)  # where widths are not known, as in training
            self.load(narrow, self.space.at_widths(min))
            called(given, training=True)  # what changes by it is loaded anew for each candidate
            for model, choose in ((narrow, min), (self._model(reference, max), max)):
                self.load(model, self.space.at_widths(choose))
                found = zip(flat(called(given)), flat(model(given)), strict=True)
                if not all(numpy.array_equal(one, other, equal_nan=True) for one, other in found):
                    raise NotShareableError("it computes something else at other widths")
        except NotShareableError:
            raise
        except Exception as error:  # whatever a layer cannot do with shapes that it does not know
            place = layer_of(error)
            raise NotShareableError(f"{place + ': ' if place else ''}{reason_of(error)}") from None


def install(
    model: keras.Model,
    space: SearchSpace,
    make: Callable[[list[Quantizer], str, str, Role], Quantizer],
    clip: Callable[[Any], keras.constraints.Constraint],
) -> None:
    """Put a quantizer that is made of all options where the quantizer of each searched role is.

    Args:
        make: of the options, their dimension, the layer's name and the role.
        clip: keeps weights where one of the options can follow.

    Raises:
        NotShareableError: naming the layer.
    """
    layers = layers_by_path(model)
    every = {one.name: one.options for one in space.dimensions}
    for layer in space.layers:
        for role, dimension in layer.dimensions.items():
            given = (get(option) for option in every[dimension] if isinstance(option, QuantizerSpec))
            options = [quantizer for quantizer in given if quantizer is not None]
            if role is Role.OUTPUT:
                layers[output_layer(layer.name)].activation = make(options, dimension, layer.name, role)
            else:
                for _, holder in holders_of(core_of(layers[layer.name])):
                    _install(holder, layer.name, role, make(options, dimension, layer.name, role), clip)


def _install(
    holder: Any,
    name: str,
    role: Role,
    several: Quantizer,
    clip: Callable[[Any], keras.constraints.Constraint],
) -> None:
    """Put a quantizer where a layer's, or its cell's, own one is."""
    function = _FUNCTIONS.get(role)
    if function is not None and hasattr(holder, function):
        setattr(holder, function, several)
        return
    prefixes = {known: prefix for prefix, known in getattr(holder, "ROLES", {}).items()}
    if not isinstance(holder, QuantizedLayer) or role not in prefixes:
        raise NotShareableError(f"{name}: the {role.value} of a {type(holder).__name__} is fixed when it is made")
    prefix = prefixes[role]
    in_use = several.for_weights() if role in _KERNELS else several
    variable = holder.weight_parts()[prefix].variable if prefix in holder.weight_parts() else None
    variable = getattr(holder, "bias" if prefix == "bias" else "kernel", None) if variable is None else variable
    if variable is not None and isinstance(variable.constraint, Clip) and holder.suited.asked_for(prefix) is None:
        variable.constraint = clip(in_use)
    holder.suited = replace(holder.suited, in_use={**holder.suited.in_use, prefix: in_use})


def _open_bias(layer: Any) -> None:
    """Let a convolution of Keras' own reshape its bias by what it is, not by the filters that it was made with.

    What Keras then sums a bias' gradient in is another order than in the ordinary model: where a normalization behind
    it makes that gradient 0, what is left of it is rounding.
    """
    if isinstance(layer, _CONVOLUTIONS) and not isinstance(layer, QuantizedLayer):
        layer.filters = -1


def sample(tensor: Any) -> Any:
    """Two samples by chance, of the shape of an input."""
    shape = (2, *(side or _UNKNOWN_SIDE for side in tensor.shape[1:]))
    if keras.backend.is_float_dtype(tensor.dtype):
        return numpy.random.default_rng(0).normal(size=shape).astype(tensor.dtype)
    if tensor.dtype == "string":
        raise NotShareableError(f"{tensor.name}: inputs are texts")
    return numpy.zeros(shape, tensor.dtype)


def flat(outputs: Any) -> list[Any]:
    """The outputs of a model as arrays."""
    return [numpy.asarray(one) for one in keras.tree.flatten(outputs)]
