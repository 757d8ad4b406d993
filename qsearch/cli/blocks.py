"""`qsearch blocks CONFIG`: search block by block, or look at the blocks before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qsearch.cli import run as run_command
from qsearch.cli.json_output import JSON, say_document
from qsearch.cli.outlook import count_of, timing_lines
from qsearch.cli.output import add_row, say, show, table_of
from qsearch.cli.overrides import config_argument
from qsearch.cli.tables import format_option
from qsearch.config.bounds import TEXT_CHARACTERS
from qsearch.interrupts import Interrupts
from qsearch.report.units import duration
from qsearch.startup import quiet_start

if TYPE_CHECKING:
    from qsearch.blocks.schedule import Schedule
    from qsearch.blocks.suggest import SuggestedBlock
    from qsearch.blocks.table import BlockTable
    from qsearch.config import LoadedConfig
    from qsearch.runner.experiment import Experiment
    from qsearch.runner.timing import Timing


_NO_EDGE = 1000
"""Columns of a table in a file, which has no edge to wrap at."""


@click.command()
@config_argument
@click.option("--debug", is_flag=True, help="Print the blocks, their costs and the size of the search; train nothing.")
@click.option(
    "--time", "timed", is_flag=True, help="With --debug: estimate the run time, from epochs that are measured."
)
@click.option("--suggest", "suggested", is_flag=True, help="Print blocks for the model, as YAML to paste.")
@click.option("--output-dir", metavar="FOLDER", help="In place of run.output_dir.")
@click.option("--plain", is_flag=True, help="One plain line per trial, as when the output is no terminal.")
@format_option(run_command.FORMATS)
@click.pass_obj
def blocks(
    interrupts: Interrupts | None,
    config: Path,
    debug: bool,
    timed: bool,
    suggested: bool,
    overrides: tuple[str, ...],
    output_dir: str | None,
    plain: bool,
    output: str,
) -> int:
    """Search block by block, as CONFIG (default: qsearch.yaml) says; or look at its blocks before."""
    loaded = run_command.read(config, overrides, output_dir)
    if not suggested and not loaded.config.run.blocks:
        from qsearch.blocks.table import without_blocks

        raise without_blocks(loaded)
    if suggested:
        _suggest(loaded, output)
    elif debug or timed:
        _debug(loaded, timed, output)
    else:
        return run_command.search(loaded, plain, interrupts, output=output)
    return 0


def _suggest(loaded: LoadedConfig, output: str) -> None:
    with quiet_start():
        from qsearch.blocks.suggest import suggest
        from qsearch.runner.experiment import read_experiment, schedule_of

    experiment = read_experiment(loaded)
    blocks = suggest(experiment.graph, [layer.name for layer in experiment.space.layers], experiment.indexed)
    if not blocks:
        raise loaded.error(("limit",), "names no layer of the model, so that there is nothing to cut into blocks")
    run = loaded.config.run.model_copy(update={"blocks": tuple(block.pattern for block in blocks)})
    proposed = replace(experiment, loaded=replace(loaded, config=loaded.config.model_copy(update={"run": run})))
    if output == JSON:
        _say_suggested(blocks, experiment)
        return
    for line in (*_pasteable(blocks, experiment), *_left_out(blocks, experiment)):
        say(line, length=TEXT_CHARACTERS)
    say(f"# {_sizes(schedule_of(proposed))}")


def _say_suggested(blocks: Sequence[SuggestedBlock], experiment: Experiment) -> None:
    costs = experiment.layer_costs
    inside = {name for block in blocks for name in block.layers}
    suggested = [
        {"pattern": block.pattern, "layers": list(block.layers), "share": _share(block.layers, experiment)}
        for block in blocks
    ]
    outside = [name for name in costs if name not in inside]
    say_document("suggested_blocks", blocks=suggested, unmatched=outside, notes=experiment.unsearched)


def _share(layers: Sequence[str], experiment: Experiment) -> float:
    """Of the reference's cost."""
    total = experiment.reference.total
    return sum(experiment.layer_costs.get(name, 0.0) for name in layers) / total if total else 0.0


def _pasteable(blocks: Sequence[SuggestedBlock], experiment: Experiment) -> list[str]:
    """YAML with comments."""
    quoted = ["'" + block.pattern.replace("'", "''") + "'" for block in blocks]
    width = min(max(map(len, quoted)), 40)
    lines = ["run:", "  blocks:"]
    for block, pattern in zip(blocks, quoted, strict=True):
        share = _share(block.layers, experiment)
        few = len(pattern) <= width and len(block.layers) <= 10
        told = (
            ", ".join(block.layers) if few else f"{len(block.layers)} layers, {block.layers[0]} to {block.layers[-1]}"
        )
        lines.append(f"    - {pattern:<{width}}  # {share:.1%} of the cost: {told}")
    return lines


def _left_out(blocks: Sequence[SuggestedBlock], experiment: Experiment) -> list[str]:
    """What is in no block, as comments; nothing of it is searched."""
    inside = {name for block in blocks for name in block.layers}
    outside = [name for name in experiment.layer_costs if name not in inside]
    if not outside:
        return []
    share = _share(outside, experiment)
    told = ", ".join(outside) if len(outside) <= 10 else f"{outside[0]} to {outside[-1]}"
    return [
        f"# in no block, as nothing of it is searched: {len(outside)} layers, {share:.1%} of the cost: {told}",
        *(f"# {note}" for note in experiment.unsearched),
    ]


def _debug(loaded: LoadedConfig, timed: bool, output: str) -> None:
    with quiet_start():
        from qsearch.runner.experiment import read_experiment, schedule_of, table_of

    experiment = read_experiment(loaded)
    table, schedule = table_of(experiment), schedule_of(experiment)
    timing = None
    if timed:
        from qsearch.runner.timing import measure

        timing = measure(experiment, schedule)
    if output == JSON:
        _say_blocks(loaded, table, schedule, timing, experiment.unsearched)
    else:
        _show(loaded, table, schedule, timing, experiment.unsearched)


@dataclass(frozen=True)
class _Searched:
    """How much of a block is searched; seconds: where they were estimated, else 0."""

    combinations: int
    trials: int
    seconds: float


_NOTHING = _Searched(1, 0, 0.0)


def _searched(loaded: LoadedConfig, schedule: Schedule, timing: Timing | None) -> dict[str, _Searched]:
    """By pattern, of the blocks that are searched."""
    from qsearch.search.modes import workload

    seconds = [0.0] * len(schedule.stages) if timing is None else timing.stages
    return {
        stage.block.pattern: _Searched(size, workload(loaded.config.run, stage.extent)[0], taken)
        for stage, size, taken in zip(schedule.stages, schedule.sizes, seconds, strict=True)
        if stage.block is not None
    }


def _say_blocks(
    loaded: LoadedConfig,
    table: BlockTable,
    schedule: Schedule,
    timing: Timing | None,
    unsearched: Sequence[str],
) -> None:
    searched = _searched(loaded, schedule, timing)
    blocks: list[dict[str, Any]] = []
    for block in table.blocks:
        found = searched.get(block.pattern, _NOTHING)
        about = {"pattern": block.pattern, "layers": dict(block.layers), "share": block.share}
        blocks.append({**about, "combinations": found.combinations, "trials": found.trials})
    say_document(
        "blocks",
        schedule_block=loaded.config.run.schedule_block,
        blocks=blocks,
        trials=sum(block["trials"] for block in blocks),
        combinations={"at_once": schedule.space.size, "by_blocks": sum(schedule.sizes)},
        seconds=None if timing is None else {**asdict(timing), "total": timing.total},
        unmatched=list(table.unmatched),
        matched_twice={layer: list(patterns) for layer, patterns in table.matched_twice.items()},
        unsearched=list(unsearched),
        notes=list(schedule.notes),
    )


def _show(
    loaded: LoadedConfig,
    table: BlockTable,
    schedule: Schedule,
    timing: Timing | None,
    unsearched: Sequence[str],
) -> None:
    headings = ("block", "layer", "candidates", "share of cost", "combinations", "trials")
    shown = table_of(
        (*headings, *(() if timing is None else ("time",))),
        f"blocks in the order of schedule_block: {loaded.config.run.schedule_block}",
    )
    for column in shown.columns[2:]:
        column.justify = "right"
    searched = _searched(loaded, schedule, timing)
    for block in table.blocks:
        found = searched.get(block.pattern, _NOTHING)
        head = [f"{block.share:.1%}", f"{found.combinations:,}", str(found.trials)]
        head += [] if timing is None else [duration(found.seconds)]
        for index, (layer, candidates) in enumerate(block.layers.items()):
            count = f"{candidates:,}" if candidates else "not searched"
            cells = [block.pattern, layer, count, *head] if index == 0 else ["", layer, count]
            add_row(shown, cells, end_section=index == len(block.layers) - 1)
    show(shown, _NO_EDGE)
    total = sum(found.trials for found in searched.values())
    say(f"{len(table.blocks)} blocks, {total} trials in all")
    say(_sizes(schedule))
    if timing is not None:
        for line in timing_lines(timing):
            say(line)
    if table.unmatched:
        say(f"in no block: {', '.join(table.unmatched)}")
    for layer, patterns in table.matched_twice.items():
        say(f"in several blocks: {layer} ({', '.join(patterns)})")
    for note in (*unsearched, *schedule.notes):
        say(f"note: {note}")


def _sizes(schedule: Schedule) -> str:
    flat, blocked = Decimal(schedule.space.size), Decimal(sum(schedule.sizes))
    return (
        f"combinations: {count_of(flat)} for the whole network at once, {count_of(blocked)} block by block, "
        f"{count_of(flat / blocked)} times fewer"
    )
