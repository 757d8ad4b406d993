"""What a run of a configuration would import, read and write, from the file alone: nothing is imported for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsearch.config.import_paths import import_paths
from qsearch.config.load import LoadedConfig
from qsearch.config.yaml_source import Path as Key
from qsearch.config.yaml_source import dotted
from qsearch.imports import look_in, origin, refusal
from qsearch.paths import expanded


@dataclass(frozen=True, kw_only=True)
class Named:
    """Something outside that a value of the configuration names.

    Attributes:
        key: dotted, as `model.factory`.
        place: where it stands: `file:line:column`, or an option.
        value: the import path, or the name of a file or a data set.
        found: the file of its module; of a file that is read, None.
    """

    key: str
    place: str
    value: str
    found: str | None = None

    def __str__(self) -> str:
        return f"{self.place}: {self.key}: {self.value}" + (f" from {self.found}" if self.found else "")

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "place": self.place, "value": self.value, "found": self.found}


@dataclass(frozen=True, kw_only=True)
class Touched:
    """What a run would touch, and what of that is not there.

    Attributes:
        imports: code that would be run.
        reads: model and data files.
        writes: the folder; where it holds a run already, a new one beside it.
        problems: what cannot be imported or read, a line each, with its place.
    """

    imports: tuple[Named, ...]
    reads: tuple[Named, ...]
    writes: str
    problems: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "imports": [one.to_dict() for one in self.imports],
            "reads": [one.to_dict() for one in self.reads],
            "writes": self.writes,
        }


def touched(loaded: LoadedConfig) -> Touched:
    """Look for what a configuration names, beside the file, in the current folder and among what is installed."""
    for folder in (Path(loaded.source.name).parent, Path()):
        look_in(folder)
    imports, problems = [], []
    for key, path in import_paths(loaded.config):
        module = origin(path)
        if (refused := refusal(path)) is not None:
            problems.append(str(loaded.error(key, refused)))
        elif module is None:
            nowhere = f"there is no module {path.partition(':')[0]} beside the file, in the current folder or among the"
            problems.append(str(loaded.error(key, f"{path}: {nowhere} installed packages")))
        else:
            imports.append(_named(loaded, key, path, module))
    reads = []
    for key, name in _files(loaded):
        reads.append(_named(loaded, key, name))
        if not expanded(name).exists():
            problems.append(str(loaded.error(key, f"{name}: no such file")))
    return Touched(
        imports=tuple(imports),
        reads=tuple(reads),
        writes=str(loaded.config.run.output_dir),
        problems=tuple(problems),
    )


def _files(loaded: LoadedConfig) -> Iterator[tuple[Key, str]]:
    config = loaded.config
    for key, name in (
        (("dataset", "npz"), config.dataset.npz),
        (("model", "path"), config.model.path),
        (("model", "weights"), config.model.weights),
    ):
        if name is not None:
            yield key, name


def _named(loaded: LoadedConfig, key: Key, value: str, found: str | None = None) -> Named:
    return Named(key=dotted(key), place=str(loaded.source.place(key)), value=value, found=found)
