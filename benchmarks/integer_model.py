"""The integer model of every preset against Keras: samples that differ, and images a second.

    python benchmarks/integer_model.py [--samples 1000] [--seeds 1]

Networks have random weights and statistics, inputs are random images; each network is built once for every seed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import keras
import numpy

import qsearch
from qsearch.hardware.integer.build import integer_model
from qsearch.hardware.integer.compare import compare

KERNEL = {"kernel_quantizer": "quantized_bits(4,0,1,alpha='auto_po2')", "bias_quantizer": "quantized_bits(8,3,1)"}
PARTS = {"depthwise_quantizer": "quantized_bits(4,0,1)", "bias_quantizer": "quantized_bits(8,3,1)"}
ENTRIES: dict[str, Any] = {
    "QConv2D": KERNEL,
    "QDense": {**KERNEL, "kernel_quantizer": "ternary"},
    "QDepthwiseConv2D": PARTS,
    "QSeparableConv2D": {**PARTS, "pointwise_quantizer": "binary"},
    "QActivation": {"relu": "quantized_relu(4,2)"},
    "QBatchNormalization": {},
}
NETWORKS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("digits", {}),
    ("mnist", {}),
    ("mnist", {"use_separable": "mobilenet"}),
    ("mnist", {"use_xnornet_trick": True}),
    ("digits_resnet", {}),
    ("resnet8", {}),
)


def network(name: str, options: dict[str, Any], seed: int) -> keras.Model:
    """A preset with quantizers and random weights."""
    model = qsearch.quantize_model(qsearch.build_model(name, **options), ENTRIES)
    random = numpy.random.default_rng(seed)
    for variable in model.weights:
        value = random.normal(size=variable.shape) * 0.3
        if variable.path.endswith(("moving_variance", "gamma")):
            value = numpy.abs(value) + 0.5
        variable.assign(value)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    print("| network | samples that differ | accumulator bits | images a second |\n|---|---|---|---|")
    for name, options in NETWORKS:
        differing, rates, bits = 0, [], 0
        for seed in range(arguments.seeds):
            model = network(name, options, seed)
            integers = integer_model(model)
            source = integers.sources[0]
            images = numpy.random.default_rng(seed).uniform(0, 1, (arguments.samples, *source.shape))
            codes = {source.name: source.codes(images)}
            started = time.perf_counter()
            integers.run(codes)
            rates.append(arguments.samples / (time.perf_counter() - started))
            differing += sum(compare(model, integers, codes).keras_mismatches.values())
            bits = max(bits, *(step.form.bits for step in integers.steps))
        shown = ", ".join(f"{key}: {value}" for key, value in options.items())
        total = arguments.samples * arguments.seeds
        print(f"| {name} {shown} | {differing} of {total:,} | {bits} | {statistics.median(rates):,.0f} |", flush=True)


if __name__ == "__main__":
    main()
