"""`quantization_config:` and `limit:`: the quantizers a layer may choose from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator

from qsearch.config.fields import Count, Few, PlacedError, Quantizer, Whole
from qsearch.config.names import LIMIT_CLASSES
from qsearch.config.section import Section
from qsearch.errors import ConfigError, shown
from qsearch.quantizers.spec import QuantizerSpec, parse

Group = Literal["kernel", "bias", "activation", "linear"]
GROUPS: tuple[Group, ...] = ("kernel", "bias", "activation", "linear")


def _distinct(value: Any) -> Any:
    """Texts that mean the same quantizer would be one candidate, with the bits of one of them."""
    texts: dict[QuantizerSpec, str] = {}
    for text in value if isinstance(value, dict) else ():
        try:
            spec = parse(text) if isinstance(text, str) else None
        except ConfigError:
            continue  # told with its own place
        if spec is not None and spec in texts:
            raise PlacedError(f"means the same as {shown(texts[spec])}; leave out one of them", (text,), key=True)
        if spec is not None:
            texts[spec] = text
    return value


Bits = Annotated[dict[Quantizer, Count], BeforeValidator(_distinct), Few]
"""Quantizers with the bits that a limit compares."""

SEED_QUANTIZERS: Mapping[Group, Mapping[str, int]] = {
    "kernel": {
        "binary": 1,
        "stochastic_binary": 1,
        "ternary": 2,
        "stochastic_ternary": 2,
        "quantized_bits(2,1,1,alpha=1.0)": 2,
        "quantized_bits(4,0,1,alpha=1.0)": 4,
        "quantized_bits(8,0,1,alpha=1.0)": 8,
        "quantized_po2(4,1)": 4,
    },
    "bias": {"quantized_bits(4,0,1)": 4, "quantized_bits(8,3,1)": 8, "quantized_po2(4,8)": 4},
    "activation": {
        "binary": 1,
        "ternary": 2,
        "quantized_relu_po2(4,4)": 4,
        "quantized_relu(3,1)": 3,
        "quantized_relu(4,2)": 4,
        "quantized_relu(8,2)": 8,
        "quantized_relu(8,4)": 8,
        "quantized_relu(16,8)": 16,
    },
    "linear": {
        "binary": 1,
        "ternary": 2,
        "quantized_bits(4,1)": 4,
        "quantized_bits(8,2)": 8,
        "quantized_bits(16,10)": 16,
    },
}


def _seed(group: Group) -> dict[Any, int]:
    return dict(SEED_QUANTIZERS[group])


class QuantizationConfig(Section):
    """The quantizers of each group with their bits; a group that is left out is the seed's."""

    kernel: Bits = _seed("kernel")
    bias: Bits = _seed("bias")
    activation: Bits = _seed("activation")
    linear: Bits = _seed("linear")

    @field_validator(*GROUPS)
    @classmethod
    def _not_empty(cls, value: Bits) -> Bits:
        if not value:
            raise ValueError("found no quantizer, expected at least one as 'quantizer: bits'")
        return value

    def group(self, name: Group) -> Bits:
        """The quantizers of one group with their bits."""
        groups: Mapping[Group, Bits] = {
            "kernel": self.kernel,
            "bias": self.bias,
            "activation": self.activation,
            "linear": self.linear,
        }
        return groups[name]


def _is_list(value: Any) -> str:
    return "quantizers" if isinstance(value, list | tuple) else "bits"


Limit = Annotated[
    Annotated[Whole, Tag("bits")] | Annotated[tuple[Quantizer, ...], Tag("quantizers")], Discriminator(_is_list)
]
"""The greatest number of bits, or the quantizers themselves."""


def _entry(value: Any) -> Any:
    """A bare number stands for kernel, bias and activation alike."""
    if isinstance(value, int) and not isinstance(value, bool):
        return [value] * 3
    if not isinstance(value, list | tuple):
        raise ValueError(f"found {shown(value)}, expected a list: [kernel, bias, activation], or one number for all")
    if len(value) > 3:
        raise ValueError(f"found {len(value)} elements, allowed: at most 3: [kernel, bias, activation]")
    return value


_WrittenEntry = Whole | Annotated[list[Limit], Field(max_length=3)]
Entry = Annotated[tuple[Limit, ...], BeforeValidator(_entry, json_schema_input_type=_WrittenEntry)]
Limits = dict[str, Entry]

DEFAULT = "default"
ACTIVATION = "Activation"
"""The class that every activation counts as, whatever it is spelt as."""
LINEAR = "linear"
"""The key of outputs that no activation follows."""
RESERVED = (DEFAULT, LINEAR)


def is_class(key: str) -> bool:
    """Whether a key of `limit` names a layer class; any other key but those of `RESERVED` is a pattern of names."""
    return key in LIMIT_CLASSES


def patterns(limits: Limits) -> list[str]:
    """The keys of `limit` that are patterns of layer names, in the file's order."""
    return [key for key in limits if key not in RESERVED and not is_class(key)]


def key_for(limits: Limits, layer: str, *classes: str) -> str | None:
    """The key of `limit` that governs a layer: the first pattern that matches its name, else its nearest class."""
    for pattern in patterns(limits):
        if re.match(pattern, layer):
            return pattern
    return next((name for name in classes if name in limits and name not in RESERVED), None)


def weight_limit(limits: Limits, key: str, position: Literal[0, 1, 2]) -> int | tuple[QuantizerSpec, ...]:
    """The limit of a layer with weights: position 0 kernel, 1 bias, 2 activation; `default` fills what is missing."""
    entry = limits[key]
    return entry[position] if position < len(entry) else _default(limits)[position]


def activation_limit(limits: Limits, key: str) -> int | tuple[QuantizerSpec, ...]:
    """The limit of an activation layer: the last element."""
    entry = limits[key]
    return entry[-1] if entry else _default(limits)[-1]


def _default(limits: Limits) -> tuple[int | tuple[QuantizerSpec, ...], ...]:
    """AutoQKeras fills missing elements with `default`, and that with 8 bits."""
    entry = limits.get(DEFAULT, ())
    return (*entry, *(8, 8, 8)[len(entry) :])


def within(bits: Bits, limit: int | tuple[QuantizerSpec, ...]) -> tuple[QuantizerSpec, ...]:
    """The quantizers of a group that a limit admits, in the file's order."""
    if isinstance(limit, tuple):
        return limit
    return tuple(spec for spec, width in bits.items() if width <= limit)
