"""What every target can do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel

Write = Callable[[Path], Mapping[str, str]]
"""Writes the files into an empty folder; what they take, as far as that is known: {"weights": "6,610 bytes"}."""


class Target(Protocol):
    """A form in which an integer model leaves Python.

    Attributes:
        name: as `qsearch export --to` knows it.
        extra: of qsearch, which has the packages that it needs: `pip install qsearch[extra]`; "" for none.
        readme: what the files are, and how they are built, as Markdown.
        norms: the form of normalizations that it is written from where nobody says; see `integer_model`.
        keeps_softmax: whether it can compute a softmax or sigmoid at an output.
        wide_option: what makes sums exact that float32 does not hold, for messages; "" where the target has no floats.
    """

    @property
    def name(self) -> str: ...

    @property
    def extra(self) -> str: ...

    @property
    def readme(self) -> str: ...

    @property
    def norms(self) -> str: ...

    @property
    def keeps_softmax(self) -> bool: ...

    @property
    def wide_option(self) -> str: ...

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """Make sure that the files can be written, and will be exact, with these options; nothing is written yet.

        Returns:
            What writes them.

        Raises:
            ExportError: a step that the target cannot compute exactly, named with the way out.
            ConfigError: an unknown option, or a package that it needs is not installed.
        """

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]] | None:
        """The output values (float64, by the names of the files' outputs) that the files give for codes of the inputs.

        None where they cannot be run here, as what they need is not on this machine.
        """
