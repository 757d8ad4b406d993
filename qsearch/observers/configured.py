"""The observers of a configuration, made before anything is trained."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from qsearch.config import LoadedConfig
from qsearch.config.observers import ObserverConfig
from qsearch.errors import ConfigError, told
from qsearch.imports import imported, look_in
from qsearch.search.trials import Observer


class _Known(NamedTuple):
    """A module of this room with its class, and the package that it needs."""

    module: str
    name: str
    package: str


KNOWN: Mapping[str, _Known] = {
    "tensorboard": _Known("tensorboard", "TensorBoardObserver", "tensorboard"),
    "mlflow": _Known("mlflow", "MLflowObserver", "mlflow"),
    "optuna": _Known("optuna", "OptunaObserver", "optuna"),
}
"""By the name in a configuration; the extra of qsearch that has the package has the same name."""


def configured(loaded: LoadedConfig) -> list[Observer]:
    """The observers of `run.observers`, in order.

    Raises:
        ConfigError: a package that one needs is not installed, or a class of the user's own cannot be made.
    """
    return [_made(loaded, index, one) for index, one in enumerate(loaded.config.run.observers)]


def _made(loaded: LoadedConfig, index: int, config: ObserverConfig) -> Observer:
    place = ("run", "observers", index)

    def error(text: str) -> ConfigError:
        return loaded.error(place, text)

    known = KNOWN.get(config.name)
    if known is None:
        return _own(loaded, config, error)
    if find_spec(known.package) is None:
        raise error(f'{config.name} needs a package that is not installed: pip install "qsearch[{config.name}]"')
    try:
        made: Observer = getattr(import_module(f"qsearch.observers.{known.module}"), known.name)(**config.options())
    except ConfigError as problem:
        raise error(str(problem)) from None
    except Exception as problem:  # of a package that is installed, and does not work
        raise error(f"{config.name} cannot be used: {told(problem)}") from None
    return made


def _own(loaded: LoadedConfig, config: ObserverConfig, error: Callable[[str], ConfigError]) -> Observer:
    """An observer of the user's own: an instance of the class, or what the function gives."""
    look_in(Path(loaded.source.name).parent)
    make = imported(config.name, error)
    if not callable(make):
        raise error(f"{config.name}: is no class and no function that makes an observer")
    try:
        made: Observer = make(**(config.arguments or {}))
    except Exception as problem:  # whatever the user's code does
        raise error(f"{config.name} fails when it is made: {told(problem)}") from None
    if inspect.isclass(made) or not callable(getattr(made, "trial_ended", None)):
        raise error(f"{config.name}: gives no observer; derive its class from qsearch.Observer")
    return made
