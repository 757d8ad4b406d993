"""A configuration of few quantizers, whose reference is trained for long enough to know something."""

from __future__ import annotations

from pathlib import Path

from tiny_run import TINY

_LIMIT = """\
limit:
  Dense: [["quantized_bits(8,0,1,alpha=1.0)", ternary], 8, 4]
  Conv2D: [[binary, "quantized_bits(4,0,1,alpha=1.0)"], 8, 4]
  Activation: [["quantized_relu(3,1)", "quantized_relu(4,2)"]]
"""


def few(folder: Path, output: Path) -> Path:
    """The file."""
    head, rest = TINY.replace("OUT", str(output)).split("limit:\n")
    text = f"{head}{_LIMIT}goal:{rest.split('goal:', 1)[1]}".replace("filters: [6, 8, 10]", "filters: [6, 8]")
    text = text.replace("epochs: 2\n  batch_size: 32\nlimit", "epochs: 8\n  batch_size: 32\nlimit")
    text = text.replace("  tune_filters: layer\n", "").replace("final_training: {epochs: 1, batch_size: 32}\n", "")
    path = folder / "few.yaml"
    path.write_text(text, encoding="utf-8")
    return path
