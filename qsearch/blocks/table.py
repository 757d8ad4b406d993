"""`blocks:` applied to a model: which layers each pattern takes, their share of the cost, the trials they get."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qsearch.config import LoadedConfig
from qsearch.config.extent import Extent
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.search.space import SearchSpace


@dataclass(frozen=True)
class Block:
    """A pattern and the layers it takes.

    Attributes:
        layers: by name, the number of candidates; 0 for a layer that is not searched.
        share: part of the reference's cost, 0 to 1.
        extent: int(max(min_trials_per_block, max_trials · cost / (stress · reference cost))) trials, Coelho et al.
            2021, arXiv:2006.10159, where the least number is 10; of max_epochs_total the same share.
    """

    pattern: str
    layers: Mapping[str, int]
    share: float
    extent: Extent

    @property
    def trials(self) -> int:
        """To be trained; see `Extent.trials`."""
        return self.extent.trials


@dataclass(frozen=True)
class BlockTable:
    """Blocks in the order in which they would be searched, and the layers that do not belong to exactly one."""

    blocks: tuple[Block, ...]
    unmatched: tuple[str, ...]
    matched_twice: Mapping[str, tuple[str, ...]]


def without_blocks(loaded: LoadedConfig) -> ConfigError:
    """The error of a configuration that names no blocks where some are needed."""
    return loaded.error(
        ("run", "blocks"),
        'is missing: list patterns of layer names, e.g. blocks: ["^.*_0$", "^dense"]; '
        "qsearch blocks CONFIG --suggest prints some for the model",
    )


def block_table(
    loaded: LoadedConfig, layers: Sequence[str], space: SearchSpace, costs: Mapping[str, float], reference: float
) -> BlockTable:
    """The blocks of a model.

    Args:
        layers: names of the layers that `layer_indexes` admits, in Keras' order.
        costs: what each layer adds to the reference's cost; absent means nothing.
        reference: the reference's cost, times stress.

    Raises:
        ConfigError: no blocks, or patterns that match nothing.
    """
    run = loaded.config.run
    if not run.blocks:
        raise without_blocks(loaded)
    matched = {pattern: [name for name in layers if re.match(pattern, name)] for pattern in run.blocks}
    empty = [
        str(
            loaded.error(
                ("run", "blocks", index),
                f"pattern {shown(pattern)} matches no layer"
                f"{did_you_mean(re.sub(r'[^A-Za-z0-9_]', '', pattern), layers)}",
            )
        )
        for index, pattern in enumerate(run.blocks)
        if not matched[pattern]
    ]
    if empty:
        raise ConfigError("\n".join(empty))
    searched = {layer.name: space.candidates(layer) for layer in space.layers}
    total, least = sum(costs.values()), run.min_trials_per_block
    blocks = []
    for pattern in run.blocks:
        cost = sum(costs.get(name, 0.0) for name in matched[pattern])
        blocks.append(
            Block(
                pattern,
                {name: searched.get(name, 0) for name in matched[pattern]},
                cost / total if total else 0.0,
                run.extent.part(cost, reference, least),
            )
        )
    if run.schedule_block == "cost":
        blocks.sort(key=lambda block: -block.share)  # stable: equal costs keep the file's order
    owners = {name: tuple(p for p in run.blocks if name in matched[p]) for name in layers}
    return BlockTable(
        tuple(blocks),
        tuple(name for name, patterns in owners.items() if not patterns),
        {name: patterns for name, patterns in owners.items() if len(patterns) > 1},
    )
