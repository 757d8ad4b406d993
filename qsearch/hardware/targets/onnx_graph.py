"""An ONNX graph in the making: nodes, constants, and how the axes of each tensor lie."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError
from qsearch.hardware.integer.formats import Codes

OPSET, IR_VERSION = 13, 8
"""Old enough for all that read QONNX, new enough for Clip on int8 and for axes that are inputs."""
_SHARED = 64
"""Constants of so many values are held once: the weights of every time step are the same."""
FLOAT, INT64, DOUBLE = 1, 7, 11
"""ONNX's numbers for its types."""


@dataclass(frozen=True)
class Layout:
    """How the axes of a tensor lie.

    Attributes:
        first: channels first, where the integer model has them last.
        flat: the shape (positions and channels last) of what was made flat with its channels first; () for none.
    """

    first: bool = False
    flat: tuple[int, ...] = ()


LAST, FIRST = Layout(), Layout(first=True)


@dataclass(frozen=True)
class Tensor:
    """What a step's tensor in the graph holds.

    Attributes:
        rank: of its axes, the batch counted.
        wide: float64, as its codes need more bits than float32 has.
        divided: its values; else its values times the divisor of its format, which float32 holds exactly.
    """

    name: str
    rank: int
    layout: Layout = LAST
    wide: bool = False
    divided: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Evenly spaced levels, from `least` to `greatest` times 2^-fraction.

    Attributes:
        reach: the least and the greatest code that rounding can give, before codes are cut off.
        half_away: of two equally near levels the one away from 0, else the even one.
    """

    fraction: int
    least: int
    greatest: int
    reach: tuple[int, int]
    half_away: bool = False

    def cuts(self, least: int, greatest: int) -> bool:
        """Whether levels must be cut off, where rounding is to the range of another grid already."""
        low, high = max(self.reach[0], least), min(self.reach[1], greatest)
        return low < self.least or high > self.greatest

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the greatest value."""
        return math.ldexp(self.least, -self.fraction), math.ldexp(self.greatest, -self.fraction)


class Graph:
    """Nodes and constants, in order."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.taken: set[str] = set()
        self._large: dict[tuple[Any, ...], str] = {}

    def unique(self, name: str) -> str:
        """The name, or one like it that nothing has."""
        found, count = name, 1
        while found in self.taken:
            found, count = f"{name}:{count}", count + 1
        self.taken.add(found)
        return found

    def node(self, kind: str, inputs: Iterable[str], name: str, domain: str = "", **attributes: Any) -> str:
        """The name of the output of a new node."""
        from onnx import helper

        read: list[str] = []
        for one in inputs:  # qonnx-cleanup renames only the first of two inputs that are one tensor
            read.append(self.node("Identity", [one], f"{one}:again") if one and one in read else one)
        output = self.unique(name)
        self.nodes.append(helper.make_node(kind, read, [output], name=f"{output}:{kind}", domain=domain, **attributes))
        return output

    def constant(self, name: str, values: Any, kind: Any = numpy.float32) -> str:
        """The name of a new constant; one of no axes where the values have none."""
        from onnx import numpy_helper

        array = numpy.array(values, dtype=kind)
        key = array.dtype.str, array.shape, array.tobytes()
        if array.size >= _SHARED and key in self._large:
            return self._large[key]
        found = self._large[key] = self.unique(name)
        self.constants.append(numpy_helper.from_array(array, found))
        return found

    def renamed(self, names: Mapping[str, str]) -> None:
        """Other names for tensors."""
        for node in self.nodes:
            for part in (node.input, node.output):
                part[:] = [names.get(name, name) for name in part]

    def model(
        self,
        name: str,
        inputs: Mapping[str, Sequence[Any]],
        outputs: Mapping[str, tuple[int, Sequence[Any]]],
        domains: Mapping[str, int],
    ) -> Any:
        """The whole as a ModelProto; float32 inputs by their shapes, outputs by their types and shapes."""
        from onnx import helper

        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(one, FLOAT, list(shape)) for one, shape in inputs.items()],
            [helper.make_tensor_value_info(one, kind, list(shape)) for one, (kind, shape) in outputs.items()],
            self.constants,
        )
        opsets = [helper.make_opsetid(domain, version) for domain, version in {"": OPSET, **domains}.items()]
        return helper.make_model(graph, opset_imports=opsets, producer_name="qsearch", ir_version=IR_VERSION)


class Dialect(Protocol):
    """What a target writes in its own way.

    Attributes:
        averages: whether averages may be rounded to float32 before a quantizer reads them: where they are divided
            once, they fall on the same level.
        double: whether sums that float32 has too few bits for are computed in float64.
    """

    averages: bool
    double: bool

    def quantized(self, graph: Graph, x: str, name: str, grid: Grid, wide: bool) -> str:
        """Real numbers, float64 where `wide`, rounded to a grid; float32."""

    def stepped(self, graph: Graph, x: str, name: str, thresholds: NDArray[Any], levels: Codes, fraction: int) -> str:
        """levels[how many thresholds are not above x] times 2^-fraction, float32."""

    def stepped_by_channel(
        self,
        graph: Graph,
        x: str,
        name: str,
        thresholds: NDArray[Any],
        levels: Codes,
        fraction: int,
        shape: tuple[int, ...],
    ) -> str:
        """`stepped` with rows of their own for channels, which lie along the axis behind the batch.

        Args:
            shape: of one number per channel, so that it meets x.
        """

    def weights(self, graph: Graph, name: str, codes: Codes, fraction: int) -> str:
        """Constant codes times 2^-fraction as float32, with their precision; `codes` have no common factor of 2."""


def reduced(codes: Codes, fraction: int) -> tuple[Codes, int]:
    """The same numbers with the smallest codes."""
    used = codes[codes != 0]
    if not used.size:
        return codes, 0
    common = int(numpy.bitwise_or.reduce(numpy.abs(used).reshape(-1)))
    zeros = (common & -common).bit_length() - 1
    return codes >> zeros, fraction - zeros


def values_of(codes: Codes, fraction: int) -> NDArray[numpy.float64]:
    """codes · 2^-fraction."""
    return numpy.ldexp(numpy.asarray(codes).astype(numpy.float64), -fraction)


def channels_first(rank: int) -> tuple[int, ...]:
    """Axes in the order that ONNX has them, the batch axis counted."""
    return (0, rank - 1, *range(1, rank - 1))


def channels_last(rank: int) -> tuple[int, ...]:
    """And back."""
    return (0, *range(2, rank), 1)


def rows_first(array: NDArray[Any], flat: tuple[int, ...]) -> NDArray[Any]:
    """An array by flat position, ordered as a flat tensor with its channels first is."""
    order = numpy.arange(math.prod(flat)).reshape(flat)
    found: NDArray[Any] = array[numpy.moveaxis(order, -1, 0).reshape(-1)]
    return found


def require(target: str, extra: str, packages: Sequence[str]) -> None:
    """
    Raises:
        ConfigError: a package is not installed.
    """
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise ConfigError(
                f"target {target!r}: needs the package {package}, which cannot be imported ({error}); "
                f"pip install 'qsearch[{extra}]'"
            ) from None
