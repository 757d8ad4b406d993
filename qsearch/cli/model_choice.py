"""MODEL on the command line: a network's name, a model file, or a function that builds one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli.arguments import MODEL_ENDINGS
from qsearch.cli.model_file import CUSTOM_OBJECT, LOAD_WEIGHTS, check_custom_objects
from qsearch.config.names import MODELS
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.paths import expanded
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.runner.model_choice import ModelChoice


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of a command that takes such a MODEL; it gets `load_weights`, `custom_objects` and `arguments`."""
    for option in (
        click.option(
            "--argument",
            "arguments",
            multiple=True,
            metavar="KEY=VALUE",
            help="What the function of module:function is called with.",
        ),
        CUSTOM_OBJECT,
        LOAD_WEIGHTS,
    ):
        command = option(command)
    return command


def chosen_model(
    model: str,
    weights: str | None,
    custom_objects: tuple[str, ...],
    arguments: Sequence[str] = (),
    allow_code: bool = False,
) -> ModelChoice:
    """What MODEL means; a file of that name comes first.

    Args:
        allow_code: whether Lambda layers of a file are loaded.

    Raises:
        ConfigError: it is none of these, or an option that belongs to another kind.
    """
    from qsearch.config.fields import is_import_path

    with quiet_start():
        from qsearch.runner.model_choice import ModelChoice

    path = expanded(model)
    options = {
        "--load-weights": weights is not None,
        "--custom-object": bool(custom_objects),
        "--allow-code": allow_code,
    }
    called_with = arguments_of(arguments)
    if called_with and (path.exists() or not is_import_path(model)):
        raise ConfigError(f"--argument: is for module:function, and {model} is none; leave it out")
    if not path.exists() and (model in MODELS or is_import_path(model)):
        for option in (name for name, given in options.items() if given):
            raise ConfigError(f"{option}: is for a model file, and {model} is none; leave it out")
        named = model in MODELS
        return ModelChoice(name=model) if named else ModelChoice(factory=model, arguments=called_with)
    if path.suffix not in MODEL_ENDINGS and not path.exists():
        raise ConfigError(
            f"MODEL {shown(model)}: expected a model file (.keras, .h5, .json), module:function, or one of "
            f"{', '.join(MODELS)}{did_you_mean(model, MODELS)}"
        )
    check_custom_objects(custom_objects)
    return ModelChoice(path=model, weights=weights, custom_objects=custom_objects, allow_code=allow_code)


def arguments_of(texts: Sequence[str]) -> Mapping[str, Any]:
    """KEY=VALUE each, whose values are YAML, as in a file.

    Raises:
        ConfigError: one is not that.
    """
    from qsearch.config.yaml_reader import parse_source

    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(f"--argument {shown(text)}: expected KEY=VALUE, as width=32")
        source = parse_source(value.strip() or "null", f"--argument {key}", "found no value")
        if source.problems:
            raise ConfigError("\n".join(map(str, source.problems)))
        found[key] = source.data
    return found
