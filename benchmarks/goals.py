"""How many plans a second each goal, and several budgets at once, can be priced at.

    python benchmarks/goals.py [--rounds 5] [--plans 2000]

Prices random plans of the digits and the mnist preset (quantizers of every layer, filters of every convolution) with
the prices that a search asks: cost, energy and what the budget names. Every layer was met before with its combination,
as in a search that goes on. Medians over rounds, in plans a second.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from energy import random_plan

import qsearch
from qsearch.config.costs import COUNTED
from qsearch.config.goals import BitsGoalConfig, CountedGoalConfig, EnergyGoalConfig
from qsearch.goal.pricer import Costs, costs_of
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph


def priced(graph: ModelGraph) -> dict[str, Costs]:
    """What is measured, by its name in the table."""
    every = (*COUNTED, "bits")
    return {
        "energy": costs_of(EnergyGoalConfig(type="energy"), graph),
        "bits": costs_of(BitsGoalConfig(type="bits"), graph),
        **{kind: costs_of(CountedGoalConfig.model_validate({"type": kind}), graph) for kind in COUNTED},
        "ebops; weight_memory, peak_activation": costs_of(
            CountedGoalConfig(type="ebops"), graph, further=("weight_memory", "peak_activation")
        ),
        "energy; all others": costs_of(EnergyGoalConfig(type="energy"), graph, further=every),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--plans", type=int, default=2000)
    options = parser.parse_args()
    print(f"{'goal; budgets':<40} {'digits':>8} {'mnist':>8}")
    graphs = {name: read_model(qsearch.build_model(name)) for name in ("digits", "mnist")}
    seeds = [random.Random(seed) for seed in range(options.plans)]
    plans = {name: [random_plan(graph, seed) for seed in seeds] for name, graph in graphs.items()}
    found = {name: priced(graph) for name, graph in graphs.items()}
    for goal in found["digits"]:
        speeds = []
        for name in graphs:
            costs, seconds = found[name][goal], []
            for plan in plans[name]:
                costs.price(plan)
            for _ in range(options.rounds):
                start = time.process_time()
                for plan in plans[name]:
                    costs.price(plan)
                seconds.append(time.process_time() - start)
            speeds.append(options.plans / statistics.median(seconds))
        print(f"{goal:<40} " + " ".join(f"{speed:>8,.0f}" for speed in speeds), flush=True)


if __name__ == "__main__":
    main()
