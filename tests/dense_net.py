"""A run of a network of two layers, which is quickly measured and trained."""

from __future__ import annotations

from pathlib import Path

NET = """
import keras
from keras import layers

def dense():
    x = inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Flatten(name="flat")(x)
    x = layers.Activation("relu", name="act")(layers.Dense(8, name="hidden")(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax", name="head")(x))
"""
CONFIG = """
dataset: {name: digits, train_samples: 200, test_samples: 100, validation: 0.2}
model: {factory: "dense_network:dense"}
reference: {optimizer: {name: adam, learning_rate: 0.01}, metrics: [acc], epochs: 5, batch_size: 32}
limit: {Dense: [["quantized_bits(8,0,1,alpha=1.0)", ternary], 8, 4], Activation: [4]}
run: {output_dir: OUT, mode: pareto, batch_size: 32}
"""


def dense(folder: Path) -> Path:
    """Its configuration; the run goes to `folder / "whole"`."""
    (folder / "dense_network.py").write_text(NET, encoding="utf-8")
    path = folder / "dense.yaml"
    path.write_text(CONFIG.replace("OUT", str(folder / "whole")), encoding="utf-8")
    return path
