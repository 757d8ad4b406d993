"""--data on the command line: a built-in data set, a file of arrays, or a function that gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qsearch.config.names import DATASETS
from qsearch.errors import ConfigError, did_you_mean, shown

if TYPE_CHECKING:
    from qsearch.runner.drafted import DataChoice
    from qsearch.runner.survey import Survey


def named_data(name: str, seen: Survey) -> DataChoice:
    """What a person means by the name of data for a model.

    Raises:
        ConfigError: it is none of these, or has other shapes than the model takes.
    """
    from qsearch.config.fields import is_import_path
    from qsearch.datasets.shapes import DATA_SHAPES
    from qsearch.runner.drafted import DataChoice, needed, suits

    if name in DATASETS:
        shape = DATA_SHAPES.get(name)
        if shape is not None and not suits(name, seen):
            raise ConfigError(
                f"--data {name}: has samples of {shape.sample} in {shape.classes} classes, and {seen.name} takes "
                f"{'; '.join(needed(seen))}"
            )
        return DataChoice(name=name)
    if name.endswith(".npz"):
        return DataChoice(npz=name)
    if is_import_path(name):
        return DataChoice(factory=name)
    raise ConfigError(
        f"--data {shown(name)}: expected one of {', '.join(DATASETS)}, a .npz file, or module:function"
        f"{did_you_mean(name, DATASETS)}"
    )
