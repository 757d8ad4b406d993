"""`goal:` what a cheaper model is worth. Keys and defaults are those of AutoQKeras' forgiving factors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict

from qsearch.config import bounds
from qsearch.config.fields import AsPair, Bool, Count, MemoryBits, OrOne, Real, Text, named
from qsearch.config.names import BITS_CLASSES, MEMORIES, NUMBER_TYPES, PROCESSES
from qsearch.config.section import Section
from qsearch.errors import ConfigError, shown
from qsearch.quantizers.sense import MOST_PRICED, senseless
from qsearch.quantizers.spec import parse

Memory = Annotated[Literal["fixed", "sram", "dram"], named(MEMORIES)]
NumberType = Annotated[Text, named(NUMBER_TYPES)]


def _source(value: str) -> str:
    """A number type, or any quantizer: the format of one model input."""
    if value not in NUMBER_TYPES:
        try:
            problem = senseless(parse(value), MOST_PRICED)
        except ConfigError as error:
            problem = str(error)
        if problem is not None:
            raise ValueError(f"found {shown(value)}, allowed: {', '.join(NUMBER_TYPES)} or a quantizer; {problem}")
    return value


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple) and not value:
        raise ValueError("found none, expected one for each input of the model, or one for all")
    return [value] if isinstance(value, str) else value


def _rate(value: float) -> float:
    if value <= 1:
        raise ValueError(
            f"found {shown(value)}, must be greater than 1: the factor in cost that is worth delta percent"
        )
    if value > bounds.FACTOR:
        raise ValueError(f"found {shown(value)}, must be <= {bounds.FACTOR:g}")
    return value


Percent = Annotated[float, Strict(), Field(ge=0, le=bounds.FACTOR, allow_inf_nan=False)]
Factor = Annotated[float, Strict(), Field(ge=1 / bounds.FACTOR, le=bounds.FACTOR, allow_inf_nan=False)]


class Forgiveness(Section):
    """delta = delta_p/100 · log_rate(stress · reference / trial), delta_n when the trial costs more."""

    delta_p: Percent = 8.0
    delta_n: Percent = 8.0
    rate: Annotated[Real, AfterValidator(_rate)] = 2.0
    stress: Factor = 1.0
    reference_cost: Literal["own", "unquantized"] = "own"
    """Of a model that has Q layers from the start: what their own quantizers cost, or the same network without any."""


ProcessName = Annotated[Text, named(PROCESSES)]
Picojoules = Annotated[float, Strict(), Field(ge=0, le=bounds.PICOJOULES, allow_inf_nan=False)]


def _energies(coefficients: tuple[float, ...], of: Iterable[float], what: str) -> tuple[float, ...]:
    """The polynomial must give an energy for everything that a model may have."""
    if not 1 <= len(coefficients) <= bounds.COEFFICIENTS:
        raise ValueError(f"found {len(coefficients)} coefficients, allowed: 1 to {bounds.COEFFICIENTS}")
    for size in of:
        energy = reduce(lambda value, coefficient: value * size + coefficient, coefficients, 0.0)
        if not 0 <= energy <= bounds.PICOJOULES:
            raise ValueError(
                f"found {shown(list(coefficients))}, which is {energy:.4g} pJ for {what} {size:g}, "
                f"must be from 0 to {bounds.PICOJOULES:g}"
            )
    return coefficients


def _of_widths(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return _energies(coefficients, range(1, 65), "a width of")


def _of_memories(coefficients: tuple[float, ...]) -> tuple[float, ...]:
    return _energies(coefficients, range(1, 41), "log2 bits")


Polynomial = tuple[Real, ...]
Operations = Annotated[Polynomial, AfterValidator(_of_widths)]
Accesses = Annotated[Polynomial, AfterValidator(_of_memories)]
_WIDTHS: Mapping[Any, int] = {16: 16, 32: 32, "16": 16, "32": 32}


def _widths(value: Any) -> Any:
    """Keys of a file are texts."""
    if not isinstance(value, Mapping):
        return value
    return {_WIDTHS.get(key, key): energy for key, energy in value.items()}


_WrittenWidths = dict[Literal["16", "32"], Picojoules]
Widths = Annotated[dict[Literal[16, 32], Picojoules], BeforeValidator(_widths, json_schema_input_type=_WrittenWidths)]


class OwnProcess(Section):
    """Energy constants of the user's own; what is left out is that of `based_on`. pJ; see `energy.process`."""

    name: Text
    based_on: ProcessName = "horowitz"
    fixed_add: Operations | None = None
    fixed_mul: Operations | None = None
    float_add: Widths | None = None
    float_mul: Widths | None = None
    sram_word: Accesses | None = None
    dram_bit: Picojoules | None = None
    source: Text = "given by the user"


class EnergyParams(Forgiveness):
    """Pairs are [reference, trial], as in AutoQKeras. `own_process` takes the place of `process`."""

    process: ProcessName = "horowitz"
    own_process: OwnProcess | None = None
    parameters_on_memory: Annotated[tuple[Memory, Memory], AsPair, OrOne] = ("fixed", "fixed")
    activations_on_memory: Annotated[tuple[Memory, Memory], AsPair, OrOne] = ("dram", "dram")
    rd_wr_on_io: Annotated[tuple[Bool, Bool], AsPair, OrOne] = (True, True)
    min_sram_size: Annotated[tuple[MemoryBits, MemoryBits], AsPair, OrOne] = (0, 0)
    source_quantizers: Annotated[
        tuple[Annotated[Text, AfterValidator(_source)], ...] | None,
        BeforeValidator(_listed, json_schema_input_type=Text | Annotated[list[Text], Field(min_length=1)] | None),
    ] = None
    reference_internal: NumberType = "fp32"
    reference_accumulator: NumberType = "fp32"
    reference_activations: Literal["internal", "accumulator"] = "internal"
    unquantized_norm: Literal["accumulator", "fp32"] = "accumulator"
    fused_activation: Literal["separate", "inline"] = "separate"


class EnergyGoalConfig(Section):
    """Save energy."""

    type: Literal["energy"]
    params: EnergyParams = EnergyParams()


class CountedParams(EnergyParams):
    """How formats are read and energies told where a goal counts something else: the seed's settings."""

    parameters_on_memory: Annotated[tuple[Memory, Memory], AsPair, OrOne] = ("sram", "sram")
    activations_on_memory: Annotated[tuple[Memory, Memory], AsPair, OrOne] = ("sram", "sram")
    rd_wr_on_io: Annotated[tuple[Bool, Bool], AsPair, OrOne] = (False, False)
    reference_internal: NumberType = "int8"
    reference_accumulator: NumberType = "int32"


class CountedGoalConfig(Section):
    """Save operations or memory; see `config.costs.COST_KINDS`."""

    type: Literal[
        "macs",
        "bops",
        "ebops",
        "weight_memory",
        "activation_memory",
        "peak_activation",
        "flash",
        "ram",
    ]
    params: CountedParams = CountedParams()


Counted = Literal["parameters", "activations"]


_EVERYTHING: Mapping[str, tuple[Counted, ...]] = {"default": ("parameters", "activations")}


class BitsParams(Forgiveness):
    """Which bits count, and what a saving is worth."""

    input_bits: Count = 8
    output_bits: Count = 8
    ref_bits: Count = 8
    config: dict[Annotated[str, named(BITS_CLASSES)], tuple[Counted, ...]] = Field(
        default_factory=lambda: dict(_EVERYTHING)
    )


class BitsGoalConfig(Section):
    """Save bits."""

    type: Literal["bits"]
    params: BitsParams = BitsParams()


GoalConfig = Annotated[EnergyGoalConfig | BitsGoalConfig | CountedGoalConfig, Field(discriminator="type")]
