"""The price of quantization in training: one step of a quantized network against the float one.

    python benchmarks/train_step.py [--rounds 7] [--qkeras /path/to/python]

Float and quantized models train on the same batch in one process, alternating, a few steps each per round; the
report is the median over rounds of the ratio of their times. A quantized network's batch normalization is one
fused kernel, which Keras 3's is not; the ratio to a float network with that kernel shows what quantization itself
costs. With `--qkeras`, the Python of an environment with
TensorFlow 2.15 and QKeras 0.9, the same networks also run there, in a process that takes its turn in every round.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy

import qsearch
from qsearch.layers import QActivation
from qsearch.plan import Role

BATCHES = {"mnist": 1024, "cifar10": 256}
BITS_KERNELS = ["quantized_bits(4,0,1,alpha=1.0)"]
BITS_ACTIVATIONS = ["quantized_relu(4,2)"]
MIXED_KERNELS = [
    "binary",
    "ternary",
    "quantized_po2(4,1)",
    "quantized_bits(4,0,1)",
    "quantized_bits(4,0,1,alpha=1.0)",
]
MIXED_ACTIVATIONS = ["quantized_relu(4,2)", "quantized_relu_po2(4,4)", "binary", "ternary", "quantized_relu(3,1)"]
KINDS = {"bits": (BITS_KERNELS, BITS_ACTIVATIONS), "mixed": (MIXED_KERNELS, MIXED_ACTIVATIONS)}


def entries(model: keras.Model, kernels: list[str], activations: list[str]) -> dict[str, Any]:
    """A quantizer for each kernel and activation, taken in turn."""
    found: dict[str, Any] = {"QBatchNormalization": {}}
    for layer in model.layers:
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            found[layer.name] = {"depthwise_quantizer": kernels[len(found) % len(kernels)]}
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            found[layer.name] = {
                "kernel_quantizer": kernels[len(found) % len(kernels)],
                "bias_quantizer": "quantized_bits(8,3,1)",
            }
        elif isinstance(layer, keras.layers.Activation) and layer.name != "softmax":
            found[layer.name] = activations[len(found) % len(activations)]
    return found


def stepper(model: keras.Model, batch: int) -> Callable[[int], float]:
    """A function that trains so many steps and returns the seconds that it took."""
    rng = numpy.random.default_rng(0)
    x = rng.normal(size=(batch, *model.input_shape[1:])).astype("float32")
    y = keras.utils.to_categorical(rng.integers(0, model.output_shape[-1], batch), model.output_shape[-1])
    model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy", metrics=["acc"])

    def run(steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(x, y)
        return time.perf_counter() - start

    return run


def described(model: keras.Model, quantized: keras.Model | None) -> list[dict[str, Any]]:
    """The layers in order, in words that Keras 2 knows too."""
    rows: list[dict[str, Any]] = []
    for layer in model.layers:
        row: dict[str, Any] = {"class": type(layer).__name__, "name": layer.name}
        for key in ("filters", "kernel_size", "strides", "padding", "use_bias", "units", "rate", "pool_size"):
            if hasattr(layer, key):
                row[key] = getattr(layer, key)
        if hasattr(layer, "activation"):
            row["activation"] = layer.activation.__name__
        if isinstance(layer, keras.layers.InputLayer):
            row["shape"] = layer.batch_shape[1:]
        twin = None if quantized is None else quantized.get_layer(layer.name)
        if isinstance(twin, QActivation):
            row["quantizer"] = str(twin.quantizer)
        elif twin is not None and hasattr(twin, "suited"):
            row["kernel_quantizer"] = str(twin.plan.quantizers[Role.KERNEL])
            bias = twin.plan.quantizers.get(Role.BIAS)
            row["bias_quantizer"] = None if bias is None else str(bias)
        rows.append(row)
    return rows


class QKerasProcess:
    """The same network in QKeras, in a process that trains when it is told to."""

    def __init__(self, python: str, layers: Any, batch: int, command: str = "qkeras_worker.py") -> None:
        worker, *options = command.split()
        path = str(Path(__file__).with_name(worker))
        self.process = subprocess.Popen(
            [python, path, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._say({"layers": layers, "batch": batch})

    def _say(self, message: Any) -> float:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()
        for line in self.process.stdout:
            if line.startswith("seconds "):
                return float(line.split()[1])
        raise SystemExit(f"the QKeras process ended with code {self.process.wait()}")

    def __call__(self, task: Any) -> float:
        return self._say(task)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


def compare(name: str, kind: str, arguments: argparse.Namespace) -> None:
    keras.utils.set_random_seed(0)
    model = qsearch.build_model(name)
    quantized = qsearch.quantize_model(model, entries(model, *KINDS[kind]), transfer_weights=True)
    batch = BATCHES[name]
    runners: dict[str, Callable[[int], float]] = {
        "float": stepper(model, batch),
        "quantized": stepper(quantized, batch),
    }
    fused = qsearch.quantize_model(model, {"QBatchNormalization": {}}, transfer_weights=True)
    runners["float with the fused batch norm"] = stepper(fused, batch)
    others: list[QKerasProcess] = []
    if arguments.qkeras:
        for label, twin in (("QKeras", quantized), ("float Keras 2", None)):
            others.append(QKerasProcess(arguments.qkeras, described(model, twin), batch))
            runners[label] = others[-1]
    for run in runners.values():
        run(2)  # tracing
    times: dict[str, list[float]] = {label: [] for label in runners}
    for _ in range(arguments.rounds):
        for label, run in runners.items():
            times[label].append(run(arguments.steps) / arguments.steps)
    for other in others:
        other.close()
    for label in runners:
        if label == "quantized":
            continue
        ratios = [a / b for a, b in zip(times["quantized"], times[label], strict=True)]
        print(
            f"{name:8} {kind:6} quantized/{label}: {statistics.median(ratios):.3f} "
            f"(from {min(ratios):.3f} to {max(ratios):.3f}; {1000 * statistics.median(times['quantized']):.0f} ms "
            f"against {1000 * statistics.median(times[label]):.0f} ms a step)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="steps per round and model")
    parser.add_argument("--models", nargs="+", default=["mnist", "cifar10"], choices=BATCHES)
    parser.add_argument("--kinds", nargs="+", default=["bits", "mixed"], choices=KINDS)
    parser.add_argument("--qkeras", help="the Python of an environment with QKeras")
    arguments = parser.parse_args()
    for name in arguments.models:
        for kind in arguments.kinds:
            compare(name, kind, arguments)


if __name__ == "__main__":
    sys.exit(main())
