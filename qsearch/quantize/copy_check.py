"""Can a model be copied? Found out before anything is trained."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy

from qsearch.errors import ModelError, reason_of
from qsearch.graph.walk import calls_of, layers_by_path, operations_by_path
from qsearch.models import custom_objects_in, load_model
from qsearch.models.custom import custom_parts, is_custom
from qsearch.paths import temporary_folder
from qsearch.plan import QuantizationPlan
from qsearch.quantize.apply import apply_plan

_SAMPLES = 2
_OPEN = 8
"""What a size is taken to be that a model leaves open."""
_TOLERANCE = 1e-4


def check_copies(model: keras.Model, plan: QuantizationPlan, own: Mapping[str, Any] | None = None) -> None:
    """Copy a model as it is and with a plan, and see that the copies are what they should be.

    The copy with the original's weights must compute what the original does, on inputs made up here; models whose
    inputs are no numbers, that fail on those, or that are random at inference too are taken at their word. Where
    objects of the user's own are in a model, its quantized copy must also come back from a file; where lambdas are,
    which no file gives back whole, its weights must.

    Args:
        plan: one of those that a search will make.
        own: classes and functions of the user's own that files may name, besides those found in the model.

    Raises:
        ModelError: a layer that cannot be copied, or whose copy computes something else.
    """
    with _undisturbed(model):
        copy = apply_plan(model, QuantizationPlan())
        _give_weights(model, copy)
        _compare(model, copy)
        quantized = apply_plan(model, plan)
    objects = custom_objects_in(model)
    if any(is_custom(layer) or any(custom_parts(layer)) for layer in model._flatten_layers()):
        _check_file(quantized, {**objects, **(own or {})})


@contextmanager
def _undisturbed(model: keras.Model) -> Iterator[None]:
    """The model's state, and the draws of whoever comes next, stay what they are."""
    states = random.getstate(), numpy.random.get_state()
    variables = [(variable, numpy.array(variable)) for variable in model.non_trainable_variables]
    try:
        yield
    finally:
        random.setstate(states[0])
        numpy.random.set_state(states[1])
        for variable, value in variables:
            variable.assign(value)


def _give_weights(model: keras.Model, copy: keras.Model) -> None:
    _check_sharing(model)
    copies = operations_by_path(copy)
    for path, layer in operations_by_path(model).items():
        if not isinstance(layer, keras.layers.Layer):
            continue
        other = copies.get(path)
        if other is None or [w.shape for w in layer.weights] != [w.shape for w in other.weights]:
            raise ModelError(_differs(path, layer, "has other weights in a copy"))
    copy.set_weights(model.get_weights())


def _check_sharing(model: keras.Model) -> None:
    """Copies of two layers do not share what the layers share inside: an activation with weights, a layer of theirs."""
    owners: dict[int, str] = {}
    for path, layer in layers_by_path(model).items():
        for part in layer._flatten_layers():
            first = owners.setdefault(id(part), path)
            if first != path and (part.weights or not part.built):
                raise ModelError(
                    f"layers {first!r} and {path!r} share the weights of {type(part).__name__} {part.name!r}, which "
                    f"copies would not; give each a {type(part).__name__} of its own"
                )


def _compare(model: keras.Model, copy: keras.Model) -> None:
    inputs = _inputs(model)
    if inputs is None:
        return
    try:
        expected, again = _computed(model, inputs), _computed(model, inputs)
    except Exception:  # what was made up is nothing that this model takes
        return
    if not _equal(expected, again):
        return  # random at inference
    try:
        if _equal(expected, _computed(copy, inputs)):
            return
    except Exception:  # of a layer that the loop below finds
        pass
    copies = operations_by_path(copy)
    paths = {id(layer): path for path, layer in operations_by_path(model).items()}
    last: tuple[str, Any] | None = None
    for layer, args, kwargs, outputs in _calls(model, inputs):
        path = paths.get(id(layer), str(layer.name))
        last = path, layer
        try:
            same = _equal(outputs, copies[path](*args, **kwargs))
        except Exception as error:  # of the user's own code, whatever it may be
            raise ModelError(_differs(path, layer, f"fails in a copy ({reason_of(error)})")) from error
        if not same:
            raise ModelError(_differs(path, layer, "computes something else in a copy"))
    path, layer = last or (model.name, model)
    raise ModelError(_differs(path, layer, "computes something else in a copy"))


def _differs(path: str, layer: Any, what: str) -> str:
    return (
        f"layer {path!r}: {type(layer).__name__} {what}, which trials are made of; its get_config must return every "
        "argument of its __init__"
    )


_MOST_VALUES = 20_000_000
"""Of one input; a comparison that takes gigabytes is left out."""


def _inputs(model: keras.Model) -> list[Any] | None:
    """Values for the model's inputs, the same each time; None where some are no numbers."""
    if isinstance(model, keras.Sequential) and not model.built:
        return None
    drawn = numpy.random.default_rng(0)
    values: list[Any] = []
    for tensor in model.inputs:
        shape = [_SAMPLES if tensor.shape[0] is None else tensor.shape[0]]
        shape += [_OPEN if side is None else side for side in tensor.shape[1:]]
        kind = keras.backend.standardize_dtype(tensor.dtype)
        if math.prod(shape) > _MOST_VALUES:
            return None
        if kind.startswith(("float", "bfloat")):
            values.append(keras.ops.cast(drawn.normal(size=shape), kind))
        elif kind.startswith(("int", "uint", "bool")):
            values.append(keras.ops.cast(drawn.integers(0, 2, shape), kind))
        else:
            return None
    return values


def _computed(model: keras.Model, inputs: list[Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if isinstance(model, keras.Sequential):
            return model(inputs[0], training=False)
        return model(keras.tree.pack_sequence_as(model.input, inputs), training=False)


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(keras.tree.flatten(one), keras.tree.flatten(other), strict=False)
    return all(_close(numpy.asarray(a), numpy.asarray(b)) for a, b in pairs)


def _close(one: Any, other: Any) -> bool:
    if one.shape != other.shape or one.dtype.kind not in "biuf":
        return bool(one.shape == other.shape)
    one, other = one.astype("float64"), other.astype("float64")
    most = float(numpy.abs(one[numpy.isfinite(one)]).max(initial=1.0))
    return bool(numpy.allclose(one, other, rtol=_TOLERANCE, atol=_TOLERANCE * most, equal_nan=True))


def _calls(model: keras.Model, inputs: list[Any]) -> Iterator[tuple[Any, tuple[Any, ...], dict[str, Any], Any]]:
    """Every call of a layer at inference: the layer, what it is called with, what it gives. Nested models entered."""
    functional = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
    known = dict(zip(map(id, functional.inputs), inputs, strict=True))

    def filled(value: Any) -> Any:
        return known.get(id(value)) if isinstance(value, keras.KerasTensor) else value

    for call in calls_of(functional):
        if not call.input_tensors:
            continue
        args = keras.tree.map_structure(filled, call.arguments.args)
        kwargs = keras.tree.map_structure(filled, call.arguments.kwargs)
        operation = call.operation
        if isinstance(operation, keras.Model):
            yield from _calls(operation, keras.tree.flatten(args))
        outputs = operation(*args, **kwargs)
        if not isinstance(operation, keras.Model):
            yield operation, args, kwargs, outputs
        for tensor, value in zip(call.outputs, keras.tree.flatten(outputs), strict=True):
            known[id(tensor)] = value


def _check_file(model: keras.Model, own: Mapping[str, Any]) -> None:
    """Save a model and load it again; what a file cannot hold must not be found out when all is trained."""
    with temporary_folder() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = folder / "model.keras"
        try:
            model.save(path)
            if any(_is_lambda(layer) for layer in model._flatten_layers()):
                model.load_weights(path)
            else:
                load_model(path, allow_code=True, custom_objects=own)
        except Exception as error:  # layers of the user's own, functions without a name
            reason = reason_of(error).replace(f"{path}: ", "")
            raise ModelError(f"{model.name}: cannot be saved and loaded again: {reason}{_hint(model)}") from None


def _is_lambda(layer: Any) -> bool:
    return isinstance(layer, keras.layers.Lambda) and getattr(layer.function, "__name__", "") == "<lambda>"


def _hint(model: keras.Model) -> str:
    """The first layer that was given a function without a name, which files do not hold."""
    for layer in model._flatten_layers():
        function = getattr(layer, "activation", None)
        if getattr(function, "__name__", "") == "<lambda>":
            return f"; layer {layer.name!r}: its activation is a lambda; make it a function with a name"
    return "; see that every layer's get_config and from_config fit together"
