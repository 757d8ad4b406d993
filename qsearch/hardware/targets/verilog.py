"""verilog: the whole network as one circuit of adders and tables, traced and written by alkaid."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ConfigError, ExportError, did_you_mean, shown
from qsearch.hardware.integer.build import NORMS
from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.integer.operations import Convolution, Dense, Global, Merge, Pool, Scale, Thresholds, Uniform
from qsearch.hardware.targets.onnx_graph import require
from qsearch.hardware.targets.target import Write
from qsearch.hardware.targets.verilog_project import COST, SIMULATION, Ports, circuit_of, ports_of, write_project
from qsearch.hardware.targets.verilog_run import simulated
from qsearch.hardware.targets.verilog_trace import SUPPORTED, Trace

_DEFAULTS: Mapping[str, Any] = {
    "latency_cutoff": 0,
    "clock_period": 5,
    "part": "xcvu13p-flga2577-2-e",
    "hard_dc": 2,
    "most_operations": 100_000,
}
README = f"""The whole network as one circuit, every weight a part of it: adders, multiplexers and small tables,
no memory, and multipliers only where two tensors are multiplied. It is traced and written by alkaid (successor of
da4ml).

- `src/*_network.v` is the module to instantiate, with a port for each input and output. Element i of a port (channels
  last) is in bits `[i * bits +: bits]`, the first in the lowest, each a code as below; negative ones in two's
  complement. `{COST}` lists ports, elements and bits.
- `src/*_core.v`, `src/logic*.v`, `src/static/` are alkaid's: what it computes.
- `{COST}`: alkaid's estimates of look-up tables (LUTs), of the delay (about 1 for a short adder), register bits, and
  `cycles` from an input to its output. Without `latency_cutoff` there is no clock, and `cycles` is 0; with it there is
  a register stage at least every so much delay, and a new input can come every cycle.
- `make -C {SIMULATION}` runs ten samples by Verilator (5.0 or newer) and compares the outputs.
- `vivado -mode batch -source build_vivado_prj.tcl` synthesizes the core out of context;
  `quartus_sh -t build_quartus_prj.tcl` does for Intel.
"""


class VerilogTarget:
    """One circuit in Verilog."""

    name, extra, readme, wide_option = "verilog", "rtl", README, ""
    norms, keeps_softmax = NORMS[0], False

    def prepare(self, model: IntegerModel, options: Mapping[str, Any]) -> Write:
        """A circuit takes its time, and is made when it is written."""
        chosen = _options(options)
        require(self.name, self.extra, ["alkaid"])
        for step in model.steps:
            if not isinstance(step.operation, SUPPORTED):
                kind = type(step.operation).__name__
                raise ExportError(f"{step.layer}: target verilog has no circuit for {kind}; use target c")
        _check_size(model, chosen["most_operations"])
        return partial(_write, model, chosen)

    def run(self, model: IntegerModel, folder: Path, codes: Mapping[str, Codes]) -> Mapping[str, NDArray[Any]] | None:
        """By Verilator, where it and a C++ compiler are there."""
        found = simulated(ports_of(model), folder, codes)
        if found is None:
            return None
        forms = model.forms
        return {output.name: forms[output.step].values(found[output.step]) for output in model.outputs}


def _write(model: IntegerModel, chosen: Mapping[str, Any], folder: Path) -> Mapping[str, str]:
    try:
        trace, ports = Trace(model, chosen["hard_dc"]), ports_of(model)
        circuit, results = circuit_of(trace, ports)
        _check_circuit(model, ports, circuit, results)
        cost = write_project(model, ports, circuit, results, folder, chosen)
    except (AssertionError, RuntimeError, ValueError, NotImplementedError) as error:  # what alkaid ends with
        raise ExportError(f"target verilog: alkaid cannot write this model: {shown(str(error))}") from error
    return {
        "look-up tables (alkaid's estimate)": f"{cost['estimated_luts']:,}",
        "cycles": f"{cost['cycles']}",
    }


def operations_of(model: IntegerModel) -> dict[str, int]:
    """By layer, products with weights that are not 0, and other operations: each is a part of the circuit."""
    shapes = {source.name: source.shape for source in model.sources}
    shapes |= {step.name: step.shape for step in model.steps}
    found: dict[str, int] = {}
    for step in model.steps:
        cells = math.prod(step.shape)
        match step.operation:
            case Dense(kernel=kernel) | Convolution(kernel=kernel):
                count = math.prod(step.shape[:-1]) * int(numpy.count_nonzero(kernel))
            case Pool(window=window):
                count = cells * math.prod(window)
            case Global():
                count = math.prod(shapes[step.inputs[0]])
            case Merge() | Scale() | Thresholds() | Uniform():
                count = cells * len(step.inputs)
            case _:
                count = 0
        found[step.layer] = found.get(step.layer, 0) + count
    return found


def _check_size(model: IntegerModel, most: int) -> None:
    """
    Raises:
        ExportError: the circuit would be too large.
    """
    counts = operations_of(model)
    total = sum(counts.values())
    if total > most:
        layer = max(counts, key=lambda name: counts[name])
        raise ExportError(
            f"{layer}: has {counts[layer]:,} of the network's {total:,} operations, and target verilog makes a circuit "
            f"of each; at most {most:,} are written (option most_operations); use fewer filters, fewer positions or "
            "more zeros, raise the option, or use target hls4ml or c"
        )


def _check_circuit(model: IntegerModel, ports: Ports, circuit: Any, results: list[Any]) -> None:
    """alkaid's circuit against the integer model, by alkaid's interpreter: no simulator is needed for it.

    Raises:
        ExportError: they differ.
    """
    codes = extremes(model, 20)
    rows = [codes[port.step].reshape(len(codes[port.step]), -1) for port in ports.inputs]
    given = numpy.concatenate(rows, axis=1).astype(numpy.float64)
    found = circuit.predict(given, n_threads=1)
    wanted, column, at = model.run(codes) | codes, 0, 0
    for port in ports.outputs:
        expected = wanted[port.step].reshape(len(given), -1)
        for cell, element in enumerate(results[at : at + port.cells]):
            same = element if isinstance(element, int) else found[:, column]
            column += not isinstance(element, int)
            if not (expected[:, cell] == same).all():
                raise ExportError(
                    f"target verilog: alkaid's circuit computes other numbers at {port.name}; this is a fault of "
                    "qsearch, or of the alkaid that is installed"
                )
        at += port.cells


def _options(given: Mapping[str, Any]) -> dict[str, Any]:
    """
    Raises:
        ConfigError: an unknown option, or a value that it does not take.
    """
    for key in given:
        if key not in _DEFAULTS:
            raise ConfigError(
                f"target verilog: option {shown(key)}: unknown{did_you_mean(key, _DEFAULTS)}; allowed: "
                f"{', '.join(sorted(_DEFAULTS))}"
            )
    chosen = {**_DEFAULTS, **given}
    for key, least, whole in (
        *(("latency_cutoff", 0, False), ("clock_period", 0.001, False)),
        *(("hard_dc", -1, True), ("most_operations", 1, True)),
    ):
        value = chosen[key]
        number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
        if not number or not least <= value < math.inf:
            kind = "whole numbers" if whole else "numbers"
            raise ConfigError(f"target verilog: {key}: {shown(value)}; allowed: {kind} from {least}")
    part = chosen["part"]
    if not isinstance(part, str) or not re.fullmatch(r"[\w-]+", part):
        raise ConfigError(
            f"target verilog: part: {shown(part)}; allowed: the name of a device, such as xc7z020clg400-1"
        )
    return chosen


TARGET = VerilogTarget()
