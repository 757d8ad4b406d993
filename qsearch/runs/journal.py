"""trials.jsonl: one line per finished trial, on disk before the search goes on."""

from __future__ import annotations

import json
import os
from io import RawIOBase
from pathlib import Path

from qsearch.errors import OutputError, told
from qsearch.files import failing_writes
from qsearch.runs.plain_json import as_json
from qsearch.search.trials import AnyTrial, trial_from_dict


def append_trial(journal: Path, trial: AnyTrial) -> None:
    """Add a trial; it is on disk when this returns.

    Raises:
        OutputError: it cannot be written; the journal is as it was.
    """
    line = (as_json(trial.to_dict()) + "\n").encode()
    with failing_writes(journal), journal.open("ab", buffering=0) as file:
        whole = file.tell()
        try:
            _write_all(file, line)
            os.fsync(file.fileno())
        except OSError:  # half a line would be no JSON
            file.truncate(whole)
            raise


def _write_all(file: RawIOBase, data: bytes) -> None:
    """A disk that is nearly full takes a part."""
    while data:
        data = data[file.write(data) or 0 :]


def read_trials(journal: Path) -> tuple[AnyTrial, ...]:
    """The trials of a journal, in order. A last line that a killed process left unfinished is no trial.

    Raises:
        OutputError: a line that is no trial.
        OSError: the file cannot be read.
    """
    lines = journal.read_bytes().split(b"\n")
    trials = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            trials.append(trial_from_dict(json.loads(line)))
        except Exception as error:  # whatever a file of anybody's makes it stumble over
            raise OutputError(f"{journal}:{number}: is no trial of qsearch: {told(error)}") from None
    return tuple(trials)


def trials_so_far(journal: Path) -> tuple[AnyTrial, ...]:
    """The trials of a run; none where nothing is recorded yet.

    Raises:
        OutputError: the file cannot be read, or has a line that is no trial.
    """
    try:
        return read_trials(journal)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise OutputError(f"{journal}: cannot be read: {told(error)}") from None


def mended(journal: Path) -> None:
    """Take away a last line that a killed process left unfinished, so that the next one begins a line of its own.

    Raises:
        OutputError: the file cannot be written.
    """
    if not journal.exists():
        return
    with failing_writes(journal), journal.open("rb+") as file:
        data = file.read()
        file.truncate(data.rfind(b"\n") + 1)
