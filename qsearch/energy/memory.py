"""Energy of reading or writing data."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from qsearch.energy.process import Process, polynomial

Memory = Literal["fixed", "sram", "dram"]
"""fixed: wired into the design, so access is free."""

WORD = 64
"""Bits of an SRAM word."""


@dataclass(frozen=True)
class MemoryModel:
    """Memories of a design.

    Attributes:
        min_sram_size: bits; a smaller SRAM costs as much as one of this size.
        rd_wr_on_io: the model's inputs and outputs pass through DRAM, and DRAM through SRAM.
    """

    process: Process
    min_sram_size: int = 0
    rd_wr_on_io: bool = False

    def access(self, bits: int, memory: Memory) -> float:
        """pJ for reading or writing `bits` once.

        sram: ceil(bits / 64) · q(log2(max(bits, min_sram_size))), q the process' polynomial, at least 0.
        dram: 20.3125 · bits, and the SRAM access besides with rd_wr_on_io.
        """
        if memory == "fixed" or bits <= 0:
            return 0.0
        if memory == "sram":
            return _sram(self.process.sram_word, self.min_sram_size, bits)
        through = _sram(self.process.sram_word, self.min_sram_size, bits) if self.rd_wr_on_io else 0.0
        return self.process.dram_bit * bits + through

    @property
    def io(self) -> Memory:
        """Where the model's inputs and outputs are."""
        return "dram" if self.rd_wr_on_io else "sram"


@lru_cache(maxsize=65536)
def _sram(word: tuple[float, ...], smallest: int, bits: int) -> float:
    return -(-bits // WORD) * max(0.0, polynomial(word, math.log2(max(bits, smallest))))
