"""One file -> one `Config`, or one error that tells everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from qsearch.config import bounds
from qsearch.config.check import check_limits
from qsearch.config.explain import explain
from qsearch.config.limits import Limits, QuantizationConfig
from qsearch.config.override import given, overridden
from qsearch.config.schema import Config
from qsearch.config.yaml_file import read_source
from qsearch.config.yaml_reader import Dumper
from qsearch.config.yaml_source import Path, Problem, Source
from qsearch.errors import ConfigError, shown

MOVED = ("goal", "quantization_config", "limit")
"""AutoQKeras' run_config holds these; in a file they stand beside `run:`."""
SUNK = ("budget", "max_drop", "tolerance")
"""May stand beside `run:` too."""


@dataclass(frozen=True)
class LoadedConfig:
    """A valid configuration together with the file it came from."""

    config: Config
    source: Source

    def error(self, path: Path, text: str) -> ConfigError:
        """A located error about a value that only the model or the data show to be wrong."""
        return self.source.problem(path, text).error

    def key_error(self, path: Path, text: str) -> ConfigError:
        """The same about a key."""
        return self.source.key_problem(path, text).error


def load_config(path: str | FilePath, overrides: Sequence[str] = (), output_dir: str | None = None) -> LoadedConfig:
    """Read and check a configuration file.

    Args:
        path: a YAML file.
        overrides: `"run.max_trials=3"` and the like, as given to `--set`.
        output_dir: in place of `run.output_dir`; a name as it is, and no YAML.

    Raises:
        ConfigError: every problem of the file, one line each.
    """
    source = overridden(read_source(FilePath(path)), overrides)
    return check(source if output_dir is None else given(source, ("run", "output_dir"), output_dir, "--output-dir"))


def check(source: Source) -> LoadedConfig:
    """The configuration that `source` states.

    Raises:
        ConfigError: every problem, one line each.
    """
    problems = list(source.problems)
    if not isinstance(source.data, dict):
        text = f"found {shown(source.data)}, expected sections such as 'dataset:' and 'model:'"
        raise source.problem((), text).error
    source = _sink(_lift(source, problems), problems)
    config = None
    try:
        config = Config.model_validate(source.data)
    except ValidationError as error:
        problems += _unknown(explain(error, source, Config), source.problems)
    problems += _check_across(source)
    if problems or config is None:
        problems.sort(key=lambda problem: (problem.place.line or 0, problem.place.column or 0))
        lines = [str(problem) for problem in problems[: bounds.PROBLEMS]]
        if len(problems) > bounds.PROBLEMS:
            lines.append(f"{source.name}: file: {len(problems) - bounds.PROBLEMS:,} more of these")
        raise ConfigError("\n".join(lines), [problem.located for problem in problems[: bounds.PROBLEMS]])
    if config.run.output_dir is None:
        # A file's name may hold what a name in a file may not: bytes that are not UTF-8.
        stem = "".join(one if one.isprintable() else "_" for one in FilePath(source.name).stem) or "run"
        config = config.model_copy(update={"run": config.run.model_copy(update={"output_dir": f"runs/{stem}"})})
    return LoadedConfig(config, source)


def to_yaml(config: Config) -> str:
    """The resolved configuration as a file that loads to the same configuration."""
    return yaml.dump(config.model_dump(mode="json", exclude_none=True), Dumper=Dumper, sort_keys=False, width=110)


def _unknown(problems: Sequence[Problem], told: Sequence[Problem]) -> list[Problem]:
    """What is wrong besides the values that are no plain YAML: those hold what nobody wrote."""
    broken = {_settled(problem.path) for problem in told if "given twice" not in problem.text}
    return [
        problem
        for problem in problems
        if not any(problem.path[:end] in broken for end in range(1, len(problem.path) + 1))
    ]


def _settled(path: Path) -> Path:
    """Where `_lift` and `_sink` leave what stands at a path."""
    if path[:1] == ("run",) and len(path) > 1 and path[1] in MOVED:
        return path[1:]
    return ("run", *path) if path and path[0] in SUNK else path


_LIMITS: TypeAdapter[Limits] = TypeAdapter(Limits)


def _check_across(source: Source) -> list[Problem]:
    """Limits against quantizers, as soon as these two sections are valid, whatever else is wrong."""
    try:
        limits = _LIMITS.validate_python(source.data.get("limit", {}))
        quantizers = QuantizationConfig.model_validate(source.data.get("quantization_config", {}))
    except ValidationError:
        return []
    return [source.problem(path, text) for path, text in check_limits(limits, quantizers)]


def _lift(source: Source, problems: list[Problem]) -> Source:
    """Move `run.goal` and its like to where the schema has them."""
    return _moved(source, problems, MOVED, ("run",), ())


def _sink(source: Source, problems: list[Problem]) -> Source:
    """Move constraints that stand beside `run:` into it."""
    return _moved(source, problems, SUNK, (), ("run",))


def _moved(source: Source, problems: list[Problem], names: Sequence[str], here: Path, there: Path) -> Source:
    """Move keys of one section to another one, places included; one that is there already is a problem."""
    before, after = (_section(source.data, path) for path in (here, there))
    moved = [key for key in names if before is not None and after is not None and key in before]
    if not moved or before is None or after is None:
        return source
    places, keys = dict(source.places), dict(source.keys)
    taken = dict(after)
    for key in moved:
        if key in after:
            other = source.keys.get((*there, key), "--set")
            problems.append(source.key_problem((*here, key), f"given twice; the other at {other}"))
            continue
        taken[key] = before[key]
        for marks, known in ((places, source.places), (keys, source.keys)):
            end = len(here) + 1
            marks.update({(*there, key, *path[end:]): at for path, at in known.items() if path[:end] == (*here, key)})
    left = {key: value for key, value in before.items() if key not in moved}
    data = {**taken, "run": left} if there == () else {**left, "run": taken}
    return replace(source, data=data, places=places, keys=keys)


def _section(data: Mapping[str, Any], path: Path) -> Mapping[str, Any] | None:
    """The section at a path, empty where it is not given; None where something else stands there."""
    section = data.get(str(path[0]), {}) if path else data
    return section if isinstance(section, dict) else None
