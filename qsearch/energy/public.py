"""`qsearch.estimate_energy`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast, get_args

import keras

from qsearch.energy.estimate import EnergySettings, price_plan, price_reference
from qsearch.energy.memory import Memory
from qsearch.energy.process import Process, process_named
from qsearch.energy.report import EnergyReport
from qsearch.errors import ConfigError, did_you_mean, shown
from qsearch.graph.from_keras import read_model, read_plan
from qsearch.plan import QuantizationPlan
from qsearch.quantizers.formats import SOURCE_FORMATS, source_format
from qsearch.quantizers.number_types import Kind, NumberFormat

_RULES = ("internal", "accumulator")
_NORMS = ("accumulator", "fp32")
_FUSED = ("separate", "inline")


def estimate_energy(
    model: keras.Model,
    reference: str | None = "auto",
    accumulator: str | None = None,
    process: str | Process = "horowitz",
    weights_on_memory: str = "sram",
    activations_on_memory: str = "sram",
    min_sram_size: int = 0,
    rd_wr_on_io: bool = False,
    source_quantizers: str | Sequence[str] | None = None,
    reference_activations: str = "internal",
    unquantized_norm: str = "accumulator",
    fused_activation: str = "separate",
) -> EnergyReport:
    """The energy of one inference of a model, in pJ, layer by layer.

    Args:
        model: float or quantized, functional or Sequential.
        reference: price the model without its quantizers, every number of this type: int8, int16, int32, fp16 or
            fp32. None prices its own quantizers; layers without one count as int8. "auto" is None for a model that
            has quantizers, and int8 for one that has none, as `qsearch energy` does.
        accumulator: type of products and sums of layers without quantizers. None: int32, or the float type itself.
        process: energy constants: horowitz (45 nm), jouppi_7nm, or a `Process` of your own.
        weights_on_memory, activations_on_memory: fixed, sram or dram.
        min_sram_size: bits.
        rd_wr_on_io: the model's inputs and outputs pass through DRAM.
        source_quantizers: type of the inputs: one for all or one for each; None: int8, as sensors give it.
        reference_activations: what an activation without a quantizer hands on: "internal", the reference type; or
            "accumulator", the rule of QKeras since May 2021.
        unquantized_norm: what a batch norm without quantizers hands on in a quantized model: "accumulator", its
            format, or "fp32", QTools' rule.
        fused_activation: an activation inside a layer with weights costs what a layer of its own does ("separate"),
            or is QTools' "inline": not charged for what it writes, and without a quantizer handing on the accumulator.

    Raises:
        ConfigError: an argument that is not among those allowed.
        ModelError: a model whose layers or shapes are not known.
    """
    graph = read_model(model)
    plan = read_plan(model)
    if reference == "auto":
        reference = default_reference(plan)
    settings = energy_settings(
        reference,
        accumulator,
        process,
        weights_on_memory,
        activations_on_memory,
        min_sram_size,
        rd_wr_on_io,
        source_quantizers,
        reference_activations,
        unquantized_norm,
        fused_activation,
    )
    if reference is None:
        return price_plan(graph, plan, settings)
    return price_reference(graph, settings)


def default_reference(plan: QuantizationPlan) -> str | None:
    """What a model is priced as where nobody says: by its own quantizers (None), or as int8 where it has none."""
    return None if plan.layers else "int8"


def energy_settings(
    reference: str | None = "int8",
    accumulator: str | None = None,
    process: str | Process = "horowitz",
    weights_on_memory: str = "sram",
    activations_on_memory: str = "sram",
    min_sram_size: int = 0,
    rd_wr_on_io: bool = False,
    source_quantizers: str | Sequence[str] | None = None,
    reference_activations: str = "internal",
    unquantized_norm: str = "accumulator",
    fused_activation: str = "separate",
) -> EnergySettings:
    """The design that the arguments of `estimate_energy` describe.

    Raises:
        ConfigError: an argument that is not among those allowed.
    """
    internal = _format("reference", reference or "int8")
    if accumulator is None:
        accumulated = internal if internal.kind is Kind.FLOAT else SOURCE_FORMATS["int32"]
    else:
        accumulated = _format("accumulator", accumulator)
    memories = tuple(get_args(Memory))
    _check("weights_on_memory", weights_on_memory, memories)
    _check("activations_on_memory", activations_on_memory, memories)
    _check("reference_activations", reference_activations, _RULES)
    _check("unquantized_norm", unquantized_norm, _NORMS)
    _check("fused_activation", fused_activation, _FUSED)
    if isinstance(source_quantizers, str):
        source_quantizers = (source_quantizers,)
    return EnergySettings(
        process=process if isinstance(process, Process) else process_named(process),
        weights_on_memory=cast(Memory, weights_on_memory),
        activations_on_memory=cast(Memory, activations_on_memory),
        min_sram_size=min_sram_size,
        rd_wr_on_io=rd_wr_on_io,
        sources=None if source_quantizers is None else tuple(source_format(text) for text in source_quantizers),
        internal=internal,
        accumulator=accumulated,
        activations="internal" if reference_activations == "internal" else "accumulator",
        unquantized_norm="fp32" if unquantized_norm == "fp32" else "accumulator",
        fused_activation="inline" if fused_activation == "inline" else "separate",
    )


def _format(argument: str, name: str) -> NumberFormat:
    _check(argument, name, tuple(SOURCE_FORMATS))
    return SOURCE_FORMATS[name]


def _check(argument: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"{argument}: found {shown(value)}, allowed: {', '.join(allowed)}{did_you_mean(value, allowed)}"
        )
