"""report.md: what a run found, for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from qsearch.errors import LONGEST_LINE, LONGEST_VALUE, one_line
from qsearch.goal.target import Target
from qsearch.plan import QuantizationPlan
from qsearch.report.block_rows import RANKED, block_heads, block_rows, blocks_note
from qsearch.report.own_cost import own_cost, own_heading
from qsearch.report.sentences import (
    NOT_KEPT,
    demanded,
    final_training,
    kept_to,
    own_saving,
    selected_on,
    shared_weights,
)
from qsearch.report.units import cost, duration, energy, priced, saving, size
from qsearch.runs.chosen import ranked_by_block
from qsearch.runs.figures import (
    BestModel,
    DearerLayer,
    Demands,
    Energies,
    Footprint,
    LayerEnergy,
    Reference,
)
from qsearch.runs.result import Result
from qsearch.search.trials import AnyTrial, FailedTrial

SHOWN_TRIALS = 10


def markdown(result: Result, energies: Energies, trials: Sequence[AnyTrial]) -> str:
    """The report of one run."""
    parts = [f"# {plain(result.model)} on {plain(result.dataset)}", _summary(result)]
    if result.best is not None:
        parts += ["## The best model, layer by layer", _layers(result.best.plan, energies)]
        parts += _footprints(result.reference.footprint, result.best.footprint)
    if result.blocks:
        parts += ["## Block by block", _blocks(result)]
    parts += [f"## The best {SHOWN_TRIALS} trials{' of each block' if result.blocks else ''}", _trials(result, trials)]
    if len(result.front.trials) > 1:
        parts += ["## The trade-off", _front(result)]
    if result.models:
        parts += ["## More models", _models(result)]
    failed = [(str(trial.number), plain(trial.reason)) for trial in trials if isinstance(trial, FailedTrial)]
    if failed:
        parts += ["## Failed trials", table(("trial", "reason"), failed)]
    notes = [*result.notes, *(energies.best.notes if energies.best else ())]
    parts += ["## Notes", "\n".join(f"- {plain(note, LONGEST_LINE)}" for note in notes) or "None."]
    return "\n\n".join(parts) + "\n"


def _summary(result: Result) -> str:
    target, best = result.target_metric, result.best
    headings = ["", f"{target}, selection set", f"{target}, test set", "energy", "parameters"]
    if result.unit != "pJ":
        headings.append(result.goal)
    rows = [("reference", *_figures(result.reference, result))]
    if best is not None:
        rows.append((f"best: trial {best.trial}", *_figures(best, result)))
    text = table(headings, rows)
    if best is not None:
        if best.energy_ratio is not None:
            text += f"\n\nThe best model uses {saving(best.energy_ratio)}{priced(result.priced_share)}."
            text += own_saving(best.cost_ratio, result.goal)
        text += f" {final_training(best.final_training)}"
    if result.dearer is not None:
        text += f"\n\n{_dearer(result.dearer, result.unit)}"
    selected = selected_on(result.validation)
    if result.demands is not None:
        selected += f"\n\n{_demands(result.demands, result)}"
    if result.shared_weights is not None:
        selected += f"\n\n{shared_weights(result.shared_weights, result.mode)}"
    counts = result.trials
    return (
        f"{text}\n\n{selected}\n\n{counts.completed} trials completed, {counts.failed} failed, "
        f"{counts.skipped} skipped, in {duration(result.seconds)}; {result.ended}.{_disk(result)}"
    )


def _disk(result: Result) -> str:
    """Nothing of runs by versions that did not tell."""
    if result.disk_bytes is None:
        return ""
    part = result.checkpoint_bytes
    return f"\n\nDisk: {size(result.disk_bytes)}{f', of which checkpoints for resume {size(part)}' if part else ''}."


def _footprints(reference: Footprint | None, best: Footprint | None) -> list[str]:
    """What both keep in memory; nothing of runs by versions that did not tell."""
    if reference is None or best is None:
        return []
    rows = [
        (name, f"{one.weights_packed:,}", f"{one.weights:,}", f"{one.activations:,}")
        for name, one in (("reference", reference), ("best", best))
    ]
    text = table(("bytes", "parameters, bit by bit", "parameters, whole bytes", "activations at once"), rows)
    return [
        "## Memory",
        f"{text}\n\nFPGAs, ASICs and packed C store numbers bit by bit, processors in whole bytes: there 4 bits save "
        "nothing over 8. Activations are counted in whole bytes, and as written over where that is exact.",
    ]


def _dearer(layers: Sequence[DearerLayer], unit: str) -> str:
    rows = ((plain(layer.layer), cost(layer.reference, unit), cost(layer.best, unit)) for layer in layers)
    return "**No trial is cheaper than the reference.** The layers that cost the best one more:\n\n" + table(
        ("layer", "reference", "best"), rows
    )


def _demands(demands: Demands, result: Result) -> str:
    asked = demanded(demands, result.target_metric, result.direction, result.unit)
    met = kept_to(demands)
    text = f"{asked} **{met}**" if met == NOT_KEPT else f"{asked} {met}"
    if len(demands.limits) < 2:
        return text
    rows = (
        (
            limit.cost,
            *("-" if one is None else cost(one, limit.unit) for one in (limit.most, limit.best, limit.reference)),
        )
        for limit in demands.limits
    )
    return f"{text}\n\n{table(('budget', 'at most', 'best', 'reference'), rows)}"


def _front(result: Result) -> str:
    front, target = result.front, result.target_metric
    rows = (
        (
            f"{point.trial}{' (knee)' if point.trial == front.knee else ''}",
            _number(point.metric),
            energy(point.energy),
            *own_cost(point.cost, result),
            _number(point.score),
        )
        for point in front.trials
    )
    corner = f"{target} {front.corner.metric:.4f} at the reference's cost"
    return (
        "Trials that no other beats in both:\n\n"
        + table(("trial", f"val_{target}", "energy", *own_heading(result), "score"), rows)
        + f"\n\nHypervolume {front.hypervolume:.4f} ({target} times doublings of cost saved, from {corner})."
    )


def _blocks(result: Result) -> str:
    """Before and after each block; what was chosen stands in the table of layers, and in result.json."""
    rows = block_rows(result, plain, code)
    return f"{table(block_heads(result), rows)}\n\n{blocks_note(result)}"


def _models(result: Result) -> str:
    target = result.target_metric
    rows = (
        (
            model.folder,
            ", ".join(model.roles),
            _number(model.selection.get(target)),
            _number(model.test.get(target)),
            energy(model.energy),
            f"{model.parameters:,}",
            *own_cost(model.cost, result),
        )
        for model in result.models
    )
    metrics = (f"{target}, selection set", f"{target}, test set")
    return table(("folder", "as", *metrics, "energy", "parameters", *own_heading(result)), rows)


def _figures(model: Reference | BestModel, result: Result) -> tuple[str, ...]:
    target = result.target_metric
    return (
        _number(model.selection.get(target)),
        _number(model.test.get(target)),
        energy(model.energy),
        f"{model.parameters:,}",
        *own_cost(model.cost, result),
    )


def _layers(plan: QuantizationPlan, energies: Energies) -> str:
    chosen = plan.to_dict()
    best = {} if energies.best is None else energies.best.layers
    rows = (
        (
            plain(name),
            ", ".join(f"{role}: {code(str(value))}" for role, value in chosen.get(name, {}).items()) or "-",
            _energy(energies.reference.layers.get(name)),
            _energy(layer),
            *_counted(name, energies),
        )
        for name, layer in best.items()
    )
    own = () if energies.costs is None else (f"reference, {energies.costs.goal}", f"best, {energies.costs.goal}")
    return table(("layer", "chosen", "reference", "best", *own), rows)


def _counted(name: str, energies: Energies) -> tuple[str, ...]:
    """A layer's parts of a cost that is no energy."""
    costs = energies.costs
    if costs is None:
        return ()
    return tuple(
        "-" if known is None or name not in known else cost(known[name], costs.unit)
        for known in (costs.reference, costs.best)
    )


def _energy(layer: LayerEnergy | None) -> str:
    return "-" if layer is None else energy(layer.total)


def _trials(result: Result, trials: Sequence[AnyTrial]) -> str:
    target = Target(result.target_metric, result.direction == "max")
    ranked = ranked_by_block(trials, target)
    if not ranked:
        return "No trial was completed."
    blocks = sorted({trial.block or 0 for trial in ranked})
    shown = [trial for block in blocks for trial in [one for one in ranked if (one.block or 0) == block][:SHOWN_TRIALS]]
    rows = (
        (
            *((str(trial.block),) if result.blocks else ()),
            str(trial.number),
            _number(trial.score),
            _number(trial.metric),
            energy(trial.price.energy),
            *own_cost(trial.price.cost, result),
            duration(trial.seconds),
        )
        for trial in shown
    )
    block, note = (("block",), f"\n\n{RANKED}") if result.blocks else ((), "")
    heads = (*block, "trial", "score", f"val_{result.target_metric}", "energy", *own_heading(result), "time")
    return table(heads, rows) + note


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


_MARKS = str.maketrans({mark: f"\\{mark}" for mark in "\\`*[]<>~"})


def plain(text: str, length: int = LONGEST_VALUE) -> str:
    """Text of anybody's, such as a layer's name, as Markdown that shows it and is nothing else."""
    return one_line(text, length).translate(_MARKS)


def code(text: str) -> str:
    """The same as code."""
    shown = one_line(text)
    fence = "``" if "`" in shown else "`"
    padding = " " if "`" in shown else ""
    return f"{fence}{padding}{shown.replace('``', '` `')}{padding}{fence}"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
