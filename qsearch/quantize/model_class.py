"""A copy of a model's own class, so that its train_step is the copy's too."""

from __future__ import annotations

import inspect
from typing import Any

import keras

from qsearch.errors import ModelError, reason_of
from qsearch.models.custom import is_custom

_FUNCTIONAL = ("inputs", "outputs", "name", "trainable")
_SEQUENTIAL = ("layers", "name", "trainable")


def same_class(model: keras.Model, *parts: Any) -> keras.Model:
    """A model of the class of `model`, made of inputs and outputs, or of the layers of a Sequential one.

    What was set on the original after it was made is not set on the copy yet; see `attributes`.

    Raises:
        ModelError: the class has an __init__ of its own that takes something else.
    """
    kind = type(model)
    if not is_custom(kind):
        return kind(*parts, name=model.name)
    _check_init(model)
    try:
        return kind(*parts, name=model.name)
    except Exception as error:  # the user's own code
        reason = reason_of(error)
        raise ModelError(f"{model.name}: {_cannot(model)}: {reason}; {_remedy(model)}") from None


def _check_init(model: keras.Model) -> None:
    own = next(base for base in type(model).__mro__ if "__init__" in vars(base))
    if not is_custom(own):
        return
    known = _allowed(model)
    given = list(inspect.signature(own.__init__).parameters.values())[1:]  # type: ignore[misc]
    others = [part.name for part in given if part.kind not in _VARIABLE and part.name not in known]
    if others or (not {part.name for part in given} & {known[0]} and not any(part.kind in _VARIABLE for part in given)):
        takes = ", ".join(part.name for part in given) or "nothing"
        raise ModelError(f"{model.name}: {_cannot(model)}: its __init__ takes {takes}; {_remedy(model)}")


_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _allowed(model: keras.Model) -> tuple[str, ...]:
    return _SEQUENTIAL if isinstance(model, keras.Sequential) else _FUNCTIONAL


def _cannot(model: keras.Model) -> str:
    return f"a quantized copy cannot be of its class {type(model).__name__}"


def _remedy(model: keras.Model) -> str:
    wanted = ", ".join(_allowed(model)[:-1])
    return f"give it an __init__ of {wanted} alone, or none, and set the rest on the model afterwards"
