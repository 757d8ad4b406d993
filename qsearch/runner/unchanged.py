"""Is what a run was begun with still what it was: files, samples, versions?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from qsearch.config import Config
from qsearch.datasets import Dataset
from qsearch.errors import ConfigError, OutputError, told
from qsearch.runs.directory import ENVIRONMENT, RunDirectory
from qsearch.runs.environment import environment
from qsearch.runs.fingerprints import changed_data, changed_files, of_data, of_files, other_versions


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run reads, known again by its fingerprints.

    Attributes:
        files: of those that the configuration names, as they are now.
        run: the run that goes on; None of one that begins.
        before: the environment that it was begun in.
    """

    files: Mapping[str, Any]
    run: RunDirectory | None = None
    before: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config, run: RunDirectory | None) -> Inputs:
        """Look at the files, before anybody reads them.

        Raises:
            ConfigError: one is another than when the run began.
            OutputError: the run's environment cannot be read.
        """
        before = {} if run is None else _environment(run)
        files = of_files(config)
        _check(run, changed_files(before, files))
        return cls(files=files, run=run, before=before)

    def other_versions(self, seed: int) -> str | None:
        """Which versions are others than when the run began, in one line; None where none is."""
        return other_versions(self.before, environment(seed))

    def with_data(self, data: Dataset) -> dict[str, Any]:
        """All that the environment tells of them.

        Raises:
            ConfigError: the samples are others than when the run began.
        """
        found = of_data(data)
        _check(self.run, changed_data(self.before, found))
        return {"files": self.files, "data": found}


def _check(run: RunDirectory | None, changes: Sequence[str]) -> None:
    if run is not None and changes:
        raise ConfigError(
            "\n".join(
                [
                    f"{run.path}: cannot go on, as its trials would no longer be comparable:",
                    *(f"  {change}" for change in changes),
                    "have them as they were (a factory must give the same in every process), or begin a new run in "
                    "another run.output_dir",
                ]
            )
        )


def _environment(run: RunDirectory) -> Mapping[str, Any]:
    """Empty where none was written yet."""
    path = run.path / ENVIRONMENT
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be read: {told(error)}") from None
    if not isinstance(found, Mapping):
        raise OutputError(f"{path}: is not what qsearch writes there")
    return found
