"""A model file on the command line: its options, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from qsearch.errors import ConfigError, ModelError, shown
from qsearch.paths import expanded, unreadable
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class ModelFileOptions:
    """How files are loaded. `load_weights` belongs to an architecture in a .json file."""

    load_weights: str | None
    allow_code: bool
    custom_objects: tuple[str, ...]

    def refuse_for(self, name: str) -> None:
        """Options for a file mean nothing for a network of the registry.

        Raises:
            ConfigError: one of them is given.
        """
        given = {
            "--custom-object": bool(self.custom_objects),
            "--load-weights": self.load_weights is not None,
            "--allow-code": self.allow_code,
        }
        for option in (option for option, value in given.items() if value):
            raise ConfigError(f"{option}: is for a model file, and {name} is a network of qsearch's own; leave it out")

    def load(self, path: str) -> keras.Model:
        """The model in a file.

        Raises:
            ConfigError: a custom object that is no import path.
            ModelError: as `qsearch.load_model`.
        """
        check_custom_objects(self.custom_objects)
        with quiet_start():
            from qsearch.models import import_objects, load_model
        readable = unreadable(expanded(path)) is None
        if expanded(path).suffix == ".json" and readable and expanded(path).is_file() and self.load_weights is None:
            raise ModelError(f"{path}: holds an architecture without weights; give --load-weights FILE too")
        return load_model(path, self.allow_code, import_objects(self.custom_objects), self.load_weights)


CUSTOM_OBJECT = click.option(
    "--custom-object",
    "custom_objects",
    multiple=True,
    metavar="MODULE:CLASS",
    help="A layer class that the file needs.",
)
LOAD_WEIGHTS = click.option(
    "--load-weights",
    type=click.Path(),
    metavar="FILE",
    help="Of a MODEL that is a .json architecture: the .h5 file of save_weights.",
)

ALLOW_CODE = click.option("--allow-code", is_flag=True, help="Load Lambda layers, which run code from the file.")


def check_custom_objects(texts: Iterable[str]) -> None:
    """
    Raises:
        ConfigError: one is no import path.
    """
    from qsearch.config.fields import is_import_path

    for text in texts:
        if not is_import_path(text):
            raise ConfigError(f"--custom-object {shown(text)}: expected MODULE:CLASS, as my_package.layers:MyLayer")


def model_file_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that loads a model file; it gets `load_weights`, `allow_code` and `custom_objects`."""
    for option in (CUSTOM_OBJECT, ALLOW_CODE, LOAD_WEIGHTS):
        command = option(command)
    return command
