"""report.md: what a run found, for people. Made from result.json, energy.json and trials.jsonl alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qsearch.errors import LONGEST_LINE, LONGEST_VALUE, one_line
from qsearch.report.units import cost, duration, energy, priced, saving

Json = Mapping[str, Any]

SHOWN_TRIALS = 10


def markdown(result: Json, energies: Json, trials: Sequence[Json]) -> str:
    """The report of one run.

    Args:
        result: the content of result.json.
        energies: the content of energy.json.
        trials: the lines of trials.jsonl.
    """
    parts = [f"# {plain(result['model'])} on {plain(result['dataset'])}", _summary(result)]
    if result["best"] is not None:
        parts += ["## The best model, layer by layer", _layers(result["best"]["plan"], energies)]
    if result["blocks"]:
        parts += ["## Block by block", _blocks(result)]
    parts += [f"## The best {SHOWN_TRIALS} trials", _trials(result, trials)]
    if len(result["front"]["trials"]) > 1:
        parts += ["## The trade-off", _front(result)]
    if result["models"]:
        parts += ["## More models", _models(result)]
    failed = [trial for trial in trials if trial["status"] == "failed"]
    if failed:
        parts += ["## Failed trials", table(("trial", "reason"), ((str(t["id"]), plain(t["reason"])) for t in failed))]
    notes = [*result["notes"], *(energies["best"]["notes"] if energies["best"] else ())]
    parts += ["## Notes", "\n".join(f"- {plain(note, LONGEST_LINE)}" for note in notes) or "None."]
    return "\n\n".join(parts) + "\n"


def _summary(result: Json) -> str:
    target, unit = result["target_metric"], result["unit"]
    headings = ["", f"{target}, selection set", f"{target}, test set", "energy", "parameters"]
    if unit != "pJ":
        headings.append(unit)
    rows = [("reference", *_figures(result["reference"], target, unit))]
    if result["best"] is not None:
        rows.append((f"best: trial {result['best']['trial']}", *_figures(result["best"], target, unit)))
    text = table(headings, rows)
    if result["best"] is not None:
        ratio = result["best"]["energy_ratio"]
        if ratio is not None:
            text += f"\n\nThe best model uses {saving(ratio)}{priced(result['priced_share'])}."
        text += _final(result["best"]["final_training"])
    if result["dearer"] is not None:
        text += f"\n\n{_dearer(result)}"
    part = (
        "a set of its own"
        if result["validation"] == "given"
        else f"{result['validation']} of the training set, held out"
    )
    selected = (
        "The winner was selected on the test set (`validation: test`), so its test figure is optimistic."
        if result["validation"] == "test"
        else f"The winner was selected on {part}; the test set was used once, at the end."
    )
    counts = result["trials"]
    if result["demands"] is not None:
        selected += f"\n\n{_demands(result)}"
    return (
        f"{text}\n\n{selected}\n\n{counts['completed']} trials completed, {counts['failed']} failed, "
        f"{counts['skipped']} skipped, in {duration(result['seconds'])}; {result['ended']}."
    )


def _dearer(result: Json) -> str:
    unit = result["unit"]
    rows = ((plain(one["layer"]), cost(one["reference"], unit), cost(one["best"], unit)) for one in result["dearer"])
    return "**No trial is cheaper than the reference.** The layers that cost the best one more:\n\n" + table(
        ("layer", "reference", "best"), rows
    )


def _demands(result: Json) -> str:
    constraints, target = result["demands"], result["target_metric"]
    asked = []
    if constraints["energy"] is not None:
        asked.append(f"energy at most {energy(constraints['energy'])}")
    if constraints["cost"] is not None:
        asked.append(f"cost at most {cost(constraints['cost'], result['unit'])}")
    if constraints[target] is not None:
        side = "at least" if result["direction"] == "max" else "at most"
        asked.append(f"{target} {side} {constraints[target]:.4f} on the selection set")
    met = {True: "The best trial keeps to it.", None: "No trial was completed."}.get(
        constraints["met"], "**No trial keeps to it: the best model is the one that comes nearest.**"
    )
    return f"Demanded: {', '.join(asked)}. {met}"


def _front(result: Json) -> str:
    front, target = result["front"], result["target_metric"]
    rows = (
        (
            f"{point['trial']}{' (knee)' if point['trial'] == front['knee'] else ''}",
            _number(point[target]),
            energy(point["energy"]),
            _number(point["score"]),
        )
        for point in front["trials"]
    )
    corner = f"{target} {front['corner'][target]:.4f} at the reference's cost"
    return (
        "Trials that no other beats in both:\n\n"
        + table(("trial", f"val_{target}", "energy", "score"), rows)
        + f"\n\nHypervolume {front['hypervolume']:.4f} ({target} times doublings of cost saved, from {corner})."
    )


_SCORED = {
    "typical": "scores count them as quantized, each choice the middle one by its cost (`blocks_to_come: typical`), so "
    "that only the last block's are what the energy beside them is worth",
    "reference": "so do scores",
}


def _blocks(result: Json) -> str:
    """Before and after each block; what was chosen stands in the table of layers, and in result.json."""
    target = result["target_metric"]
    rows = []
    for block in result["blocks"]:
        before, after, counts = block["before"], block["after"], block["trials"]
        chosen = "; ".join(f"{plain(name)}: {_chosen(plan)}" for name, plan in block["chosen"].items() if plan)
        rows.append(
            (
                f"{block['block']}. {code(block['pattern'])}",
                f"{block['share']:.1%}",
                f"{counts['completed']} of {sum(counts.values())}",
                f"{_number(before[target])} → {_number(after[target])}",
                f"{energy(before['energy'])} → {energy(after['energy'])}",
                f"{_number(before['score'])} → {_number(after['score'])}",
                chosen if block["trial"] is not None else f"nothing better ({block['ended']})",
            )
        )
    headings = ("block", "share of cost", "trials completed", target, "energy", "score", "chosen")
    return (
        table(headings, rows)
        + "\n\nMetrics are those of the selection set. Energy counts layers that no block has quantized yet as the "
        f"reference's; {_SCORED[result['blocks_to_come']]}. The model after block N is in `blocks/N`."
    )


def _chosen(plan: Json) -> str:
    return ", ".join(f"{role} {code(str(value))}" for role, value in plan.items())


def _models(result: Json) -> str:
    target = result["target_metric"]
    rows = (
        (
            model["folder"],
            ", ".join(model["as"]),
            _number(model["selection"].get(target)),
            _number(model["test"].get(target)),
            energy(model["energy"]),
            f"{model['parameters']:,}",
        )
        for model in result["models"]
    )
    return table(("folder", "as", f"{target}, selection set", f"{target}, test set", "energy", "parameters"), rows)


def _final(training: Json | None) -> str:
    if training is None:
        return " Its weights are those of its trial; there was no final training."
    epochs, best = training["epochs"], training["best_epoch"]
    kept = f"those of epoch {best}" if best else "those of its trial, which no later epoch improved on"
    return f" Final training took {epochs} epochs; its weights are {kept}."


def _figures(model: Json, target: str, unit: str) -> tuple[str, ...]:
    own_unit = () if unit == "pJ" else (cost(model["cost"], unit),)
    return (
        _number(model["selection"].get(target)),
        _number(model["test"].get(target)),
        energy(model["energy"]),
        f"{model['parameters']:,}",
        *own_unit,
    )


def _layers(plan: Json, energies: Json) -> str:
    reference, best = energies["reference"]["layers"], energies["best"]["layers"]
    rows = (
        (
            plain(name),
            ", ".join(f"{role}: {code(str(value))}" for role, value in plan.get(name, {}).items()) or "-",
            _energy(reference.get(name)),
            _energy(layer),
        )
        for name, layer in best.items()
    )
    return table(("layer", "chosen", "reference", "best"), rows)


def _energy(layer: Json | None) -> str:
    return "-" if layer is None else energy(layer["total"])


def _trials(result: Json, trials: Sequence[Json]) -> str:
    target = f"val_{result['target_metric']}"
    completed = sorted((t for t in trials if t["status"] == "completed"), key=lambda t: -t["score"])[:SHOWN_TRIALS]
    if not completed:
        return "No trial was completed."
    rows = (
        (
            str(t["id"]),
            *((str(t["block"]),) if result["blocks"] else ()),
            _number(t["score"]),
            _number(t["metrics"].get(target)),
            energy(t["energy"]),
            duration(t["seconds"]),
        )
        for t in completed
    )
    place = ("block",) if result["blocks"] else ()
    return table(("trial", *place, "score", target, "energy", "time"), rows)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


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
