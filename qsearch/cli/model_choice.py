"""MODEL on the command line: a network's name, a model file, or a function that builds one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsearch.config.fields import is_import_path
from qsearch.config.names import MODELS
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.paths import expanded
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.runner.model_choice import ModelChoice

MODEL_ENDINGS = (".keras", ".h5", ".hdf5", ".json")


def chosen_model(model: str, weights: str | None, custom_objects: tuple[str, ...]) -> ModelChoice:
    """What MODEL means; a file of that name comes first.

    Raises:
        ConfigError: it is none of these, or an option that belongs to another kind.
    """
    with quiet_start():
        from qsearch.runner.model_choice import ModelChoice

    path = expanded(model)
    options = {"--load-weights": weights is not None, "--custom-object": bool(custom_objects)}
    if not path.exists() and (model in MODELS or is_import_path(model)):
        for option in (name for name, given in options.items() if given):
            raise ConfigError(f"{option}: is for a model file, and {model} is none; leave it out")
        return ModelChoice(name=model) if model in MODELS else ModelChoice(factory=model)
    if path.suffix not in MODEL_ENDINGS and not path.exists():
        raise ConfigError(
            f"MODEL {shown(model)}: expected a model file (.keras, .h5, .json), module:function, or one of "
            f"{', '.join(MODELS)}{did_you_mean(model, MODELS)}"
        )
    for text in custom_objects:
        if not is_import_path(text):
            raise ConfigError(f"--custom-object {shown(text)}: expected MODULE:CLASS, as my_package.layers:MyLayer")
    return ModelChoice(path=model, weights=weights, custom_objects=custom_objects)
