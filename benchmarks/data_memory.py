"""Resident memory of large data: a file of arrays, loaded and evaluated on, and a generator that is trained on.

    python benchmarks/data_memory.py [--megabytes 92] [--gigabytes 3]

Each case runs in a process of its own. The figures are what its peak (VmHWM of /proc/self/status) adds to that of a
process that did the same with a few samples: TensorFlow with its code, and batches of the same size as float32. For
generators the resident memory while the batches are read tells whether it grows.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy

SIDE, BATCH = 256, 64
FEW = 4 * 256
"""Samples of the process to compare with: four batches of an evaluation."""
_SAMPLE = SIDE * SIDE
_PROBES = 10


def memory(key: str) -> int:
    """Of this process, in MB: VmRSS now, VmHWM at most."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 // 1_000_000
    raise KeyError(key)


def images(count: int, start: int = 0) -> numpy.ndarray[Any, Any]:
    """Synthetic uint8 images that differ, quickly made."""
    base = numpy.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE), dtype=numpy.uint8)
    return base + numpy.arange(start, start + count).astype(numpy.uint8)[:, None, None]


def network() -> Any:
    import keras

    inputs = keras.Input((SIDE, SIDE, 1), name="in")
    pooled = keras.layers.AveragePooling2D(64, name="pool")(inputs)
    flat = keras.layers.Flatten(name="flat")(pooled)
    outputs = keras.layers.Dense(3, activation="softmax", name="out")(flat)
    return keras.Model(inputs, outputs, name="net")


def recipe() -> Any:
    from qsearch.config.chosen import Chosen
    from qsearch.config.optimizers import OptimizerConfig
    from qsearch.goal.target import Target
    from qsearch.training.fit import Recipe
    from qsearch.training.losses import Output
    from qsearch.training.objective import Objective

    loss = Chosen("sparse_categorical_crossentropy")
    objective = Objective(loss=loss, metrics=(Chosen("acc"),), output=Output(loss, (3,)))
    return Recipe(
        optimizer=OptimizerConfig(name="sgd"),
        objective=objective,
        target=Target("val_acc", True),
        epochs=1,
        batch_size=BATCH,
    )


def layout() -> Any:
    from qsearch.datasets.layout import Head, Layout

    return Layout("net", {"in": (SIDE, SIDE, 1)}, (Head(name="out", shape=(3,), labels="classes"),))


def file_case(path: str, train: bool) -> dict[str, Any]:
    """Load a file, and evaluate a model on it once; or train an epoch on it."""
    from qsearch.datasets import load_custom
    from qsearch.training.fit import compile_model, evaluate
    from qsearch.training.fit import train as fit

    data = load_custom(layout(), npz=path)
    loaded = memory("VmHWM")
    model, how = network(), recipe()
    compile_model(model, how)
    if train:
        fit(model, data, how, 0, lambda *_: None)
    else:
        evaluate(model, data.train, how)
    return {"loaded": loaded, "peak": memory("VmHWM")}


_seen: list[int] = []


def generated() -> tuple[Iterator[Any], Iterator[Any]]:
    """As many training batches as the environment says, and a few to test."""
    count = int(os.environ["BATCHES"])

    def batches(count: int, watched: bool) -> Iterator[Any]:
        for number in range(count):
            if watched and number % max(1, count // _PROBES) == 0:
                _seen.append(memory("VmRSS"))
            yield images(BATCH, number), numpy.arange(BATCH) % 3

    return batches(count, True), batches(2, False)


def generator_case() -> dict[str, Any]:
    """Train an epoch on a generator; qsearch reads it once before that."""
    from qsearch.datasets import load_custom
    from qsearch.training.fit import train as fit

    sys.path.insert(0, str(Path(__file__).parent))
    import data_memory

    data = load_custom(layout(), factory="data_memory:generated")
    looked = len(data_memory._seen)
    fit(network(), data, recipe(), 0, lambda *_: None)
    return {"looked": data_memory._seen[:looked], "trained": data_memory._seen[looked:], "peak": memory("VmHWM")}


def measured(case: str, *more: str, **environment: str) -> dict[str, Any]:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, "--case", case, *more],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "seconds": time.perf_counter() - start}


def files(megabytes: int) -> None:
    count = megabytes * 1_000_000 // _SAMPLE
    with tempfile.TemporaryDirectory() as folder:
        for name, save, kind in (
            ("uint8", numpy.savez, numpy.uint8),
            ("uint8 compressed", numpy.savez_compressed, numpy.uint8),
            ("float64", numpy.savez, numpy.float64),
        ):
            whole, few = Path(folder) / "whole.npz", Path(folder) / "few.npz"
            for path, samples in ((whole, count), (few, FEW)):
                x, y = images(samples).astype(kind), numpy.arange(samples) % 3
                save(path, x_train=x, y_train=y, x_test=x[:BATCH], y_test=y[:BATCH])
            held = (count + BATCH) * _SAMPLE * (4 if kind is numpy.float64 else 1) // 1_000_000
            of_few = (FEW + BATCH) * _SAMPLE * (4 if kind is numpy.float64 else 1) // 1_000_000
            for case in ("evaluate", "train"):
                base, found = (measured(case, str(path)) for path in (few, whole))
                print(
                    f"{name:17} {case:9} file {whole.stat().st_size // 1_000_000:4} MB, arrays {held:4} MB: "
                    f"loading adds {found['loaded'] - base['loaded'] + of_few:4} MB, "
                    f"all adds {found['peak'] - base['peak'] + of_few:4} MB (peak {found['peak']} MB)"
                )


def generators(gigabytes: float) -> None:
    count = round(gigabytes * 1e9 / (_SAMPLE * BATCH))
    base, found = (measured("generator", BATCHES=str(batches)) for batches in (2 * _PROBES, count))
    print(
        f"generator of {gigabytes:g} GB of uint8: peak {found['peak']} MB, {found['peak'] - base['peak']:+} MB to one "
        f"of {2 * _PROBES * BATCH * _SAMPLE // 1_000_000} MB ({found['seconds']:.0f} s)"
    )
    for what in ("looked", "trained"):
        print(f"  resident while {what:7}: {' '.join(map(str, found[what]))} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=92)
    parser.add_argument("--gigabytes", type=float, default=3.0)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("path", nargs="?", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.case is None:
        files(given.megabytes)
        generators(given.gigabytes)
    elif given.case == "generator":
        print(json.dumps(generator_case()))
    else:
        print(json.dumps(file_case(given.path, given.case == "train")))


if __name__ == "__main__":
    main()
