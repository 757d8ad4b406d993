"""A configuration that runs in seconds, on real data."""

from __future__ import annotations

from pathlib import Path

TINY = """
dataset: {name: digits, train_samples: 300, test_samples: 100, validation: 0.2}
model: {name: digits, filters: [6, 8, 10]}
reference:
  optimizer: {name: adam, learning_rate: 0.01}
  metrics: [acc]
  epochs: 2
  batch_size: 32
limit:
  Dense: [8, 8, 4]
  Conv2D: [4, 8, 4]
  Activation: [4]
  BatchNormalization: []
goal:
  type: energy
  params: {parameters_on_memory: sram, activations_on_memory: sram, rd_wr_on_io: false, source_quantizers: [int8],
           reference_internal: int8, reference_accumulator: int32}
run:
  output_dir: OUT
  max_trials: 3
  epochs: 2
  batch_size: 32
  seed: 0
  tune_filters: layer
final_training: {epochs: 1, batch_size: 32}
"""


def tiny(folder: Path, output: Path) -> Path:
    """A configuration file of the tiny run."""
    path = folder / "tiny.yaml"
    path.write_text(TINY.replace("OUT", str(output)), encoding="utf-8")
    return path
