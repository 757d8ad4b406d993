"""What the built-in data sets hold, told without reading them: `qsearch init` looks for one that fits a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qsearch.datasets.layout import Shape, fits


@dataclass(frozen=True)
class DataShape:
    """The shape of a sample, and the number of classes."""

    sample: tuple[int, ...]
    classes: int

    def suits(self, inputs: Mapping[str, Shape], outputs: Mapping[str, Shape]) -> bool:
        """Whether a model of these inputs and heads takes its samples, and answers with one of its classes."""
        if len(inputs) != 1 or len(outputs) != 1:
            return False
        return fits(self.sample, next(iter(inputs.values()))) and fits((self.classes,), next(iter(outputs.values())))


DATA_SHAPES: Mapping[str, DataShape] = {
    "mnist": DataShape((28, 28, 1), 10),
    "fashion_mnist": DataShape((28, 28, 1), 10),
    "cifar10": DataShape((32, 32, 3), 10),
    "cifar100": DataShape((32, 32, 3), 100),
    "digits": DataShape((8, 8, 1), 10),
}
