"""Going on with a run that was stopped: is it the same one, and what has it left?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from qsearch.config import Config, LoadedConfig, load_config, to_yaml
from qsearch.errors import ConfigError
from qsearch.files import clear_unfinished
from qsearch.paths import expanded
from qsearch.runs.directory import CONFIG, ENVIRONMENT, JOURNAL, RunDirectory
from qsearch.runs.environment import environment
from qsearch.runs.journal import mended, trials_so_far
from qsearch.search.trials import AnyTrial

_MAY_CHANGE = (
    "run.max_trials",
    "run.max_epochs_total",
    "run.trial_timeout",
    "run.time_limit",
    "run.max_failures",
    "run.budget",
    "run.best_models",
    "run.output_dir",
    "run.observers",
    "run.overwrite",
    "final_training",
    "export",
)
"""Keys, with all below them, that decide nothing about what finished trials came to."""
_MOST = 8
"""Differences that are told."""


def stopped_run(loaded: LoadedConfig) -> RunDirectory | None:
    """The run directory that the configuration names; None where nothing has begun in it.

    With `run.overwrite` it is the last of output_dir, output_dir_1, output_dir_2, ...
    """
    path = expanded(str(loaded.config.run.output_dir))
    found = [path]
    while loaded.config.run.overwrite and (other := path.with_name(f"{path.name}_{len(found)}")).exists():
        found.append(other)
    return next((RunDirectory(one) for one in reversed(found) if (one / CONFIG).is_file()), None)


def check_resumable(loaded: LoadedConfig, directory: RunDirectory) -> None:
    """See that a run that was begun is the one that the configuration describes.

    Raises:
        ConfigError: it is another one; every key that differs is named.
        OutputError: its files cannot be read.
    """
    # the blocks after one were searched on top of its best model, which these decide
    fixed = ("run.budget", "run.best_models") if loaded.config.run.blocks else ()
    may_change = [key for key in _MAY_CHANGE if key not in fixed]
    now, then = _flat(loaded.config), _flat(load_config(directory.path / CONFIG).config)
    differing = [
        f"  {key}: found {_shown(now, key)}, the run has {_shown(then, key)}"
        for key in sorted(now.keys() | then.keys())
        if now.get(key) != then.get(key) and not any(key == one or key.startswith(f"{one}.") for one in may_change)
    ]
    if differing:
        rest = len(differing) - _MOST
        more = [f"  and {rest} more"] if rest > 0 else []
        raise ConfigError(
            "\n".join(
                [
                    f"{directory.path}: is a run of another configuration, which cannot go on with this one:",
                    *differing[:_MOST],
                    *more,
                    f"take the run's own ({directory.path / CONFIG}), or another run.output_dir; "
                    f"what may change: {', '.join(may_change)}",
                ]
            )
        )
    trials_so_far(directory.path / JOURNAL)


def begun(directory: RunDirectory, config: Config, inputs: Mapping[str, Any]) -> tuple[AnyTrial, ...]:
    """Write what a run begins with, and give the trials that it has already.

    What an interrupted run has written at its end beside the journal and the best model is made anew; the environment
    stays the one that it was begun in.
    """
    clear_unfinished(directory.path)
    directory.write_text(CONFIG, to_yaml(config))
    if not (directory.path / ENVIRONMENT).exists():
        directory.write_json(ENVIRONMENT, environment(config.run.seed, inputs))
    directory.take_back_best()
    shutil.rmtree(directory.path / "models", ignore_errors=True)
    mended(directory.path / JOURNAL)
    return trials_so_far(directory.path / JOURNAL)


def _flat(config: Config) -> dict[str, Any]:
    return dict(_leaves("", yaml.safe_load(to_yaml(config))))


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, part in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), part)
    else:
        yield prefix, value


def _shown(values: Mapping[str, Any], key: str) -> str:
    return repr(values[key]) if key in values else "nothing"
