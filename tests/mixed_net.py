"""A small network and its configuration for mode learned."""

from __future__ import annotations

from pathlib import Path

NET = """
import keras
from keras import layers

def dense(over_channels=False, own_step=False):
    x = inputs = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(4, 3, strides=2, name="conv")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Activation("relu", name="act")(x)
    x = layers.Flatten(name="flat")(x)
    x = layers.Dense(8, name="hidden")(x)
    if over_channels:
        x = layers.Softmax(name="over_channels")(x)
    x = layers.Activation("relu", name="act_1")(x)
    kind = Stepping if own_step else keras.Model
    return kind(inputs, layers.Dense(10, activation="softmax", name="head")(x))

def with_softmax():
    return dense(over_channels=True)

def with_own_step():
    return dense(own_step=True)

@keras.saving.register_keras_serializable(package="mixed_net")
class Stepping(keras.Model):
    def train_step(self, data):
        return super().train_step(data)
"""
CONFIG = """
dataset: {name: digits, train_samples: 200, test_samples: 100, validation: 0.2}
model: {factory: "FACTORY"}
reference: {optimizer: {name: adam, learning_rate: 0.01}, metrics: [acc], epochs: 2, batch_size: 32}
limit:
  Conv2D: [["binary(alpha=1)", "quantized_bits(2,0,1,alpha=1)", "quantized_bits(4,0,1,alpha=1)"], 8, 4]
  Dense: [["binary(alpha=1)", "ternary(alpha=1)", "quantized_bits(4,0,1,alpha=1)"], 8, 4]
  Activation: [["binary(alpha=1)", "quantized_relu(2,0)", "quantized_relu(4,2)"]]
  BatchNormalization: []
goal:
  type: energy
  params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false, source_quantizers: [int8]}
run: {output_dir: OUT, mode: learned, max_trials: 7, epochs: 2, batch_size: 32, learned_epochs: 4,
      steps_per_execution: 1, tune_filters: layer, tune_filters_exceptions: "^head"}
"""


def config(folder: Path, name: str, factory: str = "dense") -> Path:
    """A configuration file, whose model is in a module of a name of its own: Python reads a module once."""
    (folder / f"{name}.py").write_text(NET, encoding="utf-8")
    path = folder / "config.yaml"
    text = CONFIG.replace("OUT", str(folder / "out")).replace("FACTORY", f"{name}:{factory}")
    path.write_text(text, encoding="utf-8")
    return path
