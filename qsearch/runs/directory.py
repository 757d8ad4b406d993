"""The run directory: part of the public face, its layout described in docs/run_directory.md.

    config.yaml        the resolved configuration, which loads again
    environment.json   versions, platform, seed, fingerprints of files and samples
    trials.jsonl       one line per finished trial, written as it finishes
    best/model.keras   the best model so far, trained; at the end the final one
    best/plan.yaml     its quantizers and filters per layer
    blocks/N/          the same of the best model after block N, where blocks are searched one after the other
    models/trial_N/    the same of the next best, of the front, and of its knee, where they are wanted
    checkpoints/       what going on needs: weights of the reference, those that a later trial may start from, and how
                       far the training is that is under way
    sensitivity.json   mode sensitivity: what each option of each choice costs alone
    shared.json        of the modes one_shot and learned: the plans of their stage, the most promising first
    energy.json        reference and best, per layer, pJ
    result.json        the headline figures
    costs.json         what trials cost beside energy, and what is known while the run goes on
    best/weights.json  how the best model's weights spread over their levels
    trials.csv         trials and front.csv the trade-off, a line each
    report.md          the same for people
    report.html        the same with figures; written anew now and then while the run goes on
    .reserved          room for the last files, on a disk that fills; gone at the end
    .lock              held while a process writes; gone at the end

Every file but the journal is written aside and renamed, so that a killed process leaves
whole files; the journal is appended to, line by line, each on disk before the search goes on.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from qsearch.errors import OutputError
from qsearch.files import failing_writes, written_whole
from qsearch.paths import expanded
from qsearch.plan import QuantizationPlan
from qsearch.runs.disk import bytes_in
from qsearch.runs.journal import append_trial
from qsearch.runs.lock import LOCK
from qsearch.runs.plain_json import as_json
from qsearch.search.trials import AnyTrial

if TYPE_CHECKING:
    import keras

CONFIG, ENVIRONMENT, JOURNAL = "config.yaml", "environment.json", "trials.jsonl"
RESULT, ENERGY, REPORT = "result.json", "energy.json", "report.md"
COSTS, PAGE, TRIALS_TABLE, FRONT_TABLE = "costs.json", "report.html", "trials.csv", "front.csv"
SENSITIVITY = "sensitivity.json"
BEST, MODEL, PLAN, WEIGHTS = "best", "model.keras", "plan.yaml", "weights.json"
WRITTEN_LAST = (RESULT, ENERGY, REPORT, COSTS, PAGE, TRIALS_TABLE, FRONT_TABLE, WEIGHTS)
"""Names of the files that tell what a run came to; the last one is in `BEST`."""
CHECKPOINTS = "checkpoints"
RANKING = "shared.json"
_BEFORE_FINAL = f"{CHECKPOINTS}/before_final.keras"
_FIRST_YEAR = 1980
RESERVED, RESERVED_BYTES = ".reserved", 512 * 1024


@dataclass(frozen=True)
class RunDirectory:
    """Files of one run. Create it with `create_directory`."""

    path: Path

    @property
    def model_path(self) -> Path:
        return self.path / BEST / MODEL

    def check_exists(self) -> None:
        """See that it is still there.

        Raises:
            OutputError: it was taken away.
        """
        if not self.path.is_dir():
            raise OutputError(
                f"{self.path} is gone: deleted, moved, or with a disk that was taken away; what is left of it, "
                "wherever it is now, goes on with qsearch resume"
            )

    def disk_bytes(self) -> tuple[int, int]:
        """What it takes of the disk, and the checkpoints' part, without what is there only while a process runs.

        The files that are written last, which tell it, are not counted either.
        """
        others = (RESERVED, LOCK, *WRITTEN_LAST)
        return bytes_in(self.path, others), bytes_in(self.path / CHECKPOINTS)

    def write_text(self, name: str, text: str) -> None:
        """Write a file whole, or not at all."""
        with written_whole(self.path / name, self.path) as aside:
            aside.write_text(text, encoding="utf-8")

    def write_json(self, name: str, data: Mapping[str, Any]) -> None:
        self.write_text(name, as_json(data, indent=2) + "\n")

    def append_trial(self, trial: AnyTrial) -> None:
        """Add a trial to the journal; it is on disk when this returns."""
        append_trial(self.path / JOURNAL, trial)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Keep room for the files that are written last, as far as there is any, until `free_reserve`."""
        try:
            try:
                room = min(RESERVED_BYTES, shutil.disk_usage(self.path).free // 4)
                (self.path / RESERVED).write_bytes(bytes(room))
            except OSError:
                self.free_reserve()
            yield
        finally:
            self.free_reserve()

    def free_reserve(self) -> None:
        """Give that room back, just before it is used."""
        with suppress(OSError):
            (self.path / RESERVED).unlink(missing_ok=True)

    def save_model(self, name: str, model: keras.Model, plan: QuantizationPlan) -> None:
        """Write a model and its plan into a folder, in place of what is there."""
        year = time.localtime(time.time()).tm_year
        if year < _FIRST_YEAR:
            raise OutputError(
                f"{self.path / name / MODEL} cannot be written: the clock of this machine says {year}, and model "
                f"files, which are zip archives, know no year before {_FIRST_YEAR}; set the clock, and go on with "
                "qsearch resume"
            )
        with written_whole(self.path / name / MODEL, self.path) as aside:
            model.save(aside)
        self.write_text(f"{name}/{PLAN}", plan_text(plan))

    def copy_model(self, name: str, other: str) -> None:
        """Write a saved model and its plan into another folder, in place of what is there."""
        source = self.path / name
        with written_whole(self.path / other / MODEL, self.path) as aside:
            shutil.copyfile(source / MODEL, aside)
        self.write_text(f"{other}/{PLAN}", (source / PLAN).read_text(encoding="utf-8"))

    def set_aside_best(self) -> None:
        """Keep the best model as its trial left it, before final training changes it."""
        with written_whole(self.path / _BEFORE_FINAL, self.path) as aside:
            shutil.copyfile(self.model_path, aside)

    def take_back_best(self) -> None:
        """Have the best model as its trial left it, where it was set aside."""
        aside = self.path / _BEFORE_FINAL
        if aside.exists():
            with failing_writes(self.model_path):
                aside.replace(self.model_path)


def plan_text(plan: QuantizationPlan) -> str:
    """A plan as plan.yaml has it."""
    return yaml.safe_dump(plan.to_dict(), sort_keys=False)


def run_folder(folder: str) -> Path:
    """The folder of a run, as people write it.

    Raises:
        OutputError: it is not there, or is no run directory.
    """
    path = expanded(folder)
    if not (path / CONFIG).is_file():
        found = "has no config.yaml" if path.is_dir() else "is not a folder"
        raise OutputError(f"{path}: {found}; name the folder that qsearch run wrote, such as runs/digits")
    return path


def planned_directory(output_dir: str, fresh_name: bool) -> Path:
    """The folder that `create_directory` would make, as things are.

    Raises:
        OutputError: as `create_directory`.
    """
    path = expanded(output_dir)
    try:
        if path.name in ("", ".."):  # '.', '..' and '/': a folder has its name from where it is
            path = path.resolve()
        if not path.name:
            raise OutputError(f"run.output_dir: {path} has no name that a run's folder could have; name one in it")
        if path.exists() and not path.is_dir():
            raise OutputError(f"run.output_dir: {path} is a file, expected a folder or a new name")
        if path.is_dir() and any(path.iterdir()):
            if not fresh_name:
                raise OutputError(
                    f"run.output_dir: {path} holds an earlier run; name another, or set run.overwrite: true"
                )
            number = 1
            while path.with_name(f"{path.name}_{number}").exists():
                number += 1
            path = path.with_name(f"{path.name}_{number}")
        above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
        if not above.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        raise _not_written(path, error) from None
    return path


def create_directory(output_dir: str, fresh_name: bool) -> RunDirectory:
    """Make a new folder for a run; an earlier run's is never written to.

    Args:
        output_dir: where; folders above it are made too.
        fresh_name: when it exists and is not empty, take the first free of output_dir_1, output_dir_2, ...

    Raises:
        OutputError: it cannot be made or written, or is taken and `fresh_name` is false.
    """
    path = planned_directory(output_dir, fresh_name)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise _not_written(path, error) from None
    return RunDirectory(path)


def _not_written(path: Path, error: OSError) -> OutputError:
    return OutputError(
        f"run.output_dir: {path} cannot be written: {error.strerror}; name a folder that you may write to"
    )
