"""Block by block against the whole network at once, with as many trials; and what learning rates per block cost.

    python benchmarks/blocks.py [--config configs/digits.yaml] [--trials-per-block 5] [--epochs 10] [--seeds 3]
                                [--quantized 0.0 0.2 1.0] [--to-come typical reference] [--modes random guided]
    python benchmarks/blocks.py --steps

Blocks are those of `qsearch blocks CONFIG --suggest`. Every trial starts from trained weights, also those of the search
of the whole network, and none is trained further at the end. Scores are of the selection set.

--steps measures an epoch with one learning rate and with one for each block, alternately, on a quantized model.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from random import Random

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from qsearch.blocks.suggest import suggest
from qsearch.config import load_config
from qsearch.quantize.apply import apply_plan
from qsearch.runner.data import data_of
from qsearch.runner.experiment import Experiment, read_experiment
from qsearch.runner.inputs import objective_of, recipe_of
from qsearch.runs.record import RunRecord
from qsearch.training.fit import compile_model


def ours(config: str, folder: Path, overrides: list[str]) -> tuple[float, float, float, int, float]:
    """(score, accuracy, nJ, epochs trained, seconds) of the best model, by a process of its own."""
    started = time.monotonic()
    sets = [argument for override in (*overrides, f"run.output_dir={folder}") for argument in ("--set", override)]
    subprocess.run(
        [sys.executable, "-m", "qsearch", "run", config, "--plain", *sets],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    seconds = time.monotonic() - started
    record = RunRecord.read(folder)
    assert record.result is not None
    assert record.result.best is not None
    best = record.result.best
    epochs = sum(len(trial.trained.curve) for trial in record.completed)
    return best.score, best.trial_metrics[record.completed[0].target], best.energy / 1e3, epochs, seconds


def compare(arguments: argparse.Namespace, experiment: Experiment) -> None:
    searched = [layer.name for layer in experiment.space.layers]
    patterns = [block.pattern for block in suggest(experiment.graph, searched, experiment.indexed)]
    each, epochs = arguments.trials_per_block, arguments.epochs
    common = [f"run.epochs={epochs}", "final_training=null"]
    blocks = [*common, f"run.blocks={json.dumps(patterns)}", f"run.min_trials_per_block={each}", "run.max_trials=1"]
    whole = [*common, "run.blocks=null", f"run.max_trials={each * len(patterns)}", "run.transfer_weights=true"]
    variants: dict[str, list[str]] = {}
    for mode in arguments.modes:
        if arguments.whole:
            variants[f"{mode}, at once"] = [*whole, f"run.mode={mode}"]
        for schedule in arguments.schedules:
            for rate, to_come in itertools.product(arguments.quantized, arguments.to_come):
                own = [f"run.mode={mode}", f"run.schedule_block={schedule}", f"run.blocks_to_come={to_come}"]
                own.append(f"run.block_learning_rates.quantized={rate}")
                variants[f"{mode}, {schedule}, to come {to_come}, quantized {rate:g}"] = [*blocks, *own]
    print(f"{len(patterns)} blocks, {each} trials of {epochs} epochs each: {', '.join(patterns)}", flush=True)
    rows: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(arguments.seeds):
        for number, (name, overrides) in enumerate(variants.items()):
            row = ours(arguments.config, arguments.folder / f"{number}_{seed}", [*overrides, f"run.seed={seed}"])
            rows.setdefault(name, []).append(row)
            print(f"seed {seed}, {name}: {shown(row)}", flush=True)
    print(f"\nmeans of {arguments.seeds} seeds (from the least to the greatest score)")
    for name, found in rows.items():
        scores = [row[0] for row in found]
        means = tuple(statistics.fmean(column) for column in zip(*found, strict=True))
        print(f"{name}: {shown(means)} ({min(scores):.4f} to {max(scores):.4f})")


def shown(row: tuple[float, ...]) -> str:
    score, accuracy, energy, epochs, seconds = row
    return f"score {score:.4f}, accuracy {accuracy:.4f}, {energy:.3f} nJ, {epochs:.0f} epochs, {seconds:.0f} s"


def steps(arguments: argparse.Namespace, experiment: Experiment) -> None:
    objective = objective_of(experiment.loaded, experiment.model)
    data = data_of(experiment, objective)
    recipe = recipe_of(experiment, objective, data)
    random = Random(0)
    values = {dimension.name: random.choice(dimension.options) for dimension in experiment.space.dimensions}
    plan = experiment.space.plan(values)
    names = list(plan)
    third = len(names) // 3 or 1
    rates = dict.fromkeys(names[:third], 0.2) | dict.fromkeys(names[third : 2 * third], 0.5)
    models = {}
    for kind, factors in (("one rate", {}), ("rates per block", rates)):
        models[kind] = apply_plan(experiment.model, plan)
        compile_model(models[kind], replace(recipe, rates=factors))
    times: dict[str, list[float]] = {kind: [] for kind in models}
    for turn in range(arguments.rounds + 1):
        for kind, model in models.items():
            started = time.monotonic()
            model.fit(data.train.x, data.train.y, batch_size=recipe.batch_size, epochs=2, verbose=0)
            if turn:  # the first one traces
                times[kind].append(time.monotonic() - started)
    one, several = (statistics.median(found) for found in times.values())
    ratios = sorted(b / a for a, b in zip(*times.values(), strict=True))
    print(
        f"median of {arguments.rounds} alternating rounds of 2 epochs: one rate {one:.3f} s, rates per block "
        f"{several:.3f} s, ratio {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/digits.yaml")
    parser.add_argument("--trials-per-block", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--quantized", type=float, nargs="*", default=[0.0, 0.2, 1.0])
    parser.add_argument("--modes", nargs="*", default=["random", "guided"])
    parser.add_argument("--schedules", nargs="*", default=["sequential", "cost"])
    parser.add_argument("--to-come", nargs="*", default=["typical", "reference"])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "qsearch-blocks")
    parser.add_argument("--whole", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--steps", action="store_true")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    experiment = read_experiment(load_config(arguments.config))
    (steps if arguments.steps else compare)(arguments, experiment)


if __name__ == "__main__":
    main()
