"""Runs in an environment with TensorFlow 2.15 and QKeras: a network that trains so many steps when told to.

Reads JSON lines: first {"layers": [...], "batch": n}, then numbers of steps; answers "seconds t". With the argument
`trials`, "layers" are the sizes of data and training, and each further line is the layers of a trial, whole.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy
import tensorflow as tf

keras = tf.keras
import qkeras  # noqa: E402  (after keras: importing it first switches to another Keras)

KEYS = ("filters", "kernel_size", "strides", "padding", "use_bias", "units", "rate", "pool_size")


def layer_of(row):
    """The Keras 2 or QKeras layer that a row describes."""
    options = {key: row[key] for key in KEYS if key in row}
    if "quantizer" in row:
        return qkeras.QActivation(row["quantizer"])
    if "kernel_quantizer" in row:
        kernel = "depthwise_quantizer" if row["class"] == "DepthwiseConv2D" else "kernel_quantizer"
        if row["class"] == "DepthwiseConv2D":
            options.pop("filters", None)
        options[kernel] = row["kernel_quantizer"]
        options["bias_quantizer"] = row["bias_quantizer"] if row["use_bias"] else None
        return getattr(qkeras, "Q" + row["class"])(**options)
    if "activation" in row:
        options["activation"] = row["activation"]
    if row["class"] == "DepthwiseConv2D":
        options.pop("filters", None)
    return getattr(keras.layers, row["class"])(**options)


def trials():
    """Each as AutoQKeras has it: the model, its energy by QTools, training with validation, a cleared session."""
    import contextlib
    import gc
    import io

    from qtools_worker import estimate

    sizes = json.loads(sys.stdin.readline())["layers"]
    rng = numpy.random.default_rng(0)

    def drawn(samples):
        labels = rng.integers(0, sizes["classes"], samples)
        images = rng.normal(size=(samples, *sizes["shape"])).astype("float32")
        return images, keras.utils.to_categorical(labels, sizes["classes"])

    (x, y), held_out = drawn(sizes["samples"]), drawn(sizes["held_out"])
    print("seconds 0.0", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        rows = json.loads(line)
        keras.backend.clear_session()
        gc.collect()
        tensor = inputs = keras.Input(rows[0]["shape"])
        for row in rows[1:]:
            tensor = layer_of(row)(tensor)
        model = keras.Model(inputs, tensor)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(IndexError):
            estimate(model)  # some releases of its packages fail here
        model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy", metrics=["acc"])
        model.fit(x, y, validation_data=held_out, epochs=sizes["epochs"], batch_size=sizes["batch_size"], verbose=0)
        print(f"seconds {time.perf_counter() - start}", flush=True)


def main():
    task = json.loads(sys.stdin.readline())
    shape = task["layers"][0]["shape"]
    x = inputs = keras.Input(shape)
    for row in task["layers"][1:]:
        x = layer_of(row)(x)
    model = keras.Model(inputs, x)
    rng = numpy.random.default_rng(0)
    images = tf.constant(rng.normal(size=(task["batch"], *shape)).astype("float32"))
    labels = tf.constant(keras.utils.to_categorical(rng.integers(0, x.shape[-1], task["batch"]), x.shape[-1]))
    model.compile(keras.optimizers.Adam(0.001), "categorical_crossentropy", metrics=["acc"])
    print("seconds 0.0", flush=True)
    for line in sys.stdin:
        start = time.perf_counter()
        for _ in range(json.loads(line)):
            model.train_on_batch(images, labels)
        print(f"seconds {time.perf_counter() - start}", flush=True)


if __name__ == "__main__":
    trials() if sys.argv[1:] == ["trials"] else main()
