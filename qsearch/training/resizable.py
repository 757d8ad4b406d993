"""Variables of a Keras model whose shape may change after its training step was traced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy
import tensorflow as tf

Shape = tuple[int | None, ...]


def varying(one: Sequence[int], other: Sequence[int]) -> Shape:
    """The shape of a variable that has both of these: None where they differ."""
    return tuple(a if a == b else None for a, b in zip(one, other, strict=True))


class Resizable:
    """A Keras variable that holds arrays of any shape that fits `shape`.

    Keras makes variables of one shape only. What it keeps of one, the variable of TensorFlow and the shape, are
    exchanged in two steps, as an optimizer makes its own variables by the shape that it reads in between.
    """

    def __init__(self, variable: Any, shape: Shape) -> None:
        self.variable, self.shape = variable, shape
        if None in shape:
            value = variable.value
            variable._value = tf.Variable(
                tf.convert_to_tensor(value),
                shape=shape,
                validate_shape=False,
                trainable=variable.trainable,
                name=variable.name,
            )

    def hold(self) -> None:
        """Have the shape of the value, and no other."""
        self.variable._shape = self.variable.numpy().shape

    def release(self) -> None:
        """Let other shapes be assigned from now on."""
        if None in self.shape:
            self.variable._shape = self.shape


def resizable_optimizer(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer like the given one, which knows what each of its variables belongs to: `belongs`."""
    kind: Any = type(optimizer)

    class Followed(kind):  # type: ignore[misc]
        """An optimizer of Keras; it is never saved, as it is known to nobody else."""

        def add_variable_from_reference(self, reference_variable: Any, *args: Any, **kwargs: Any) -> Any:
            made = super().add_variable_from_reference(reference_variable, *args, **kwargs)
            self.__dict__.setdefault("belongs", {})[id(made)] = reference_variable
            return made

    return Followed.from_config(optimizer.get_config())


class Slots:
    """The variables of an optimizer, made anew for variables of other shapes.

    Raises:
        ValueError: an optimizer with variables of shapes of its own, such as Adafactor.
    """

    def __init__(self, optimizer: Any, shapes: dict[int, Shape]) -> None:
        belongs = optimizer.__dict__.get("belongs", {})
        self.parts: list[tuple[Any, Any, Any]] = []
        slots = []
        for variable in optimizer.variables:
            value = numpy.asarray(variable)
            owner = belongs.get(id(variable))
            if owner is None and value.ndim:
                raise ValueError(f"{type(optimizer).__mro__[1].__name__} keeps tensors of shapes of its own")
            if owner is not None and numpy.ptp(value):
                raise ValueError(f"{type(optimizer).__mro__[1].__name__} starts from values that differ")
            self.parts.append((variable, owner, value if owner is None else value.dtype.type(value.flat[0])))
            if owner is not None:
                slots.append(Resizable(variable, shapes[id(owner)]))
        for slot in slots:
            slot.release()

    def reset(self) -> None:
        """As in a fresh optimizer for the shapes that the variables have now; but for the learning rate."""
        for variable, owner, value in self.parts:
            if owner is None:
                variable.assign(value)
            else:
                variable.assign(numpy.full(owner.numpy().shape, value))


def assign_all(variables: Iterable[Any], values: Iterable[Any]) -> None:
    """Give variables their values, whose shapes may be others than before."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
