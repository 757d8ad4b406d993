"""Processes: each is its published table; a user's own may replace parts."""

from __future__ import annotations

from pathlib import Path

import pytest

import qsearch
from qsearch.config import load_config
from qsearch.energy.process import PROCESSES, polynomial
from qsearch.errors import ConfigError
from qsearch.goal.pricer import costs_of
from qsearch.graph.from_keras import read_model


@pytest.mark.parametrize("name", PROCESSES)
def test_more_bits_cost_more_and_nothing_is_negative(name: str) -> None:
    process = PROCESSES[name]
    for coefficients in (process.fixed_add, process.fixed_mul):
        energies = [polynomial(coefficients, bits) for bits in range(1, 65)]
        assert energies[0] > 0
        assert energies == sorted(energies)
    assert process.source.count("doi:") == 1


def test_seven_nanometres_is_the_published_table() -> None:
    process = PROCESSES["jouppi_7nm"]
    assert [polynomial(process.fixed_add, bits) for bits in (8, 32)] == pytest.approx([0.007, 0.03])
    assert [polynomial(process.fixed_mul, bits) for bits in (8, 32)] == pytest.approx([0.07, 1.48])
    words = [64 * polynomial(process.sram_word, size) for size in (16, 18, 23)]
    assert words == pytest.approx([7.5, 8.5, 14.0], rel=1e-5)
    assert process.dram_bit * 64 == pytest.approx(1300)


def test_the_mnist_preset_in_seven_nanometres() -> None:
    model = qsearch.build_model("mnist")
    old, new = (qsearch.estimate_energy(model, process=name).total for name in ("horowitz", "jouppi_7nm"))
    assert 2.5 < old / new < 4.3  # between the gains of a multiplication and of an addition
    with pytest.raises(ConfigError, match=r"process 'horowitz45': unknown, .*did you mean 'horowitz'"):
        qsearch.estimate_energy(model, process="horowitz45")


def test_a_process_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    text = "dataset: {name: digits}\nmodel: {name: digits}\nlimit: {Dense: [4]}\ngoal:\n  type: energy\n  params:\n"
    path.write_text(text + "    own_process: {name: mine, fixed_add: [0.006, 0], dram_bit: 1}\n")
    graph = read_model(qsearch.build_model("digits"))
    costs = costs_of(load_config(path).config.goal, graph)
    settings = costs.goal.trial_settings  # type: ignore[union-attr]
    assert (settings.process.name, settings.process.dram_bit) == ("mine", 1)
    assert settings.process.fixed_mul == PROCESSES["horowitz"].fixed_mul
    path.write_text(text + "    own_process: {name: mine, fixed_ad: [0.006, 0]}\n")
    with pytest.raises(ConfigError, match=r"c\.yaml:7:31: goal\.params\.own_process\.fixed_ad: unknown key"):
        load_config(path)
