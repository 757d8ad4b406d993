"""Run directories written by hand, as a run would leave them, without training anything."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tiny_run import TINY

QUANTIZERS = ("binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_bits(8,0,1,alpha=1.0)")
BITS = dict(zip(QUANTIZERS, (1, 2, 4, 8), strict=True))
RELUS = ("quantized_relu(2,0)", "quantized_relu(4,2)", "quantized_relu(8,4)")


def made_run(
    folder: Path,
    trials: int = 20,
    *,
    layers: int = 5,
    names: str = "conv_{}",
    finished: bool = True,
    costs: bool = True,
    minimise: bool = False,
    missed: int = 0,
    blocks: int = 0,
    **result: Any,
) -> Path:
    """A run directory.

    Args:
        trials: completed ones; missed: failed ones, and as many skipped ones, besides.
        names: of layers, `{}` stands for their number.
        finished: with result.json and energy.json; costs: with what earlier versions did not write.
        blocks: of a search block by block.
        result: further keys of result.json, and others than usual.
    """
    (folder / "best").mkdir(parents=True)
    (folder / "config.yaml").write_text(TINY.replace("OUT", str(folder)), encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT), encoding="utf-8")
    drawn = random.Random(1)
    named = [names.format(place) for place in range(layers)]
    lines = [_trial(number, named, drawn, minimise) for number in range(1, trials + 1)]
    for place, line in enumerate(lines if blocks else ()):
        line["block"] = place * blocks // trials + 1
    for number in range(trials + 1, trials + 1 + 2 * missed):
        line = _trial(number, named, drawn, minimise)
        kept = {key: line[key] for key in ("id", "values", "plan", "seconds")}
        reason = "diverged: the loss is NaN <b>" if number % 2 else "same plan as trial 1"
        lines.append({**kept, "status": "failed" if number % 2 else "skipped", "reason": reason})
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "trials.jsonl").write_text(text, encoding="utf-8")
    completed = [line for line in lines if line["status"] == "completed"]
    best = max(completed, key=lambda line: line["score"], default=None)
    if best is not None:
        (folder / "best" / "plan.yaml").write_text(json.dumps(best["plan"]), encoding="utf-8")
    energies = {"unit": "pJ", "reference": _energy(named, 1.0), "best": None if best is None else _energy(named, 0.1)}
    about = {
        "model": "digits",
        "dataset": "digits",
        "unit": "pJ",
        "target_metric": "acc",
        "direction": "min" if minimise else "max",
        "validation": 0.2,
        "reference": _reference(minimise),
    }
    if costs:
        of_trials = {line["id"]: _costs(line["energy"]) for line in completed}
        known = {**about, "reference_costs": _costs(6000.0 * layers), "energies": energies, "trials": of_trials}
        (folder / "costs.json").write_text(json.dumps(known), encoding="utf-8")
        (folder / "best" / "weights.json").write_text(json.dumps(_weights(named)), encoding="utf-8")
    if finished:
        (folder / "energy.json").write_text(json.dumps(energies), encoding="utf-8")
        whole = {**about, **_result(best, completed, missed), **_blocks(completed, blocks), **result}
        (folder / "result.json").write_text(json.dumps(whole), encoding="utf-8")
    return folder


ENVIRONMENT = {
    "qsearch": "0.1.0",
    "python": "3.11.7",
    "platform": "Linux <script>alert(1)</script>",
    "processors": 2,
    "packages": {"tensorflow": "2.21.0", "keras": None},
    "command": ["qsearch", "run", "a file.yaml"],
    "seed": 0,
}


def _trial(number: int, layers: list[str], drawn: random.Random, minimise: bool) -> dict[str, Any]:
    kernels = [drawn.choice(QUANTIZERS) for _ in layers]
    relus = [drawn.choice(RELUS) for _ in layers]
    bits = sum(BITS[kernel] for kernel in kernels)
    metric = round(0.5 + 0.45 * bits / (8 * len(layers)) + drawn.uniform(-0.03, 0.03), 4)
    if minimise:
        metric = round(1.2 - metric, 4)
    energy, delta = round(100.0 * bits + drawn.uniform(0, 50), 2), 0.2
    curve = [round(metric * share, 4) for share in (0.7, 0.9, 1.0)]
    return {
        "id": number,
        "status": "completed",
        "values": {f"{layer}_kernel_quantizer": kernel for layer, kernel in zip(layers, kernels, strict=True)},
        "plan": {
            layer: {"kernel": kernel, "activation": relu, "filters": 8}
            for layer, kernel, relu in zip(layers, kernels, relus, strict=True)
        },
        "metrics": {"acc": metric, "val_acc": metric, "val_loss": 0.3},
        "target": "val_acc",
        "energy": energy,
        "cost": energy,
        "delta": delta,
        "score": -metric / (1 + delta) if minimise else metric * (1 + delta),
        "epochs": 3,
        "best_epoch": 3,
        "curve": curve,
        "seconds": 1.5,
    }


def _costs(energy: float) -> dict[str, int]:
    base = round(energy)
    return {
        "macs": 1000,
        "bops": base * 90,
        "ebops": base * 50,
        "parameter_bits": base * 7,
        "activation_bits": base * 2,
        "weight_bytes": base,
        "peak_activation_bytes": base // 4,
    }


def _reference(minimise: bool) -> dict[str, Any]:
    metric = 0.25 if minimise else 0.97
    figures = {"acc": metric, "loss": 0.1}
    known = {"selection": figures, "test": figures, "parameters": 24282, "cost": 30000.0, "energy": 30000.0}
    return {**known, "curve": [0.5, 0.8, 0.9, 0.95, 0.97]}


def _energy(layers: list[str], factor: float) -> dict[str, Any]:
    def layer(place: int) -> dict[str, Any]:
        parts = [round(value * factor, 2) for value in (10.0 + place, 100.0, 5000.0, 40.0)]
        return {
            "class": "Conv2D",
            **dict(zip(("inputs", "parameters", "op_cost", "outputs"), parts, strict=True)),
            "total": round(sum(parts[:3]), 2),
            "operations": 100,
            "formats": {},
        }

    found = {name: layer(place) for place, name in enumerate(layers)}
    return {"total": sum(one["total"] for one in found.values()), "priced_share": 1.0, "layers": found, "notes": []}


def _weights(layers: list[str]) -> dict[str, Any]:
    kernel = {
        "weight": "kernel",
        "quantizer": "ternary",
        "bits": 2,
        "count": 60,
        "zeros": 20,
        "levels": [-0.5, 0.0, 0.5],
        "counts": [15, 20, 25],
        "binned": False,
        "edges": [-0.9, 0.9],
        "trained": [5, 25, 25, 5],
    }
    return {"ebops": 12345, "weights": [{"layer": name, **kernel} for name in layers]}


def _blocks(completed: list[dict[str, Any]], count: int) -> dict[str, Any]:
    """Each block of one layer, from the best trial of the block before."""
    before, told = {"acc": 0.97, "energy": 30000.0, "cost": 30000.0, "score": 0.97}, []
    for number in range(1, count + 1):
        own = [line for line in completed if line["block"] == number]
        best = max(own, key=lambda line: line["score"])
        after = {"acc": best["metrics"]["val_acc"], **{key: best[key] for key in ("energy", "cost", "score")}}
        layer = list(best["plan"])[number - 1]
        told.append(
            {
                "block": number,
                "pattern": f"^{layer}$",
                "share": 0.4,
                "combinations": 100,
                "trials": {"completed": len(own), "failed": 0, "skipped": 0},
                "before": before,
                "after": after,
                "trial": best["id"],
                "chosen": {layer: best["plan"][layer]},
                "ended": f"all {len(own)} trials done",
                "seconds": 3.0,
            }
        )
        before = after
    return {"blocks": told, "blocks_to_come": "typical" if count else None}


def _result(best: dict[str, Any] | None, completed: list[dict[str, Any]], missed: int) -> dict[str, Any]:
    shown = None
    if best is not None:
        figures = {"acc": best["metrics"]["val_acc"], "loss": 0.2}
        shown = {
            "selection": figures,
            "test": figures,
            "parameters": 6386,
            "trial": best["id"],
            "score": best["score"],
            "delta": best["delta"],
            "trial_metrics": best["metrics"],
            "final_training": None,
            "cost": best["cost"],
            "energy": best["energy"],
            "energy_ratio": 30000.0 / best["energy"],
            "cost_ratio": 30000.0 / best["energy"],
            "plan": best["plan"],
        }
    return {
        "qsearch": "0.1.0",
        "goal": "energy",
        "seed": 0,
        "mode": "random",
        "train_samples": 100,
        "selection_samples": 20,
        "test_samples": 30,
        "reference_cost": "unquantized",
        "priced_share": 1.0,
        "unsearched_share": 0.0,
        "unsearched": [],
        "best": shown,
        "dearer": None,
        "demands": None,
        "front": {"trials": [], "knee": None, "hypervolume": 0.1, "corner": {"acc": 0.5, "cost": 30000.0}},
        "models": [],
        "trials": {"completed": len(completed), "failed": missed, "skipped": missed},
        "combinations": 4096,
        "ended": f"all {len(completed)} trials done",
        "interrupted": False,
        "seconds": 62.0,
        "blocks_to_come": None,
        "blocks": [],
        "notes": ["export c: 0 outputs of 100 samples differ from Keras; in exports/c", "a note with <i>markup</i>"],
    }
