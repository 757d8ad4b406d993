"""Runs in an environment with TensorFlow 2.15 and QKeras: QTools' estimate, so many times, when told to.

`estimate` prices one quantized model again and again; `build` makes the quantized model each time, as AutoQKeras
must for every candidate (its model_quantize does not run with TensorFlow 2.15; making the layers directly is faster).
Reads JSON lines: first {"layers": [...]}, then numbers; answers "seconds t".
"""

import contextlib
import io
import json
import sys
import time

from qkeras.qtools import run_qtools
from qkeras.qtools import settings as qtools_settings
from qkeras_worker import keras, layer_of, qkeras


def estimate(model):
    """What AutoQKeras computes of a trial: QTools with SRAM for everything."""
    tools = run_qtools.QTools(
        model,
        process="horowitz",
        source_quantizers=[qkeras.quantized_bits(8, 0, 1)],
        is_inference=False,
        keras_quantizer="fp32",
        keras_accumulator="fp32",
        for_reference=False,
    )
    energy = tools.pe(weights_on_memory="sram", activations_on_memory="sram", min_sram_size=0, rd_wr_on_io=False)
    return tools.extract_energy_sum(qtools_settings.cfg.include_energy, energy)


def build(rows):
    """The network of the rows, in QKeras."""
    x = inputs = keras.Input(rows[0]["shape"])
    for row in rows[1:]:
        x = layer_of(row)(x)
    return keras.Model(inputs, x)


def main():
    mode, task = sys.argv[1], json.loads(sys.stdin.readline())
    kept = build(task["layers"])
    print("seconds 0.0", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            for _ in range(json.loads(line)):
                estimate(kept if mode == "estimate" else build(task["layers"]))
        print(f"seconds {time.perf_counter() - start}", flush=True)


if __name__ == "__main__":
    main()
