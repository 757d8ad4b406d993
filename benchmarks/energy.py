"""How long it takes to price a candidate, and how that compares with QKeras.

    python benchmarks/energy.py [--rounds 7] [--qkeras /path/to/python]

Prices random plans of the mnist preset: one by one (`price_plan`), in a batch (`PlanPricer`, layers remembered by
their formats), and several model sizes for the growth with the number of layers. With `--qkeras`, the Python of an
environment with TensorFlow 2.15 and QKeras 0.9, it alternates with QTools' estimate of a built quantized model, and
with what AutoQKeras does for every candidate: quantize the model, then estimate. Medians over rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
from train_step import BITS_ACTIVATIONS, BITS_KERNELS, QKerasProcess, described, entries

import qsearch
from qsearch.energy.batch import PlanPricer
from qsearch.energy.estimate import EnergySettings, price_plan
from qsearch.graph import operations as ops
from qsearch.graph.from_keras import read_model
from qsearch.graph.model_graph import ModelGraph
from qsearch.plan import LayerPlan, QuantizationPlan, Role
from qsearch.quantizers import parse

KERNELS = ["binary", "ternary", "quantized_bits(4,0,1,alpha=1.0)", "quantized_po2(4,1)", "quantized_bits(8,0,1)"]
ACTIVATIONS = ["quantized_relu(3,1)", "quantized_relu(4,2)", "quantized_relu_po2(4,4)", "binary", "ternary"]
SETTINGS = EnergySettings()


def random_plan(graph: ModelGraph, rng: random.Random) -> QuantizationPlan:
    """Quantizers for every layer and filters for every convolution, as a search with filter tuning asks for."""
    layers: dict[str, LayerPlan] = {}
    for node in graph.nodes:
        match node.operation:
            case ops.Convolution(filters=filters):
                kernel = {Role.KERNEL: parse(rng.choice(KERNELS)), Role.BIAS: parse("quantized_bits(8,3,1)")}
                layers[node.layer] = LayerPlan(kernel, filters * rng.choice([2, 3, 4, 6, 8]) // 4)
            case ops.Dense() | ops.DepthwiseConvolution():
                layers[node.layer] = LayerPlan({Role.KERNEL: parse(rng.choice(KERNELS))})
            case ops.Activation(function="relu"):
                layers[node.layer] = LayerPlan({Role.ACTIVATION: parse(rng.choice(ACTIVATIONS))})
            case ops.BatchNormalization():
                layers[node.layer] = LayerPlan()
    return QuantizationPlan(layers)


def timed(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--plans", type=int, default=1000, help="candidates of a batch")
    parser.add_argument("--qkeras", help="the Python of an environment with QKeras")
    arguments = parser.parse_args()
    model = qsearch.build_model("mnist")
    graph, rng = read_model(model), random.Random(0)
    plans = [random_plan(graph, rng) for _ in range(arguments.plans)]
    others: dict[str, QKerasProcess] = {}
    if arguments.qkeras:
        quantized = qsearch.quantize_model(model, entries(model, BITS_KERNELS, BITS_ACTIVATIONS))
        for label, worker in (("QTools", "estimate"), ("AutoQKeras' build + estimate", "build")):
            others[label] = QKerasProcess(
                arguments.qkeras, described(model, quantized), 1, f"qtools_worker.py {worker}"
            )
            others[label](1)
    times: dict[str, list[float]] = {label: [] for label in ("one by one", "cold batch", "batch", *others)}
    for _ in range(arguments.rounds):
        single = timed(lambda: [price_plan(graph, plan, SETTINGS) for plan in plans[:100]])
        times["one by one"].append(single / 100)
        pricer = PlanPricer(graph, SETTINGS)
        run = lambda pricer=pricer: [pricer.total(plan) for plan in plans]  # noqa: E731
        times["cold batch"].append(timed(run) / len(plans))
        times["batch"].append(timed(run) / len(plans))
        for label, other in others.items():
            times[label].append(other(3) / 3)
    for other in others.values():
        other.close()
    for label, seconds in times.items():
        print(f"mnist preset, {label}: {1e6 * statistics.median(seconds):.1f} us a candidate")
    for theirs in others:
        for ours in ("one by one", "cold batch", "batch"):
            ratios = [a / b for a, b in zip(times[theirs], times[ours], strict=True)]
            print(f"{theirs} / {ours}: {statistics.median(ratios):.0f} (from {min(ratios):.0f} to {max(ratios):.0f})")
    for name in ("mnist", "fashion_mnist", "cifar10", "cifar100"):
        keras.backend.clear_session()
        graph = read_model(qsearch.build_model(name))
        some = [random_plan(graph, rng) for _ in range(20)]
        seconds = statistics.median(
            timed(lambda g=graph, p=some: [price_plan(g, plan, SETTINGS) for plan in p]) / 20
            for _ in range(arguments.rounds)
        )
        print(f"{name}: {len(graph.nodes)} nodes, {1e6 * seconds / len(graph.nodes):.1f} us a node, one by one")


if __name__ == "__main__":
    sys.exit(main())
