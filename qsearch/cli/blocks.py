"""`qsearch blocks CONFIG --debug`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qsearch.cli.quiet import quiet_start
from qsearch.config import load_config
from qsearch.errors import ConfigError

if TYPE_CHECKING:
    from qsearch.blocks.table import BlockTable


@click.command()
@click.argument("config", type=click.Path(path_type=Path), default="qsearch.yaml")
@click.option("--debug", is_flag=True, help="Print the blocks and train nothing.")
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change a value, e.g. --set run.max_trials=3."
)
def blocks(config: Path, debug: bool, overrides: tuple[str, ...]) -> None:
    """Show the blocks that CONFIG (default: qsearch.yaml) cuts a model into."""
    loaded = load_config(config, overrides)
    if not debug:
        raise ConfigError(
            "qsearch blocks: searching block by block is not in this version yet; "
            "--debug prints the blocks, and 'qsearch run' searches the whole network at once"
        )
    with quiet_start():
        from qsearch.blocks.table import block_table
        from qsearch.runner.experiment import read_experiment

    experiment = read_experiment(loaded)
    reference = experiment.reference
    costs = {name: layer.total for name, layer in reference.layers.items()}
    table = block_table(loaded, experiment.indexed, experiment.space, costs, reference.total * experiment.stress)
    _show(table, loaded.config.run.schedule_block)


def _show(table: BlockTable, schedule: str) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True) if not Console().is_terminal else Console()
    shown = Table(title=f"blocks in the order of schedule_block: {schedule}", title_justify="left")
    for heading in ("block", "layer", "candidates", "share of cost", "trials"):
        shown.add_column(heading, justify="left" if heading in ("block", "layer") else "right")
    for block in table.blocks:
        for index, (layer, candidates) in enumerate(block.layers.items()):
            head = (block.pattern, f"{block.share:.1%}", str(block.trials)) if index == 0 else ("", "", "")
            count = f"{candidates:,}" if candidates > 1 else "not searched"
            shown.add_row(head[0], layer, count, head[1], head[2], end_section=index == len(block.layers) - 1)
    console.print(shown)
    total = sum(block.trials for block in table.blocks)
    console.print(f"{len(table.blocks)} blocks, {total} trials in all", highlight=False)
    if table.unmatched:
        console.print(f"in no block: {', '.join(table.unmatched)}", highlight=False, markup=False)
    for layer, patterns in table.matched_twice.items():
        console.print(f"in several blocks: {layer} ({', '.join(patterns)})", highlight=False, markup=False)
