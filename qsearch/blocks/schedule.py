"""Blocks -> stages: what is searched, one part of the network after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from qsearch.blocks.table import Block, BlockTable
from qsearch.config import LoadedConfig
from qsearch.config.extent import Extent
from qsearch.config.schema import BlockRatesConfig
from qsearch.errors import ConfigError, shown
from qsearch.graph.model_graph import ModelGraph
from qsearch.graph.residual import residual_blocks
from qsearch.search.space import LEARNING_RATE, SearchSpace


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One search: of a block, or of the whole network at once.

    Attributes:
        number: of the block, from 1; None for the whole network.
        names: the layers that are searched.
        extent: how much is trained.
        earlier: layers of the blocks before.
        later: layers that are searched in the blocks to come, and not in this one.
    """

    number: int | None
    block: Block | None
    names: frozenset[str]
    extent: Extent
    earlier: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    @property
    def trials(self) -> int:
        """To be trained; see `Extent.trials`."""
        return self.extent.trials

    def rates(self, config: BlockRatesConfig, layers: Iterable[str], factor: float) -> dict[str, float]:
        """By layer, the factor of its learning rate; nothing where the whole network is searched.

        Args:
            layers: of the model.
            factor: what the search makes of the rate of the block's own layers.
        """
        if self.block is None:
            return {}
        factors = dict.fromkeys(layers, config.rest) | dict.fromkeys(self.earlier, config.quantized)
        return factors | dict.fromkeys(self.block.layers, config.current * factor)


@dataclass(frozen=True)
class Schedule:
    """The stages of a run, the space that they share, and what the user should know about them."""

    stages: tuple[Stage, ...]
    space: SearchSpace
    notes: tuple[str, ...] = ()

    @property
    def sizes(self) -> tuple[int, ...]:
        """The number of combinations of each stage."""
        return tuple(space.size for space in self.spaces())

    @property
    def reachable(self) -> SearchSpace:
        """All that the stages together can choose: layers that are in no block stay as they are."""
        return self.space.part(frozenset().union(*(stage.names for stage in self.stages)), self.space.base)

    def spaces(self) -> list[SearchSpace]:
        """What each stage searches, as far as that is known before."""
        base = self.space.base
        spaces = []
        for stage in self.stages:
            space = self.space.part(stage.names, base)
            spaces.append(space)
            base = space.plan({dimension.name: dimension.options[0] for dimension in space.dimensions})
        return spaces


def whole(space: SearchSpace, extent: Extent) -> Schedule:
    """One search of the whole network."""
    names = frozenset(layer.name for layer in space.layers)
    return Schedule((Stage(number=None, block=None, names=names, extent=extent),), space)


def blockwise(loaded: LoadedConfig, graph: ModelGraph, space: SearchSpace, table: BlockTable) -> Schedule:
    """One search for each block, in the table's order.

    A layer in several blocks is searched in each of them. Blocks without a searched layer are left out.

    Raises:
        ConfigError: a block splits a residual block whose filters are searched, or no block has anything to search.
    """
    _check_residual_blocks(loaded, graph, space, table)
    searched = {layer.name for layer in space.layers}
    taken = {name for block in table.blocks for name in block.layers}
    space, notes = _without_foreign_widths(space, taken)
    named = [(block, frozenset(searched & block.layers.keys())) for block in table.blocks]
    notes += [f"block {shown(block.pattern)}: nothing in it is searched" for block, names in named if not names]
    kept = [(block, names) for block, names in named if names]
    if not kept:
        all_names = ", ".join(layer.name for layer in space.layers)
        raise loaded.error(("run", "blocks"), f"take no layer that is searched; searched are: {all_names}")
    stages: list[Stage] = []
    for index, (block, names) in enumerate(kept):
        earlier = frozenset(name for before, _ in kept[:index] for name in before.layers)
        later = frozenset(name for _, following in kept[index + 1 :] for name in following) - names
        stages.append(
            Stage(
                number=index + 1,
                block=block,
                names=names,
                extent=block.extent,
                earlier=earlier - block.layers.keys(),
                later=later,
            )
        )
    notes += [
        f"{name}: is in several blocks ({', '.join(patterns)}) and searched in each of them"
        for name, patterns in table.matched_twice.items()
        if name in searched
    ]
    left = [layer.name for layer in space.layers if layer.name in table.unmatched]
    if left:
        notes.append(f"in no block, and therefore not quantized: {', '.join(left)}")
    return Schedule(tuple(stages), space, tuple(notes))


def _without_foreign_widths(space: SearchSpace, taken: Collection[str]) -> tuple[SearchSpace, list[str]]:
    """Layers keep their width where it is tied to that of a layer in no block."""
    layers, notes = [], []
    for layer in space.layers:
        outside = [name for name in layer.tied if name not in taken]
        if layer.filters_dimension is not None and outside:
            if layer.name in taken:
                reason = f"its channels are added to those of {outside[0]}, which is in no block"
                notes.append(f"{layer.name}: keeps its {layer.filters} filters: {reason}")
            layer = replace(layer, filters=None, filters_dimension=None, tied=())
        layers.append(layer)
    used = {name for layer in layers for name in (*layer.dimensions.values(), layer.filters_dimension)}
    dimensions = tuple(d for d in space.dimensions if d.name in used or d.name == LEARNING_RATE)
    return replace(space, dimensions=dimensions, layers=tuple(layers)), notes


def _check_residual_blocks(loaded: LoadedConfig, graph: ModelGraph, space: SearchSpace, table: BlockTable) -> None:
    """The block that decides a width of a residual block must decide all of them."""
    patterns = list(loaded.config.run.blocks or ())
    open_widths = {layer.name for layer in space.layers if layer.filters_dimension is not None}
    problems = []
    for block in table.blocks:
        for residual in residual_blocks(graph):
            names = [name for name in residual.layers if name in open_widths]
            inside = [name for name in names if name in block.layers]
            missing = [name for name in names if name not in block.layers]
            if inside and missing:
                index = patterns.index(block.pattern)
                message = (
                    f"pattern {shown(block.pattern)} takes {', '.join(inside)} of the residual block that ends in "
                    f"{residual.merge}, but not {_owned(missing, table)}; where filters are tuned, a block must hold "
                    f"all of it: join {', '.join(names)} in one pattern, or name them in run.tune_filters_exceptions"
                )
                problems.append(str(loaded.error(("run", "blocks", index), message)))
        open_widths -= block.layers.keys()  # a block that comes again to a layer keeps its width
    if problems:
        raise ConfigError("\n".join(problems))


def _owned(names: list[str], table: BlockTable) -> str:
    """Layers, each with the blocks that have it."""
    owners: Mapping[str, list[str]] = {
        name: [repr(block.pattern) for block in table.blocks if name in block.layers] for name in names
    }
    return ", ".join(
        f"{name} ({'in ' + ' and '.join(patterns) if patterns else 'in none'})" for name, patterns in owners.items()
    )
