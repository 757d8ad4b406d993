"""Energy constants of a process, as data with their source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from qsearch.errors import ConfigError, did_you_mean, shown


@dataclass(frozen=True, kw_only=True)
class Process:
    """Energies in pJ; polynomials by falling power.

    Attributes:
        fixed_add: of the width G in bits of a fixed-point adder.
        fixed_mul: of the width G of a fixed-point multiplier.
        float_add, float_mul: by width, 16 or 32 bits.
        sram_word: of log2 of the memory's bits, for one access of a 64-bit word.
        dram_bit: one bit read from or written to DRAM.
        source: where the numbers come from.
    """

    name: str
    fixed_add: tuple[float, ...]
    fixed_mul: tuple[float, ...]
    float_add: Mapping[int, float]
    float_mul: Mapping[int, float]
    sram_word: tuple[float, ...]
    dram_bit: float
    source: str


PROCESSES: Mapping[str, Process] = MappingProxyType(
    {
        "horowitz": Process(
            name="horowitz",
            fixed_add=(0.003125, 0.0),
            fixed_mul=(0.002994791667, 0.001041666667, 0.0),
            float_add=MappingProxyType({16: 0.4, 32: 0.9}),
            float_mul=MappingProxyType({16: 1.1, 32: 3.7}),
            sram_word=(9.02427321e-4, -2.68847858e-2, 0.208900804, 0.0),
            dram_bit=20.3125,
            source="M. Horowitz, Computing's energy problem (and what we can do about it), ISSCC 2014, 45 nm, "
            "doi:10.1109/ISSCC.2014.6757323; polynomials as in QKeras' QTools",
        ),
        "jouppi_7nm": Process(
            name="jouppi_7nm",
            fixed_add=(0.023 / 24, 0.007 - 0.023 / 3),
            fixed_mul=(1.2 / 30720, 0.0, 0.00625, 0.0),
            float_add=MappingProxyType({16: 0.16, 32: 0.38}),
            float_mul=MappingProxyType({16: 0.34, 32: 1.31}),
            sram_word=(5.705070e-5, -1.912597e-3, 2.332082e-2, 0.0),
            dram_bit=1300.0 / 64,
            source="N. P. Jouppi et al., Ten lessons from three generations shaped Google's TPUv4i, ISCA 2021, 7 nm, "
            "table 2, doi:10.1109/ISCA52012.2021.00010: int8 and int32 additions 0.007 and 0.03 pJ, "
            "multiplications 0.07 and 1.48 pJ; SRAM of 8 KB, 32 KB, 1 MB 7.5, 8.5, 14 pJ for 64 bits, DDR4 1300 pJ. "
            "Curves through these points; SRAM in the unit that QTools uses for horowitz, one 64th of a word",
        ),
    }
)


def process_named(name: str) -> Process:
    """The process of that name.

    Raises:
        ConfigError: unknown name.
    """
    if name not in PROCESSES:
        raise ConfigError(
            f"process {shown(name)}: unknown, allowed: {', '.join(PROCESSES)}{did_you_mean(name, PROCESSES)}"
        )
    return PROCESSES[name]


def polynomial(coefficients: tuple[float, ...], x: float) -> float:
    """The value at x of a polynomial given by falling power."""
    value = 0.0
    for coefficient in coefficients:
        value = value * x + coefficient
    return value
