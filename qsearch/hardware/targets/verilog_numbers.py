"""Exact arithmetic on whole numbers that alkaid traces: an element is an int, or one of its variables.

alkaid finds the lowest bit of a number in float32, so that none with more than 24 significant bits may reach it: nor a
constant, nor a factor that its affine intervals come to. Constants are kept as ints here as long as that is possible,
longer ones are added and multiplied in limbs, and sums are taken apart into bits and put together again (which costs no
hardware) before they are multiplied.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from qsearch.errors import ExportError
from qsearch.hardware.integer.formats import FLOAT32_BITS, Codes

Element = Any
"""An int, or alkaid's FVariable of whole numbers."""
Elements = NDArray[Any]
"""Elements in the shape of a tensor, the batch axis not counted."""

MOST_BITS = 52
"""Of a variable: alkaid's intervals are float64."""
_LIMB = 20
"""Bits of a limb of a long constant."""
_SEARCHED = 2**12
"""Below it alkaid searches for the fewest adders that multiply; above it that takes seconds for each factor."""
_HARDWARE = (1, 1, -1)
"""Adder size, carry size and latency cutoff of alkaid's cost model: its own default."""


def variables(count: int, bits: int, signed: bool) -> list[Element]:
    """Inputs of a width."""
    from alkaid.trace import FVariable, HWConfig

    least, end = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    return [FVariable(least, end - 1, 1, latency=0.0, hwconf=HWConfig(*_HARDWARE)) for _ in range(count)]


def is_short(number: int) -> bool:
    """Whether float32 holds a whole number."""
    return number == 0 or abs(number) >> _trailing(number) < 1 << FLOAT32_BITS


def digits_of(number: int) -> list[int]:
    """The fewest powers of two, each positive or negative, whose sum a number is."""
    found, place = [], 1
    while number:
        if number & 1:
            digit = 2 - (number & 3)
            found.append(digit * place)
            number -= digit
        number, place = number >> 1, place << 1
    return found


def ends(a: Element) -> tuple[int, int]:
    """The least and the greatest value."""
    return (a, a) if isinstance(a, int) else (int(a.low), int(a.high))


def width(a: Element) -> int:
    """Bits that an element takes, sign included."""
    if isinstance(a, int):
        return 0
    signed, whole, fraction = a.kif
    return int(signed) + int(whole) + int(fraction)


def plain(a: Element) -> Element:
    """An int where a variable has one value alone.

    Raises:
        ExportError: it is wider than alkaid computes with.
    """
    if isinstance(a, int):
        return a
    if a.low == a.high:
        return int(a.low)
    if max(abs(a.low), abs(a.high)) >= 2**MOST_BITS:
        raise ExportError(
            f"has sums of more than {MOST_BITS} bits, which alkaid does not compute exactly; put a quantizer behind "
            "what it reads, or give its weights fewer bits"
        )
    return a


def atom(a: Element) -> Element:
    """The same number without a history: a sum as its lowest bit and the others, side by side."""
    if isinstance(a, int) or a.opr not in ("vadd", "cadd"):
        return a
    signed, whole, fraction = (int(part) for part in a.kif)
    if signed + whole + fraction <= 1:
        return a
    return _bits(a, signed, whole, fraction - 1) + _bits(a, 0, 1 - fraction, fraction)


def atoms(elements: Iterable[Element]) -> list[Element]:
    return [atom(element) for element in elements]


def plus(a: Element, number: int) -> Element:
    """a + number."""
    if isinstance(a, int) or number == 0:
        return a + number
    source = atom(a)
    if is_short(number):
        return plain(source + float(number))
    low = number % (1 << _LIMB)
    signed, whole, _ = source.kif
    sums = plus(low_bits(source, _LIMB), low)
    above = plain(_bits(source, signed, max(int(whole), _LIMB), -_LIMB))
    carried = add(above, times(floored(sums, _LIMB), 1 << _LIMB))
    return add(plus(carried, number - low), sums % (1 << _LIMB) if isinstance(sums, int) else low_bits(sums, _LIMB))


def times(a: Element, number: int) -> Element:
    """a · number."""
    if isinstance(a, int) or number in (0, 1):
        return a * number if isinstance(a, int) or number else 0
    if abs(number) & (abs(number) - 1) == 0:
        return plain(a * float(number))
    if not is_short(number):
        low = number % (1 << _LIMB)
        return add(times(a, number - low), times(a, low))
    source = atom(a)
    if abs(number) >> _trailing(number) < _SEARCHED:
        return plain(source * float(number))
    return plain(folded([source * float(digit) for digit in digits_of(number)], operator.add))


def add(a: Element, b: Element) -> Element:
    if isinstance(a, int):
        return plus(b, a)
    if isinstance(b, int):
        return plus(a, b)
    return plain(atom(a) + atom(b))


def multiply(a: Element, b: Element) -> Element:
    if isinstance(a, int):
        return times(b, a)
    if isinstance(b, int):
        return times(a, b)
    return plain(atom(a) * atom(b))


def greater(a: Element, b: Element) -> Element:
    """The greater of two."""
    return _chosen(a, b, max, "max_of")


def less(a: Element, b: Element) -> Element:
    """The less of two."""
    return _chosen(a, b, min, "min_of")


def clip(a: Element, least: int, greatest: int) -> Element:
    return less(greater(a, least), greatest)


def _chosen(a: Element, b: Element, plainly: Callable[[Any, Any], Any], method: str) -> Element:
    if isinstance(a, int) and isinstance(b, int):
        return plainly(a, b)
    first, second = (b, a) if isinstance(a, int) else (a, b)
    if isinstance(second, int):
        least, greatest = ends(first)
        if second <= least or second >= greatest:  # one of them always
            return first if plainly(second, least) == least and plainly(second, greatest) == greatest else second
        if not is_short(second):
            raise ExportError(
                f"is cut off at {second}, a number of more than {FLOAT32_BITS} bits; give its quantizer fewer"
            )
        return plain(getattr(atom(first), method)(float(second)))
    return plain(getattr(atom(first), method)(atom(second)))


def folded(elements: Sequence[Element], function: Callable[[Element, Element], Element]) -> Element:
    """All elements by a function of two, as a tree; ints first, so that they meet each other."""
    parts = sorted(elements, key=lambda element: not isinstance(element, int))
    while len(parts) > 1:
        joined = [function(*parts[index : index + 2]) for index in range(0, len(parts) - 1, 2)]
        parts = joined + (parts[-1:] if len(parts) % 2 else [])
    return parts[0]


def total(elements: Sequence[Element]) -> Element:
    """The sum."""
    constant = sum(element for element in elements if isinstance(element, int))
    parts = [atom(element) for element in elements if not isinstance(element, int)]
    return plus(plain(folded(parts, operator.add)), constant) if parts else constant


def floored(a: Element, shift: int) -> Element:
    """floor(a / 2^shift)."""
    if isinstance(a, int) or shift <= 0:
        return a >> shift if isinstance(a, int) and shift > 0 else times(a, 1 << -shift)
    signed, whole, _ = a.kif
    return plain(_bits(a, int(signed), max(int(whole), shift), -shift) * 2.0**-shift)


def step_of(a: Element) -> int:
    """What all values are multiples of."""
    return int(a.step)


def low_bits(a: Element, count: int) -> Element:
    """a modulo 2^count."""
    return plain(_bits(a, 0, count, 0))


def any_bit(a: Element) -> Element:
    """1 where a is not 0."""
    return int(a != 0) if isinstance(a, int) else plain(a.unary_bit_op("any"))


def both(a: Element, b: Element) -> Element:
    """The product of two bits."""
    if isinstance(a, int) or isinstance(b, int):
        return multiply(a, b)
    return plain(a & b)


def is_negative(a: Element) -> Element:
    """1 where a is below 0."""
    least, greatest = ends(a)
    if least >= 0 or greatest < 0:
        return int(greatest < 0)
    return plain(a.is_negative())


def looked_up(a: Element, values: Codes) -> Element:
    """values[i] for the i-th value that a can take."""
    if len(set(values.tolist())) == 1:
        return int(values[0])
    return plain(a.lookup(values.astype(numpy.float64)))


def _bits(a: Element, signed: int, whole: int, fraction: int) -> Element:
    """Some bits of a variable, as a number.

    alkaid 0.8 mistakes a lower bit for the highest one where the variable is a multiple of another; so it is not here.
    """
    scale = a.step / a.unscaled.step
    places = int(scale).bit_length() - 1 if scale >= 1 else 1 - int(1 / scale).bit_length()
    return (a * (1 / scale)).quantize(signed, whole - places, fraction + places) * scale


def _trailing(number: int) -> int:
    """Bits that are 0 at the low end."""
    return (number & -number).bit_length() - 1
