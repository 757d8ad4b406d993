"""The files: alkaid's sources, a top module with a port for each input and output, and a simulation of ten vectors."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy

from qsearch.hardware.integer.compare import extremes
from qsearch.hardware.integer.formats import Codes
from qsearch.hardware.integer.model import IntegerModel
from qsearch.hardware.targets.c_text import identifier, prefix_of
from qsearch.hardware.targets.verilog_harness import Port, makefile, program
from qsearch.hardware.targets.verilog_numbers import Element
from qsearch.hardware.targets.verilog_trace import Trace

COST, SIMULATION = "cost.json", "simulation"
_VECTORS, _EXTREMES = 10, 5
_LINE = 8
"""Elements on a line of the top module."""


@dataclass(frozen=True)
class Ports:
    """What goes in and out, and the name of the top module."""

    top: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]

    @property
    def core(self) -> str:
        """The name of alkaid's module."""
        return f"{self.top}_core"


def ports_of(model: IntegerModel) -> Ports:
    """The ports of a model: a function of its names and formats alone."""
    shapes = {source.name: source.shape for source in model.sources}
    shapes |= {step.name: step.shape for step in model.steps}
    forms, taken = model.forms, set[str]()

    def port(prefix: str, name: str, step: str) -> Port:
        found = plain = f"{prefix}_{identifier(name)}"
        count = 1
        while found in taken:
            count += 1
            found = f"{plain}_{count}"
        taken.add(found)
        return Port(found, step, math.prod(shapes[step]), forms[step])

    inputs = tuple(port("in", source.name, source.name) for source in model.sources)
    outputs = tuple(port("out", output.name, output.step) for output in model.outputs)
    return Ports(f"{prefix_of(model.name)}_network", inputs, outputs)


def circuit_of(trace: Trace, ports: Ports) -> tuple[Any, list[Element]]:
    """(alkaid's circuit, the elements of all outputs): constants are no outputs of the circuit.

    A circuit needs an output: where all are constants, that is the first input.
    """
    from alkaid.trace import trace as traced

    given = [element for port in ports.inputs for element in trace.known[port.step].reshape(-1)]
    results = [element for port in ports.outputs for element in trace.known[port.step].reshape(-1)]
    computed = [element for element in results if not isinstance(element, int)]
    return traced(given, computed or given[:1], keep_dead_inputs=True), results


def write_project(
    model: IntegerModel,
    ports: Ports,
    circuit: Any,
    results: Sequence[Element],
    folder: Path,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything, into an empty folder; returns what it costs."""
    from alkaid.codegen import RTLModel

    project = RTLModel(
        circuit,
        folder,
        ports.core,
        latency_cutoff=options["latency_cutoff"] or -1,
        print_latency=False,
        part_name=options["part"],
        clock_period=options["clock_period"],
    )
    project.write()
    for name in ("sim", "model"):  # for alkaid's own classes
        shutil.rmtree(folder / name)
    (folder / "metadata.json").unlink()
    (folder / "src" / f"{ports.core}_wrapper.v").unlink()
    (folder / "src" / f"{ports.top}.v").write_text(_top(ports, project.fsm, results), encoding="ascii")
    cost = _cost(project, circuit, ports, options)
    (folder / COST).write_text(json.dumps(cost, indent=2) + "\n", encoding="utf-8")
    simulation = folder / SIMULATION
    simulation.mkdir()
    (simulation / "main.cpp").write_text(program(ports.inputs, ports.outputs, cycles_of(project.fsm)), encoding="ascii")
    (simulation / "Makefile").write_text(makefile(ports.top, _VECTORS), encoding="ascii")
    codes = extremes(model, _VECTORS - _EXTREMES)
    found = model.run(codes) | codes
    (simulation / "inputs.hex").write_text(lines_of(ports.inputs, codes), encoding="ascii")
    (simulation / "outputs.hex").write_text(lines_of(ports.outputs, found), encoding="ascii")
    return cost


def cycles_of(fsm: Any) -> int:
    """Clock edges from an input to its output; 0 without a clock."""
    return max(int(signal.schedule.bias) for signal in fsm.out_signals)


def lines_of(ports: Sequence[Port], codes: Mapping[str, Codes]) -> str:
    """A line for each sample: what is on every port, as hexadecimal numbers."""
    columns = []
    for port in ports:
        rows = codes[port.step].reshape(len(codes[port.step]), -1)
        bits = (rows[..., None] >> numpy.arange(port.bits)) & 1
        bits = bits.reshape(len(rows), -1)[:, ::-1].astype(numpy.uint8)
        bits = numpy.pad(bits, ((0, 0), (-bits.shape[1] % 8, 0)))
        columns.append([numpy.packbits(row).tobytes().hex() for row in bits])
    return "".join(f"{' '.join(words)}\n" for words in zip(*columns, strict=True))


def codes_of(ports: Sequence[Port], text: str) -> dict[str, Codes]:
    """The codes of lines, by the step that a port is of."""
    rows = [line.split() for line in text.splitlines()]
    found = {}
    for index, port in enumerate(ports):
        numbers = [bytes.fromhex(row[index].zfill(-(-port.width // 8) * 2)) for row in rows]
        bits = numpy.unpackbits(numpy.frombuffer(b"".join(numbers), numpy.uint8).reshape(len(rows), -1), axis=1)
        cells = bits[:, ::-1][:, : port.width].reshape(len(rows), port.cells, port.bits).astype(numpy.int64)
        weights = numpy.int64(1) << numpy.arange(port.bits)
        if port.form.signed:
            weights[-1] = -weights[-1]
        found[port.step] = (cells * weights).sum(axis=-1)
    return found


def _top(ports: Ports, fsm: Any, results: Sequence[Element]) -> str:
    clocked = any(signal.reg for signal in fsm.signals.values())
    inputs = [int(sum(part)) for part in fsm.inp_signals[0].precisions]
    outputs = [tuple(int(number) for number in part) for part in fsm.out_signals[0].precisions]
    declared = [*(["input clk"] if clocked else ()), *(f"input {port.declared}" for port in ports.inputs)]
    declared += [f"output {port.declared}" for port in ports.outputs]
    lines = ["`timescale 1 ns / 1 ps", "", f"module {ports.top} ("]
    lines += [*(f"    {port}," for port in declared[:-1]), f"    {declared[-1]}", ");"]
    widths = max(sum(inputs), 1), max(sum(sum(part) for part in outputs), 1)
    lines.append(f"    wire [{widths[0] - 1}:0] given;")
    lines.append(f"    wire [{widths[1] - 1}:0] found;")
    fields, at = [], 0
    for port in ports.inputs:
        for cell in range(port.cells):
            if inputs[at]:  # what no output depends on is not there
                fields.append(f"{port.name}[{cell * port.bits} +: {inputs[at]}]")
            at += 1
    lines.append(f"    assign given = {_joined(fields)};")
    connected = [*([".clk(clk)"] if clocked else ()), ".model_inp(given)", ".model_out(found)"]
    lines.append(f"    {ports.core} core ({', '.join(connected)});")
    remaining, place, at = iter(outputs), 0, 0
    for port in ports.outputs:
        fields = []
        for element in results[at : at + port.cells]:
            if isinstance(element, int):
                fields.append(f"{port.bits}'h{element % (1 << port.bits):x}")
            else:
                kind = next(remaining)
                fields.append(_field(place, kind, port.bits))
                place += sum(kind)
        at += port.cells
        lines.append(f"    assign {port.name} = {_joined(fields)};")
    return "\n".join([*lines, "endmodule", ""])


def _field(place: int, kind: tuple[int, ...], bits: int) -> str:
    """An element of alkaid's output, (signed, whole, fraction) bits from a place on, as a code."""
    signed, whole, fraction = kind
    zeros, size = -fraction, signed + whole + fraction
    kept = min(size, bits - zeros)
    parts = []
    if bits > zeros + kept:
        ahead = bits - zeros - kept
        parts.append(f"{{{ahead}{{found[{place + kept - 1}]}}}}" if signed and kept == size else f"{ahead}'b0")
    if kept > 0:
        parts.append(f"found[{place} +: {kept}]")
    if zeros:
        parts.append(f"{min(zeros, bits)}'b0")
    return parts[0] if len(parts) == 1 else f"{{{', '.join(parts)}}}"


def _joined(fields: Sequence[str]) -> str:
    """Fields side by side, the first in the lowest bits."""
    turned = list(reversed(fields)) or ["1'b0"]
    lines = [", ".join(turned[start : start + _LINE]) for start in range(0, len(turned), _LINE)]
    return "{" + ",\n        ".join(lines) + "}"


def _cost(project: Any, circuit: Any, ports: Ports, options: Mapping[str, Any]) -> dict[str, Any]:
    """alkaid's estimates."""
    stages = len(project.fsm.logic)
    return {
        "estimated_luts": round(sum(logic.cost for logic in project.fsm.logic.values())),
        "delay": round(float(circuit.latency[1]), 3),
        "operations": sum(len(logic.ops) for logic in project.fsm.logic.values()),
        "stages": stages if options["latency_cutoff"] else 0,
        "cycles": cycles_of(project.fsm),
        "register_bits": int(project.reg_bits),
        "options": dict(options),
        "top": ports.top,
        "core": ports.core,
        "ports": [
            {
                "name": port.name,
                "direction": direction,
                "elements": port.cells,
                "bits": port.bits,
                "signed": port.form.signed,
                "fraction": port.form.fraction,
                "divisor": port.form.divisor,
            }
            for direction, group in (("input", ports.inputs), ("output", ports.outputs))
            for port in group
        ],
    }
