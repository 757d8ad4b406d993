"""Arguments of several commands, each with what a shell offers for it: configurations, folders of runs, models."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from qsearch.config.shipped import shipped_configs


class _Completed(click.Path):
    """A path; a shell offers those that `wanted` takes, and the folders on the way to them."""

    def __init__(
        self,
        wanted: Callable[[os.DirEntry[str]], bool],
        more: Callable[[], list[str]] = list,
        path_type: type[Path] | type[str] = Path,
    ) -> None:
        super().__init__(path_type=path_type)
        self._wanted = wanted
        self._more = more

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        names = [name for name in self._more() if name.startswith(incomplete)]
        return [CompletionItem(name) for name in (*names, *self._paths(incomplete))]

    def _paths(self, start: str) -> list[str]:
        found = sorted(_entries(start, self._wanted))
        # a shell puts a space behind the only one that is left, so that a folder is entered at once
        if len(found) == 1 and found[0].endswith("/"):
            return self._paths(found[0]) or found
        return found


def _entries(start: str, wanted: Callable[[os.DirEntry[str]], bool]) -> Iterator[str]:
    folder, _, name = start.rpartition("/")
    head = f"{folder}/" if "/" in start else ""
    try:
        with os.scandir(Path(head or ".").expanduser()) as entries:
            for entry in entries:
                hidden = entry.name.startswith(".") and not name.startswith(".")
                if hidden or not entry.name.startswith(name):
                    continue
                if wanted(entry):
                    yield f"{head}{entry.name}"
                elif entry.is_dir():
                    yield f"{head}{entry.name}/"
    except (OSError, RuntimeError):  # a folder that is not there or closed, a ~ that nobody has
        return


def _is_yaml(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith((".yaml", ".yml")) and entry.is_file()


def _is_run(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir() and Path(entry.path, "config.yaml").is_file()


def _is_model(entry: os.DirEntry[str]) -> bool:
    return entry.name.endswith(MODEL_ENDINGS) and entry.is_file()


def _networks() -> list[str]:
    from qsearch.config.names import MODELS

    return [*MODELS]


MODEL_ENDINGS = (".keras", ".h5", ".hdf5", ".json")
CONFIG_FILE = _Completed(_is_yaml, lambda: [*shipped_configs()])
"""A configuration: a YAML file, or the name of one that comes with qsearch."""
RUN_FOLDER = _Completed(_is_run)
"""The folder of a run."""
RUN_TEXT = _Completed(_is_run, path_type=str)
"""The same as it was written."""
MODEL_FILE = _Completed(_is_model, path_type=str)
"""A model file."""
MODEL_OR_NAME = _Completed(_is_model, _networks, path_type=str)
"""A model file, or a network of qsearch's own."""
RUN_OR_MODEL = _Completed(lambda entry: _is_run(entry) or _is_model(entry), path_type=str)
"""The folder of a run, or a model file."""


def is_there(path: Path) -> bool:
    """Whether the system has something at a path."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False
