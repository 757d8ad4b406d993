"""A program around the top module that Verilator compiles: hexadecimal numbers in, hexadecimal numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qsearch.hardware.integer.formats import Format

_FAST_TO_COMPILE = ("-MAKEFLAGS", "OPT_FAST=-O0", "-MAKEFLAGS", "OPT_SLOW=-O0", "-MAKEFLAGS", "OPT_GLOBAL=-O0")


@dataclass(frozen=True)
class Port:
    """A port of the top module: element i, channels last, is in bits [i * bits +: bits]."""

    name: str
    step: str
    cells: int
    form: Format

    @property
    def bits(self) -> int:
        """Of an element."""
        return self.form.bits

    @property
    def width(self) -> int:
        return self.cells * self.bits

    @property
    def declared(self) -> str:
        return f"[{self.width - 1}:0] {self.name}"


def makefile(top: str, vectors: int) -> str:
    """Runs the vectors and compares the outputs."""
    flags = " ".join(verilator_flags(top, "obj_dir"))
    return "\n".join(
        [
            "check: obj_dir/simulate",
            "\t./obj_dir/simulate < inputs.hex > found.hex",
            "\tcmp found.hex outputs.hex",
            f'\t@echo "{vectors} vectors: all values are right"',
            "",
            "obj_dir/simulate: main.cpp $(wildcard ../src/*.v ../src/static/*.v)",
            f"\tverilator {flags} $(abspath $^)",
            "",
            "clean:",
            "\trm -rf obj_dir found.hex",
            "",
        ]
    )


def verilator_flags(top: str, folder: str) -> tuple[str, ...]:
    """Of verilator, to make the program `simulate`."""
    return (
        *("--cc", "--exe", "--build", "--top-module", top, "-Mdir", folder, "-o", "simulate"),
        *(
            "--prefix",
            "Vnetwork",
            "-Wno-fatal",
            "-Wno-lint",
            "-Wno-style",
            "-Wfuture-WIDTHTRUNC",
            "--output-split",
            "20000",
        ),
        # versions before 5.048 compute some bit operations wrong without it
        "-fno-const-bit-op-tree",
        *("-CFLAGS", "-std=c++17", *_FAST_TO_COMPILE),
    )


_HARNESS = """// One sample a line: hexadecimal numbers, the inputs from standard input, the outputs to standard output.
#include "Vnetwork.h"
#include "verilated.h"

#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <type_traits>
#include <vector>

static uint32_t word(const std::string& hex, size_t index)
{
    size_t end = hex.size() > 8 * index ? hex.size() - 8 * index : 0;
    size_t start = end > 8 ? end - 8 : 0;
    return end ? static_cast<uint32_t>(std::stoul(hex.substr(start, end - start), nullptr, 16)) : 0;
}

template <class T> void put(T& port, const std::string& hex)
{
    if constexpr (std::is_integral<T>::value) {
        port = static_cast<T>((static_cast<uint64_t>(word(hex, 1)) << 32) | word(hex, 0));
    } else {
        for (size_t i = 0; i < sizeof(port) / 4; i++) {
            port[i] = word(hex, i);
        }
    }
}

template <class T> std::string got(const T& port, int digits)
{
    std::string text;
    char part[9];
    for (int i = (digits + 7) / 8 - 1; i >= 0; i--) {
        uint32_t bits;
        if constexpr (std::is_integral<T>::value) {
            bits = static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * i));
        } else {
            bits = port[i];
        }
        std::snprintf(part, sizeof part, "%08x", bits);
        text += part;
    }
    return text.substr(text.size() - digits);
}

int main()
{
    Vnetwork network;
    std::vector<std::string> given;
    for (std::string text; std::cin >> text;) {
        given.push_back(text);
    }
    const size_t ports = <PORTS>, cycles = <CYCLES>, samples = given.size() / ports;
    for (size_t time = 0; time < samples + cycles; time++) {
        if (time < samples) {
            const std::string* from = &given[time * ports];
<PUT>
        }
        network.eval();
        if (time >= cycles) {
<GOT>
            std::cout << "\\n";
        }
<TICK>
    }
    return 0;
}
"""


def program(inputs: Sequence[Port], outputs: Sequence[Port], cycles: int) -> str:
    """The program around the top module; `cycles`: clock edges from an input to its output, 0 without a clock."""
    put = [f"            put(network.{port.name}, from[{index}]);" for index, port in enumerate(inputs)]
    got = []
    for index, port in enumerate(outputs):
        digits = -(-port.width // 8) * 2
        ahead = '" " << ' if index else ""
        got.append(f"            std::cout << {ahead}got(network.{port.name}, {digits});")
    tick = ["network.clk = 1;", "network.eval();", "network.clk = 0;", "network.eval();"] if cycles else []
    parts = {
        "PORTS": str(len(inputs)),
        "CYCLES": str(cycles),
        "PUT": "\n".join(put),
        "GOT": "\n".join(got),
        "TICK": "\n".join(f"        {line}" for line in tick),
    }
    text = _HARNESS
    for name, part in parts.items():
        text = text.replace(f"<{name}>", part)
    return text
