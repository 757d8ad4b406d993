"""Colours, in one place: of the page, in light and dark, and of figures on their own.

Series are colours of Okabe and Ito (https://jfly.uni-koeln.de/color/), which people with the usual kinds of colour
blindness tell apart; nothing is told by a colour alone. Bits are steps of one blue.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

LIGHT: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#ffffff",
        "panel": "#f6f7f9",
        "ink": "#1b1f24",
        "muted": "#57606a",
        "line": "#d5dae0",
        "faint": "#eceff2",
        "accent": "#0063a6",
        "blue": "#0072b2",
        "orange": "#c24e00",
        "green": "#00795a",
        "purple": "#a8487f",
        "sky": "#3f97cf",
        "yellow": "#9a7400",
        "trial": "#6f8fab",
        "good": "#00795a",
        "bad": "#b3261e",
    }
)
DARK: Mapping[str, str] = MappingProxyType(
    {
        "paper": "#12161b",
        "panel": "#1a2027",
        "ink": "#e6eaee",
        "muted": "#9aa6b2",
        "line": "#36404a",
        "faint": "#242c34",
        "accent": "#6cb8f0",
        "blue": "#56b4e9",
        "orange": "#f28e3c",
        "green": "#2fbf95",
        "purple": "#dd8fbb",
        "sky": "#8fcbf0",
        "yellow": "#e6c84f",
        "trial": "#7b95ad",
        "good": "#2fbf95",
        "bad": "#ff8a80",
    }
)
TEXT_ON_BITS_LIGHT: Mapping[str, str] = MappingProxyType(
    {"low-text": "#1b1f24", "mid-text": "#1b1f24", "high-text": "#ffffff"}
)
TEXT_ON_BITS_DARK: Mapping[str, str] = MappingProxyType(
    {"low-text": "#e6eaee", "mid-text": "#ffffff", "high-text": "#0b1116"}
)
"""Of the few, the middle and the many bits."""
BITS_LIGHT = ("#eff6fc", "#d7e8f6", "#b3d3ed", "#84b6de", "#4f93c8", "#1f6ca8", "#0a4a7d")
BITS_DARK = ("#16242f", "#1b3447", "#204a68", "#27648d", "#3382b5", "#5aa6d8", "#94cbef")


def bits_step(bits: int) -> int:
    """The colour of a number of bits: 1, 2, to 4, to 6, to 8, to 16, more."""
    return next((step for step, most in enumerate((1, 2, 4, 6, 8, 16)) if bits <= most), 6)


def _named(colours: Mapping[str, str], on_bits: Mapping[str, str], bits: Sequence[str]) -> dict[str, str]:
    return {**colours, **on_bits, **{f"bits{step}": value for step, value in enumerate(bits)}}


PAPER = MappingProxyType(_named(LIGHT, TEXT_ON_BITS_LIGHT, BITS_LIGHT))
NIGHT = MappingProxyType(_named(DARK, TEXT_ON_BITS_DARK, BITS_DARK))


def page_colours() -> str:
    """The variables of a page: light, and dark where the reader's system is; on paper always light."""
    light, dark = (";".join(f"--{name}:{value}" for name, value in one.items()) for one in (PAPER, NIGHT))
    return (
        f":root{{color-scheme:light dark;{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"
    )


def with_colours(style: str) -> str:
    """A style sheet whose variables are the light colours: for figures on their own, on paper."""
    for name, value in PAPER.items():
        style = style.replace(f"var(--{name})", value)
    return style
