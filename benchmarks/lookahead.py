"""Does it pay to look ahead? Searches block by block of random made-up networks, whose trials cost nothing.

    python benchmarks/lookahead.py [--networks 1000]

A network has layers of random size and sensitivity; a layer costs size * bits * width, and the metric falls with
2^-bits and 1 / width. Blocks of one layer are searched at random, the costliest first; a trial is scored by its noisy
metric and a cost that counts the blocks to come as in the reference, or as typical (two bits, the width as it is).
Shown are the means of the finished networks' scores, and how often looking ahead ended higher.
"""

from __future__ import annotations

import argparse
import itertools
import math
import random
import statistics

Choice = tuple[int, float]
BITS, WIDTHS = (1, 2, 4, 8), (0.5, 0.75, 1.0, 1.5, 2.0)
REFERENCE: Choice = (16, 1.0)
TYPICAL: Choice = (2, 1.0)


def searched(layers: int, trials: int, sensitivity: float, noise: float, to_come: Choice, seed: int) -> float:
    """The score of the network that a search ends with."""
    draw = random.Random(seed)
    sizes = [draw.uniform(0.2, 2) for _ in range(layers)]
    losses = [draw.uniform(0.2, 2) * sensitivity for _ in range(layers)]

    def cost(plan: dict[int, Choice], rest: Choice) -> float:
        chosen = [plan.get(layer, rest) for layer in range(layers)]
        return sum(size * bits * width for size, (bits, width) in zip(sizes, chosen, strict=True))

    def score(plan: dict[int, Choice], rest: Choice, error: float) -> float:
        lost = sum(losses[layer] * (0.3 * 2.0**-bits + 0.025 / width) for layer, (bits, width) in plan.items())
        return (math.exp(-lost) + error) * (1 + 0.08 * math.log2(cost({}, REFERENCE) / cost(plan, rest)))

    plan: dict[int, Choice] = {}
    for layer in sorted(range(layers), key=lambda one: -sizes[one]):
        options = [{**plan, layer: (draw.choice(BITS), draw.choice(WIDTHS))} for _ in range(trials)]
        plan = max(options, key=lambda option: score(option, to_come, draw.gauss(0, noise)))
    return score(plan, REFERENCE, 0.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1000)
    networks = parser.parse_args().networks
    gains, wins = [], []
    for setting in itertools.product((4, 6, 10), (5, 10, 20), (0.1, 0.3), (0.003, 0.01)):
        as_reference, ahead = (
            [searched(*setting, to_come, seed) for seed in range(networks)] for to_come in (REFERENCE, TYPICAL)
        )
        won = statistics.fmean(b > a for a, b in zip(as_reference, ahead, strict=True))
        means = statistics.fmean(as_reference), statistics.fmean(ahead)
        gains.append(means[1] / means[0] - 1)
        wins.append(won)
        layers, trials, sensitivity, noise = setting
        told = f"{layers} layers, {trials} trials each, sensitivity {sensitivity}, noise {noise}"
        print(f"{told}: as the reference {means[0]:.4f}, looking ahead {means[1]:.4f}, better in {won:.0%}")
    print(
        f"gain {statistics.median(gains):+.1%} ({min(gains):+.1%} to {max(gains):+.1%}), better in "
        f"{statistics.median(wins):.0%} ({min(wins):.0%} to {max(wins):.0%})"
    )


if __name__ == "__main__":
    main()
