"""A model by its registry name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from qsearch.errors import ModelError, did_you_mean, reason_of
from qsearch.models.presets import MODELS

if TYPE_CHECKING:
    import keras


def build_model(name: str, **options: Any) -> keras.Model:
    """The reference network of that name, with freshly initialised weights.

    They follow Keras' global seed (`keras.utils.set_random_seed`).

    Args:
        name: one of `MODELS`.
        options: fields of `BlockNetwork` or `ResidualNetwork` to change, e.g. filters=[16, [32, 32]].

    Raises:
        ModelError: unknown name or option, or options that make no network.
    """
    if name not in MODELS:
        raise ModelError(f"model {name!r}: unknown, allowed: {', '.join(MODELS)}{did_you_mean(name, MODELS)}")
    known = [field.name for field in fields(MODELS[name])]
    for option in options:
        if option not in known:
            raise ModelError(
                f"model {name!r}: unknown option {option!r}, allowed: {', '.join(known)}{did_you_mean(option, known)}"
            )
    try:
        with _as_published():
            return replace(MODELS[name], **options).build(name)
    except Exception as error:  # whatever Keras and TensorFlow say to options, and to more than the memory
        raise ModelError(f"model {name!r}: {reason_of(error)}") from None


@contextmanager
def _as_published() -> Iterator[None]:
    """Registry networks are the same on every computer, whatever keras.json says there."""
    import keras

    config = keras.config
    kept = config.image_data_format(), config.floatx()
    config.set_image_data_format("channels_last")
    config.set_floatx("float32")
    try:
        yield
    finally:
        config.set_image_data_format(kept[0])
        config.set_floatx(kept[1])
