"""codes: integer codes, scales and formats of every step, as .npz and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, shown
from qsearch.hardware.integer import operations
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.formats import Codes, Format
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.target import Write

ARRAYS, NETWORK = "codes.npz", "network.json"
README = f"""`{NETWORK}` lists the steps of the network in order: what each reads, what it computes with which options,
the shape of its result, and the format of the result's integers: value = code · 2^-fraction / divisor, codes from
`least` to `greatest`. `{ARRAYS}` holds kernels, biases, factors and tables, int64; `arrays` of a step says by which
name, as time steps of a recurrent layer share theirs. Tensors have the
batch axis first and channels last. `qsearch/hardware/integer/operations.py` says what each operation computes.
"""


class CodesTarget:
    """The integer model itself."""

    name, extra, readme, wide_option = "codes", "", README, ""
    norms, keeps_softmax = NORMS[0], False

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """Everything can be written so."""
        if options:
            raise ConfigError(f"target codes: option {shown(next(iter(options)))}: unknown; it has none")
        return partial(_write, model)

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]]:
        """Read back and computed step by step."""
        network = json.loads((folder / NETWORK).read_text(encoding="utf-8"))
        known = dict(codes)
        forms = {}
        with numpy.load(folder / ARRAYS, allow_pickle=False) as arrays:
            for step in network["steps"]:
                kind = getattr(operations, step["operation"])
                options = {name: _tuples(value) for name, value in step["options"].items()}
                held = {name: arrays[key] for name, key in step["arrays"].items()}
                known[step["name"]] = kind(**options, **held)(*(known[name] for name in step["inputs"]))
                forms[step["name"]] = Format(**step["format"])
        return {o["name"]: forms[o["step"]].values(known[o["step"]]) for o in network["outputs"]}


def _write(model: IntegerModel, folder: Path) -> Mapping[str, str]:
    arrays: dict[str, Codes] = {}
    known: dict[tuple[Any, ...], str] = {}
    steps = []
    for step in model.steps:
        values = _parts(step.operation)
        held = {name: value for name, value in values.items() if isinstance(value, numpy.ndarray)}
        keys = {name: known.setdefault(_content(value), f"{step.name}/{name}") for name, value in held.items()}
        arrays |= {key: held[name] for name, key in keys.items()}
        steps.append(
            {
                "name": step.name,
                "layer": step.layer,
                "operation": type(step.operation).__name__,
                "inputs": list(step.inputs),
                "options": {name: value for name, value in values.items() if name not in held},
                "arrays": keys,
                "shape": list(step.shape),
                "format": _format(step.form),
            }
        )
    network = {
        "name": model.name,
        "inputs": [
            {"name": s.name, "quantizer": s.quantizer, "shape": list(s.shape), "format": _format(s.form)}
            for s in model.sources
        ],
        "steps": steps,
        "outputs": [{"name": o.name, "step": o.step, "left_out": o.function_name} for o in model.outputs],
    }
    numpy.savez_compressed(folder / ARRAYS, **arrays)  # type: ignore[arg-type]
    (folder / NETWORK).write_text(json.dumps(network, indent=2) + "\n", encoding="utf-8")
    return {}


def _content(array: Codes) -> tuple[Any, ...]:
    return array.shape, array.dtype.str, array.tobytes()


def _parts(operation: Any) -> dict[str, Any]:
    assert is_dataclass(operation)
    return {part.name: getattr(operation, part.name) for part in fields(operation)}


def _format(form: Format) -> dict[str, int]:
    return {part.name: getattr(form, part.name) for part in fields(form)}


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


TARGET = CodesTarget()
