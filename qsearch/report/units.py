"""Numbers in the units a person would choose."""

from __future__ import annotations

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_ENERGIES = ((1e12, "J"), (1e9, "mJ"), (1e6, "uJ"), (1e3, "nJ"))


def energy(picojoules: float) -> str:
    """`204.4 nJ` for 204399.67 pJ: four significant digits."""
    for scale, unit in _ENERGIES:
        if picojoules >= scale:
            return f"{picojoules / scale:.4g} {unit}"
    return f"{picojoules:.4g} pJ"


def bits(count: float) -> str:
    """`1.25 Mbit` for 1,250,000 bits."""
    for scale, prefix in _PREFIXES:
        if count >= scale:
            return f"{count / scale:.4g} {prefix}bit"
    return f"{count:.4g} bit"


def stored(count: float) -> str:
    """`1.235 MB` for 1,234,567 bytes."""
    for scale, prefix in _PREFIXES:
        if count >= scale:
            return f"{count / scale:.4g} {prefix}B"
    return f"{count:.4g} bytes"


def size(count: int) -> str:
    """`1.2 MB` for 1,234,567 bytes."""
    for scale, prefix in _PREFIXES:
        if count >= scale:
            return f"{count / scale:.1f} {prefix}B"
    return f"{count} bytes"


def cost(value: float, unit: str) -> str:
    """A cost in its goal's unit: `pJ`, `bits`, `bytes`, or operations such as `BOPs`."""
    match unit:
        case "pJ":
            return energy(value)
        case "bits":
            return bits(value)
        case "bytes":
            return stored(value)
        case _:
            scale, prefix = next(((scale, prefix) for scale, prefix in _PREFIXES if value >= scale), (1.0, ""))
            return f"{value / scale:.4g} {prefix}{' ' if prefix else ''}{unit}"


def saving(ratio: float) -> str:
    """In words, given the reference's energy over the model's: `6.2 times less energy than the reference`."""
    if f"{ratio:.4g}" == "1":
        return "as much energy as the reference"
    if ratio > 1:
        return f"{ratio:.4g} times less energy than the reference"
    return (
        f"{1 / ratio:.4g} times more energy than the reference" if ratio > 0 else "energy where the reference uses none"
    )


def priced(share: float) -> str:
    """What to add to a saving where part of the model has no price; nothing where all has."""
    return "" if share >= 1 else f", of the {share:.0%} of the multiply-accumulates that have a price"


def duration(seconds: float) -> str:
    """`45 s`, `2 min 5 s` or `1 h 12 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def count(number: float) -> str:
    """`1.25 M` for 1,250,000."""
    for scale, prefix in _PREFIXES:
        if number >= scale:
            return f"{number / scale:.4g} {prefix}"
    return f"{number:.4g}"
