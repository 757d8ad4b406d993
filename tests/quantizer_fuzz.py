"""Quantizer strings, right ones and wrong ones: every quantizer and argument that there is, with any value."""

from __future__ import annotations

import random
from collections.abc import Mapping

from qsearch.quantizers.parameters import Parameter, Value
from qsearch.quantizers.table import SIGNATURES

_VALUES = (
    "0", "1", "2", "4", "8", "-1", "32", "33", "64", "1023", "1024", "1000000000", "9" * 30, "9" * 5000, "+4", "-0",
    "4_0", "\u0664", "0x4", "4e0", "0.5", "-0.5", "1e-30", "1e-60", "1e30", "1e400", "-1e400", "inf", "-inf", "nan",
    "True", "False", "None", "auto", "auto_po2", "'auto'", '"auto_po2"', "'auto", "rnd", "floor", "half_away", "hard",
    "[1]", "[1.0,2.0]", "[1 2 3 4]", "[0]", "[-1]", "[]", "[1,[2]]", "[[1,2],[3,4]]", "[[1],[2,3]]", "[1,",
    "[[[[[[[[[1]]]]]]]]]",
    "[0,0]", "[0,-1]", "99", "7", "-8", "-126", "127", "binary", "binary()", "quantized_bits(4)", "(4)", "()", "4)", "",
    " ", ",", "=", "\n", "\x00", "'\x1b[31m'", "'a b'", "'a\nb'", "x" * 300, "[" * 3000, "[" + "1," * 3000 + "1]",
)  # fmt: skip
_SENSIBLE: Mapping[str, Value] = {
    "1": 1, "2": 2, "4": 4, "8": 8, "0": 0, "True": True, "False": False, "None": None, "0.5": 0.5, "1.0": 1.0,
    "auto": "auto", "auto_po2": "auto_po2", "[1.0]": (1.0,), "-1": -1, "3": 3, "rnd": "rnd", "hard": "hard",
}  # fmt: skip


def quantizer_text(chance: random.Random) -> str:
    """A call with some arguments, most of them sensible, and then perhaps something done to its text."""
    name = chance.choice(tuple(SIGNATURES))
    parameters = SIGNATURES[name]
    odd = 0.05 if chance.random() < 0.7 else 0.5
    positional = chance.choice((0, 1, 1, 2, 3, len(parameters), len(parameters) + (chance.random() < odd)))
    first = (*parameters, None)[:positional]
    arguments = [_value(chance, parameter, odd) for parameter in first]
    for _ in range(chance.choice((0, 0, 1, 1, 2, 3))):
        left = parameters[positional:] if chance.random() > odd else parameters
        argument = chance.choice(left) if left else None
        called = argument.name if argument is not None and chance.random() > odd / 2 else "alfa"
        arguments.append(f"{called}={_value(chance, argument, odd)}")
    text = f"{name}({chance.choice((',', ', ', ' ,'))[:2].join(arguments)})"
    if chance.random() < 0.75:
        return text
    place = chance.randrange(len(text) + 1)
    return chance.choice(
        (
            text[:place],
            text[place:],
            text[:place] + chance.choice(_VALUES) + text[place:],
            text.upper(),
            f"{text}{text}",
            f" {text} ",
            f"{text}#",
            name * 1000,
            f"{name}(" * 2000,
            text.replace("(", "[").replace(")", "]"),
        )
    )


def _value(chance: random.Random, parameter: Parameter | None, odd: float) -> str:
    if parameter is None or chance.random() < odd:
        return chance.choice(_VALUES)
    fitting = [text for text, value in _SENSIBLE.items() if parameter.kind.accepts(value)]
    return chance.choice(fitting or _VALUES)
