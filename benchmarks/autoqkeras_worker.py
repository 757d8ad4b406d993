"""Runs in an environment with TensorFlow 2.15 and QKeras: AutoQKeras' own search on a task given as JSON.

Reads one JSON object from the standard input: data (a .npz file), layers (as benchmarks/qkeras_worker.py has them),
run (AutoQKeras' run_config), epochs, batch, learning_rate, reference_epochs, seed. Writes, as its last line, JSON with
one [metric, energy] for each trial, and why there are no more.
"""

import json
import os
import sys
import tempfile
import traceback

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy
import tensorflow as tf

keras = tf.keras
from qkeras_worker import layer_of  # noqa: E402  (before the next, which switches to another Keras)

keras.layers.Dense  # noqa: B018  (tf.keras is read when it is first used)
from qkeras.autoqkeras import AutoQKeras  # noqa: E402


def main():
    task = json.loads(sys.stdin.read())
    keras.utils.set_random_seed(task["seed"])
    x = inputs = keras.Input(task["layers"][0]["shape"])
    for row in task["layers"][1:]:
        layer = layer_of(row)
        layer._name = row["name"]
        x = layer(x)
    model = keras.Model(inputs, x)
    model.compile(keras.optimizers.Adam(task["learning_rate"]), "categorical_crossentropy", metrics=["acc"])
    data = numpy.load(task["data"])
    train, selection = (data["x"], data["y"]), (data["x_selection"], data["y_selection"])
    model.fit(*train, epochs=task["reference_epochs"], batch_size=task["batch"], verbose=0)
    run = dict(task["run"], output_dir=tempfile.mkdtemp(), seed=task["seed"] + 1)  # AutoQKeras takes 0 for any
    run["layer_indexes"] = range(1, len(model.layers) - 1)
    ended = "done"
    searcher = AutoQKeras(model, metrics=["acc"], custom_objects={}, **run)
    try:
        searcher.fit(
            *train,
            validation_data=selection,
            epochs=task["epochs"],
            batch_size=task["batch"],
            shuffle=True,
            verbose=0,
            callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=min(20, task["epochs"] // 5))],
        )
    except Exception as error:  # whatever the original stumbles over; trials until then count
        ended = traceback.format_exception_only(type(error), error)[-1].strip()[:200]
    found = []
    for trial in searcher.tuner.oracle.trials.values():
        metrics = trial.metrics
        if metrics.exists("val_acc") and metrics.exists("val_trial"):
            found.append([metrics.get_best_value("val_acc"), metrics.get_best_value("val_trial")])
    print(json.dumps({"trials": found, "ended": ended}))


if __name__ == "__main__":
    main()
