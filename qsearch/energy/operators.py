"""What it takes to multiply, accumulate, add and divide numbers of given formats.

The kind of multiplier depends on both formats: a ternary weight selects (a multiplexer), a power of two
shifts, two fixed-point numbers need a real multiplier. Formulas and conventions are QTools'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from qsearch.energy.process import Process, polynomial
from qsearch.quantizers.number_types import Kind, NumberFormat, fixed, floating

Circuit = Literal["mul", "shifter", "add", "mux", "xor", "and"]

SELECT_BINARY, SELECT_TERNARY, AND_FACTOR, XOR_FACTOR = 0.3, 0.6, 0.1, 0.3
"""Cost of a multiplexer, and-gate or xor-gate relative to an adder of the same width."""


@dataclass(frozen=True)
class Operator:
    """A circuit for one operation.

    Attributes:
        output: format of the result.
        factor: cost relative to an adder (a multiplier, for "mul") of `gate_bits`.
    """

    circuit: Circuit
    output: NumberFormat
    factor: float
    gate_bits: float


def operation_energy(operator: Operator, carried: NumberFormat, process: Process) -> float:
    """pJ of one operation whose result is carried in the format `carried`.

    Fixed point: factor · polynomial(gate_bits). Floats: the process' figure for 16 bits up to 16, else for 32; a
    multiplexer or gate whose result is carried as a float counts as a float addition.
    """
    if carried.kind is Kind.FLOAT:
        table = process.float_mul if operator.circuit == "mul" else process.float_add
        return operator.factor * table[16 if carried.bits <= 16 else 32]
    coefficients = process.fixed_mul if operator.circuit == "mul" else process.fixed_add
    return operator.factor * polynomial(coefficients, operator.gate_bits)


def addition_energy(accumulator: NumberFormat, process: Process) -> float:
    """pJ of adding one term to an accumulator."""
    return operation_energy(Operator("add", accumulator, 1.0, accumulator.bits), accumulator, process)


_FIXED, _PO2, _TERNARY, _BINARY, _ZERO_ONE = Kind.FIXED, Kind.POWER_OF_TWO, Kind.TERNARY, Kind.BINARY, Kind.ZERO_ONE

_CIRCUITS: Mapping[tuple[Kind, Kind], tuple[Circuit, Kind]] = {
    (_FIXED, _FIXED): ("mul", _FIXED),
    (_FIXED, _PO2): ("shifter", _FIXED),
    (_PO2, _FIXED): ("shifter", _FIXED),
    (_PO2, _PO2): ("add", _PO2),
    **{(selector, _FIXED): ("mux", _FIXED) for selector in (_TERNARY, _BINARY)},
    **{(_FIXED, selector): ("mux", _FIXED) for selector in (_TERNARY, _BINARY)},
    **{(selector, _PO2): ("mux", _PO2) for selector in (_TERNARY, _BINARY)},
    **{(_PO2, selector): ("mux", _PO2) for selector in (_TERNARY, _BINARY)},
    (_TERNARY, _TERNARY): ("mux", _TERNARY),
    (_TERNARY, _BINARY): ("mux", _TERNARY),
    (_BINARY, _TERNARY): ("mux", _TERNARY),
    (_BINARY, _BINARY): ("xor", _BINARY),
    **{(_ZERO_ONE, other): ("and", other) for other in (_FIXED, _PO2, _ZERO_ONE)},
    **{(other, _ZERO_ONE): ("and", other) for other in (_FIXED, _PO2)},
    **{(_ZERO_ONE, other): ("and", _TERNARY) for other in (_TERNARY, _BINARY)},
    **{(other, _ZERO_ONE): ("and", _TERNARY) for other in (_TERNARY, _BINARY)},
}
"""(weight, input) -> circuit and kind of the product."""

_NAMES: Mapping[Kind, str] = {
    _FIXED: "quantized_bits",
    _PO2: "quantized_po2",
    _TERNARY: "ternary",
    _BINARY: "binary",
    _ZERO_ONE: "binary",
}


@lru_cache(maxsize=65536)
def multiply(weight: NumberFormat, x: NumberFormat) -> Operator:
    """The circuit for weight · x."""
    if Kind.FLOAT in (weight.kind, x.kind):
        width = _float_width(weight, x)
        return Operator("mul", floating(width), 1.0, width)
    circuit, kind = _CIRCUITS[weight.kind, x.kind]
    match circuit:
        case "mul":
            signed = weight.signed or x.signed
            int_bits = weight.int_bits + x.int_bits
            bits = int_bits + weight.fraction_bits + x.fraction_bits + signed
            return Operator("mul", fixed(bits, int_bits, signed), 1.0, math.sqrt(weight.bits * x.bits))
        case "shifter":
            power, other = (weight, x) if weight.kind is _PO2 else (x, weight)
            return _shifter(power, other, power.exponent_range)
        case "add":
            return _add_exponents(weight, x, _product(weight.max_value, x.max_value))
        case "mux":
            return _multiplexer(weight, x, kind)
        case "xor":
            return Operator(
                "xor", NumberFormat(kind=_BINARY, bits=1, int_bits=1, signed=True, name="binary"), XOR_FACTOR, 1
            )
        case "and":
            return _and_gate(weight, x, kind)


def _shifter(power: NumberFormat, other: NumberFormat, reach: tuple[int, int]) -> Operator:
    lowest, highest = reach
    signed = power.signed or other.signed
    bits = other.bits + lowest + highest + (power.signed and not other.signed)
    root = math.sqrt(2.0**power.bits * other.bits)
    return Operator("shifter", fixed(bits, other.int_bits + highest, signed), 1.0, root * math.log10(root))


def _add_exponents(a: NumberFormat, b: NumberFormat, limit: float | None) -> Operator:
    bits, int_bits = max(a.bits, b.bits) + 1, max(a.int_bits, b.int_bits) + 1
    output = NumberFormat(
        kind=_PO2, bits=bits, int_bits=int_bits, signed=a.signed or b.signed, max_value=limit, name="quantized_po2"
    )
    return Operator("add", output, 1.0, bits)


def _multiplexer(weight: NumberFormat, x: NumberFormat, kind: Kind) -> Operator:
    if weight.kind in (_TERNARY, _BINARY):
        selector, data = weight, x
        factor = SELECT_BINARY if weight.kind is _BINARY else SELECT_TERNARY
    else:
        selector, data = x, weight
        factor = SELECT_BINARY if x.name == "binary" else SELECT_TERNARY
    bits = data.bits + (selector.signed and not data.signed)
    int_bits = bits if kind is _PO2 else data.int_bits
    limit = data.max_value if kind is _PO2 else None
    output = NumberFormat(
        kind=kind,
        bits=bits,
        int_bits=int_bits,
        signed=selector.signed or data.signed,
        max_value=limit,
        name=_NAMES[kind],
    )
    return Operator("mux", output, factor, data.bits)


def _and_gate(weight: NumberFormat, x: NumberFormat, kind: Kind) -> Operator:
    if kind is _TERNARY:
        return Operator("and", NumberFormat(kind=kind, bits=2, int_bits=2, signed=True, name="ternary"), AND_FACTOR, 2)
    bits = max(weight.bits, x.bits)
    int_bits = x.int_bits if weight.kind is _ZERO_ONE and weight.name == "binary" else weight.int_bits
    limit = (weight if weight.kind is _PO2 else x).max_value if kind is _PO2 else None
    output = NumberFormat(
        kind=kind, bits=bits, int_bits=int_bits, signed=weight.signed or x.signed, max_value=limit, name=_NAMES[kind]
    )
    return Operator("and", output, AND_FACTOR, bits)


@lru_cache(maxsize=65536)
def accumulate(terms: int, product: NumberFormat) -> NumberFormat:
    """The accumulator of `terms` products: ceil(log2(terms)) more bits, all of them before the point."""
    if product.kind is Kind.FLOAT:
        return floating(product.bits)
    product = product.as_fixed()
    growth = math.ceil(math.log2(terms))
    return fixed(growth + product.bits, growth + product.int_bits, product.signed)


@lru_cache(maxsize=65536)
def add(a: NumberFormat, b: NumberFormat) -> NumberFormat:
    """The exact sum of two numbers: one more bit than the wider integer part, the finer fraction."""
    if Kind.FLOAT in (a.kind, b.kind):
        return floating(max(a.bits, b.bits))
    # A power of two plus a 0/1 number is the one pair that QTools adds without widening the power of two.
    if not (a.kind is _PO2 and b.kind is _ZERO_ONE):
        a = a.as_fixed()
    b = b.as_fixed()
    signed = a.signed or b.signed
    int_bits = max(a.int_bits, b.int_bits) + 1
    return fixed(int_bits + signed + max(a.fraction_bits, b.fraction_bits), int_bits, signed)


@lru_cache(maxsize=65536)
def divide(numerator: NumberFormat, denominator: NumberFormat) -> Operator:
    """The circuit for numerator / denominator.

    A fixed-point denominator takes a float divider of 32 bits, priced as a multiplier; a power of two
    shifts the other way, or subtracts exponents. Dividing by a binary or ternary number is a change of
    sign, priced as the multiplexer that it is.
    """
    if Kind.FLOAT in (numerator.kind, denominator.kind):
        width = _float_width(numerator, denominator)
        return Operator("mul", floating(width), 1.0, width)
    if denominator.kind is _FIXED:
        return Operator("mul", floating(32), 1.0, 32)
    if denominator.kind is not _PO2:
        return multiply(denominator, numerator)
    if numerator.kind is _PO2:
        quotient = _quotient(numerator.max_value, denominator.max_value)
        difference = _add_exponents(numerator, denominator, quotient)
        output = NumberFormat(
            kind=_PO2,
            bits=difference.output.bits,
            int_bits=difference.output.int_bits,
            signed=True,
            max_value=quotient,
            name="quantized_po2",
        )
        return Operator("add", output, 1.0, difference.gate_bits)
    lowest, highest = denominator.exponent_range
    shifted = _shifter(denominator, numerator, (highest, lowest))
    if numerator.kind in (_BINARY, _ZERO_ONE):
        output = NumberFormat(
            kind=_PO2,
            bits=shifted.output.bits,
            int_bits=shifted.output.int_bits,
            signed=shifted.output.signed,
            max_value=None,
            name="quantized_po2",
        )
        return Operator("shifter", output, 1.0, shifted.gate_bits)
    return shifted


def merge_sum(inputs: tuple[NumberFormat, ...]) -> NumberFormat:
    """The format of the sum of a merge layer's inputs: one carry bit."""
    if any(item.kind is Kind.FLOAT for item in inputs):
        return _widest_float(inputs)
    inputs = tuple(item.as_fixed() for item in inputs)
    signed = any(item.signed for item in inputs)
    return fixed(max(item.bits for item in inputs) + 1, max(item.int_bits for item in inputs) + 1, signed)


def merge_common(inputs: tuple[NumberFormat, ...]) -> NumberFormat:
    """A format that holds every input of Maximum, Minimum, Average or Concatenate."""
    first = inputs[0]
    if all(
        (i.name, i.bits, i.int_bits, i.signed) == (first.name, first.bits, first.int_bits, first.signed) for i in inputs
    ):
        return first
    if any(item.kind is Kind.FLOAT for item in inputs):
        return _widest_float(inputs)
    inputs = tuple(item.as_fixed() for item in inputs)
    signed = any(item.signed for item in inputs)
    return fixed(max(item.bits for item in inputs), max(-1, *(item.int_bits for item in inputs)), signed)


def _widest_float(inputs: tuple[NumberFormat, ...]) -> NumberFormat:
    return floating(max(item.bits for item in inputs if item.kind is Kind.FLOAT))


def _float_width(a: NumberFormat, b: NumberFormat) -> int:
    return max(item.bits for item in (a, b) if item.kind is Kind.FLOAT)


def _product(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a * b


def _quotient(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a / b
