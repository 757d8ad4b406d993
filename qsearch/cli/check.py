"""`qsearch check CONFIG`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.output import say
from qsearch.cli.overrides import config_argument
from qsearch.cli.run import read
from qsearch.errors import ConfigError
from qsearch.imports import look_in, origin, refusal
from qsearch.paths import expanded

if TYPE_CHECKING:
    from qsearch.config import LoadedConfig


@click.command()
@config_argument
@click.option("--output-dir", metavar="FOLDER", help="In place of run.output_dir.")
def check(config: Path, overrides: tuple[str, ...], output_dir: str | None) -> None:
    """Check CONFIG (default: qsearch.yaml) without running it: its mistakes, and what a run would import and read.

    Nothing is imported, and no model and no data are read.
    """
    from qsearch.config.remarks import remarks

    loaded = read(config, overrides, output_dir)
    problems = what_is_read(loaded)
    say(f"writes {loaded.config.run.output_dir}")
    for remark in remarks(loaded):
        say(f"note: {remark}")
    if problems:
        raise ConfigError("\n".join(problems))
    say(f"{loaded.source.name}: no mistakes found")


def what_is_read(loaded: LoadedConfig) -> list[str]:
    """Say what a run would import and which files it would read; returns what cannot be."""
    return _imports(loaded) + _files(loaded)


def _imports(loaded: LoadedConfig) -> list[str]:
    """Say what would be imported, and from where; returns what cannot be."""
    from qsearch.config.import_paths import import_paths

    for folder in (Path(loaded.source.name).parent, Path()):
        look_in(folder)
    problems = []
    for key, path in import_paths(loaded.config):
        place = loaded.source.problem(key, path)
        module = origin(path)
        if (refused := refusal(path)) is not None:
            problems.append(str(loaded.error(key, refused)))
        elif module is None:
            nowhere = f"there is no module {path.partition(':')[0]} beside the file, in the current folder or among the"
            problems.append(str(loaded.error(key, f"{path}: {nowhere} installed packages")))
        else:
            say(f"imports {place} from {module}")
    return problems


def _files(loaded: LoadedConfig) -> list[str]:
    """Say which files would be read; returns those that are not there."""
    config, problems = loaded.config, []
    for key, name in (
        (("dataset", "npz"), config.dataset.npz),
        (("model", "path"), config.model.path),
        (("model", "weights"), config.model.weights),
    ):
        if name is None:
            continue
        say(f"reads {loaded.source.problem(key, name)}")
        if not expanded(name).exists():
            problems.append(str(loaded.error(key, f"{name}: no such file")))
    return problems
