"""What ends a run before its time."""

from __future__ import annotations

from dataclasses import dataclass

from qsearch.errors import OutputError, WorkersError


@dataclass(frozen=True)
class Stop:
    """What ended a run before its time: an interruption, a file that cannot be written, workers that are gone."""

    error: KeyboardInterrupt | OutputError | WorkersError

    @property
    def interrupted(self) -> bool:
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def reason(self) -> str:
        return "interrupted" if self.interrupted else f"stopped, as {self.error}"
